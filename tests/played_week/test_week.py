"""The played week: its numbers are those of its rows, every kind of outcome is in it, and its calls keep the rules."""

from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from ringback.up.played_week.people import People
from ringback.up.played_week.requests import acts_of_week

from .conftest import UNTIL, WEEK, Played

pytestmark = pytest.mark.matrix


async def test_every_number_is_that_of_its_rows(played: Played) -> None:
    assert played.is_exact
    assert "no cells differ" in played.printed
    async with played.parts() as deps:
        await deps.rollups().fold_deltas()
        assert await deps.pool.fetchval("SELECT count(*) FROM rollup_deltas") == 0


async def test_the_week_has_every_kind_of_outcome(played: Played) -> None:
    async with played.parts() as deps:
        rows = await deps.pool.fetch("SELECT status, count(*) FROM calls GROUP BY status")
        directions = await deps.pool.fetchval("SELECT count(*) FROM inbound_calls")
        events = dict(await deps.pool.fetch("SELECT payload ->> 'type', count(*) FROM outbox GROUP BY 1"))
        queued = await deps.pool.fetchval(
            "SELECT count(*) FROM outbox WHERE kind = 'call_message' AND delivered_at IS NULL"
        )
    statuses = dict(rows)
    assert sum(statuses.values()) >= WEEK.calls
    assert statuses.keys() >= {"completed", "failed", "left_voicemail", "partially_completed", "scheduled"}
    assert directions > 0
    assert queued == 0
    assert events["voice_ai_call_rescheduled"] > 0


async def test_the_opt_outs_of_the_week_are_counted(played: Played) -> None:
    async with played.parts() as deps:
        filed = await deps.pool.fetchval(
            "SELECT count(DISTINCT call_id) FROM dispositions JOIN attempts USING (attempt_id, call_id)"
            " WHERE code = 'do_not_call' AND verdict_type IS NOT NULL AND user_turns > 0"
        )
        counted = await deps.pool.fetchval(
            "SELECT (SELECT sum(persons_opted_out) FROM rollup_person)"
            " + (SELECT coalesce(sum(persons_opted_out), 0) FROM rollup_deltas)"
        )
    assert counted >= filed > 0


async def test_no_person_is_called_at_night_or_twice_at_once(played: Played) -> None:
    async with played.parts() as deps:
        placed = await deps.pool.fetch(
            "SELECT phone, placed_at, ended_at, time_zone FROM attempts WHERE placed_at IS NOT NULL ORDER BY placed_at"
        )
        gaps = await deps.pool.fetchval(
            "SELECT count(*) FROM attempts AS one JOIN attempts AS other USING (phone)"
            " WHERE one.attempt_id < other.attempt_id AND other.sent_at < one.ended_at"
        )
    assert len(placed) > WEEK.calls
    hours = Counter(row["placed_at"].astimezone(ZoneInfo(row["time_zone"])).hour for row in placed)
    assert min(hours) >= 9 and max(hours) < 20
    assert len(hours) >= 10
    assert gaps == 0


async def test_times_are_those_of_the_week(played: Played) -> None:
    async with played.parts() as deps:
        first, last = await deps.pool.fetchrow("SELECT min(accepted_at), max(accepted_at) FROM calls")
        longest = await deps.pool.fetchval("SELECT max(ended_at - placed_at) FROM attempts")
        ids = await deps.pool.fetchval(
            "SELECT count(*) FROM calls WHERE abs(extract(epoch FROM accepted_at) * 1000"
            " - ('x' || lpad(left(replace(call_id, '-', ''), 12), 16, '0'))::bit(64)::bigint) > 1000"
        )
    assert UNTIL - WEEK.lasts <= first < last < UNTIL
    assert longest < timedelta(minutes=20)
    assert ids == 0


def test_the_seed_decides_what_is_asked() -> None:
    def acts(seed: int) -> list[object]:
        return list(acts_of_week(People(seed), WEEK.since, WEEK.until, 50, seed))

    assert acts(1) == acts(1)
    assert acts(1) != acts(2)
