"""Rollups of attempts and calls, the deltas that are not folded yet, and what each row has added to them.

The tables start empty. The scheduler counts the existing rows in batches, and also those that the previous version
concludes or corrects while it still runs: it does not know `counted`, so two triggers mark them with `recount`. They
mark whatever a connection changes that does not count, also a repair by hand.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

_ATTEMPTS = (
    "attempts, rang, answered, human, conversation, voicemail, message_left, goal_met, opt_out, callback, transferred, "
    "unknown, analysed, sentiment_positive, sentiment_neutral, sentiment_negative, sentiment_unknown, "
    "cost_known, cost_millicents, talk_ms"
)
_PERSONS = "persons, persons_reached, persons_goal, persons_opted_out"
_REASONS = "failed, denied"
#: table: (keys, measures). Purged rows are added apart, because they can no longer be recomputed.
_ROLLUPS = {
    "rollup_hour": ("hour timestamptz, direction text, outcome text", _ATTEMPTS),
    "rollup_day": (
        "day date, campaign text, agent text, agent_version text, attempt_no smallint, outcome text",
        _ATTEMPTS,
    ),
    "rollup_number": ("day date, from_number text, outcome text", _ATTEMPTS),
    "rollup_local": (
        "month date, campaign text, weekday smallint, local_hour smallint, attempt_no smallint, outcome text",
        _ATTEMPTS,
    ),
    "rollup_hist": ("day date, campaign text, agent text, kind text, bucket smallint", "samples"),
    "rollup_reason": ("day date, campaign text, reason text", _REASONS),
    "rollup_person": ("day date, campaign text, agent text, agent_version text", _PERSONS),
}
_DELTA_KEYS = (
    "kind text, hour timestamptz, day date, direction text, campaign text, agent text, agent_version text, "
    "from_number text, attempt_no smallint, outcome text, reason text, month date, weekday smallint, "
    "local_hour smallint, talk_bucket smallint, latency_bucket smallint, cost_bucket smallint, answer_bucket smallint"
)
#: The facts from which `counted` of an attempt follows.
_FACTS = (
    "{0}.verdict_type, {0}.verdict_digest, {0}.state, {0}.sent_at, {0}.number, {0}.time_zone, {0}.agent_version, "
    "{0}.connected, {0}.dial, {0}.party, {0}.end, {0}.successful, {0}.user_turns, {0}.transcript_withheld, "
    "{0}.cost_cents, {0}.duration_ms, {0}.started_at, {0}.placed_at, {0}.latency, {0}.sentiment, {0}.analysis_source, "
    "{0}.business -> 'opt_out', {0}.business -> 'callback_asked'"
)
#: This version's connections say that they count what they change (adapters/postgres/pool.py).
_BY_ANOTHER = "coalesce(current_setting('ringback.counts', true), '') <> 'on'"
_ENDS = "{0}.final, {0}.closing_event_id"


def _numbers(measures: str) -> str:
    return ", ".join(f"{name} bigint NOT NULL DEFAULT 0" for name in measures.split(", "))


def upgrade() -> None:
    # Everything before the indexes is committed before them, so each statement may be the second try.
    for table, (keys, measures) in _ROLLUPS.items():
        names = ", ".join(key.split()[0] for key in keys.split(", "))
        # Cells are updated all the time: the room lets them stay in their page.
        op.execute(
            f"CREATE TABLE IF NOT EXISTS {table} ({keys}, purged boolean NOT NULL DEFAULT false, {_numbers(measures)}, "
            f"PRIMARY KEY ({names}, purged)) WITH (fillfactor = 70)"
        )
    # No index: a delta is written once, and read and deleted with all others.
    op.execute(
        f"CREATE TABLE IF NOT EXISTS rollup_deltas ({_DELTA_KEYS}, purged boolean NOT NULL DEFAULT false, "
        f"{_numbers(', '.join((_ATTEMPTS, _PERSONS, _REASONS)))}) "
        "WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)"
    )
    for table, columns in {
        "attempts": (
            "agent_version bigint",
            "time_zone text",
            "counted jsonb",
            "recount boolean NOT NULL DEFAULT false",
        ),
        "calls": ("counted jsonb", "recount boolean NOT NULL DEFAULT false"),
    }.items():
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {column}" for column in columns)
        op.execute(f"ALTER TABLE {table} {added}")
    op.execute(
        "CREATE OR REPLACE FUNCTION mark_for_recount() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.recount := true; RETURN NEW; END $$"
    )
    for table, condition, facts in (
        ("attempts", "OLD.counted IS NOT NULL AND NEW.phone <> 'erased'", _FACTS),
        ("calls", "NEW.phone <> 'erased'", _ENDS),
    ):
        op.execute(
            f"CREATE OR REPLACE TRIGGER {table}_recount BEFORE UPDATE ON {table} FOR EACH ROW "
            f"WHEN ({_BY_ANOTHER} AND {condition} AND NEW.counted IS NOT DISTINCT FROM OLD.counted AND NOT NEW.recount "
            f"AND ({facts.format('NEW')}) IS DISTINCT FROM ({facts.format('OLD')})) "
            "EXECUTE FUNCTION mark_for_recount()"
        )
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        for name, definition in {
            "attempts_to_count": "attempts (call_id) WHERE recount OR (verdict_type IS NOT NULL AND counted IS NULL)",
            "calls_to_count": "calls (call_id) WHERE recount OR (final AND counted IS NULL)",
            "outbox_created": "outbox USING brin (created_at)",  # for exports
            "attempts_sent": "attempts (sent_at, attempt_id) WHERE verdict_type IS NOT NULL",
        }.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")
        op.execute("RESET lock_timeout")
