"""The migration that gives older attempts the opt-outs that their agents filed, and marks their numbers."""

import asyncpg

from ringback.adapters.postgres.schema import NEWEST, upgrade

_CALL = """
INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,
                   expires_at, expiry_is_explicit, status, final)
VALUES ($1, 'crm-1', $2, 'a', '+14155550199', '{}', '{}', '{}', now(), now(), false, 'partially_completed', true)
"""
_ATTEMPT = """
INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence, resent, waits,
                      lookups, clean_lookups, polls, holds_person, holds_slot, voicemail_action, business,
                      transcript_withheld, agent_spoke, initiated_event, started_event, revision, verdict_type, counted)
VALUES ($1, $1, 'crm-1', $2, 1, 'task', '{}', 'analyzed', 1, false, 0, 0, 0, 0, false, false, 'message',
        '{"disposition": "x"}', false, true, true, true, 0, 'voice_ai_call_partially_completed', '{"attempts": 1}')
"""
_FILED = "INSERT INTO dispositions (disposition_id, call_id, attempt_id, contact_id, code, at) VALUES "


async def test_an_opt_out_of_before_is_counted_after_the_upgrade(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET session_replication_role = replica")
        for name, phone in {"asked": "+14155550100", "wrong": "+14155550101", "erased": "erased"}.items():
            await connection.execute(_CALL, name, phone)
            await connection.execute(_ATTEMPT, name, phone)
            code = "wrong_number" if name == "wrong" else "do_not_call"
            await connection.execute(f"{_FILED} ($1, $1, $1, 'crm-1', $2, now())", name, code)
        await connection.execute(f"{_FILED} ('api', NULL, NULL, 'crm-1', 'do_not_call', now())")
        await connection.execute("UPDATE alembic_version SET version_num = '0013'")
        assert await upgrade(database_url)
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == NEWEST
        rows = await connection.fetch(
            "SELECT attempt_id, business ->> 'opt_out', attempts.recount, no_more_retries"
            " FROM attempts JOIN calls USING (call_id) ORDER BY attempt_id"
        )
        assert [tuple(row) for row in rows] == [
            ("asked", "true", True, "opt_out"),
            ("erased", None, False, None),
            ("wrong", None, False, None),
        ]
    finally:
        await connection.close()
