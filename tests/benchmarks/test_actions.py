"""The actions' load: what is asked, what counts as an answer, and one short run on the real process."""

import json
from collections import Counter

import asyncpg
import pytest

from benchmarks.action_load import COMMIT, EMPTY, ROUND_TRIP, UnexpectedReply, check_reply, pieces
from benchmarks.action_requests import AGENTS, KINDS, SYSTEMS
from benchmarks.actions import measure
from benchmarks.ground import give_defaults
from benchmarks.payloads import INSTANCE
from benchmarks.running import Plan
from benchmarks.seeding import ids_of
from ringback.adapters.retell.functions import parse_tool_call

pytestmark = pytest.mark.matrix

EVERYTHING = {*(kind.name for kind in KINDS), EMPTY, ROUND_TRIP, COMMIT}


def test_all_nine_actions_are_asked_by_systems_and_seven_by_agents():
    per_api = Counter(kind.api for kind in KINDS)
    assert per_api == {SYSTEMS: 9, AGENTS: 7}
    assert len({kind.action for kind in KINDS}) == 9


def test_every_lap_has_everything_once_and_no_call_is_asked_about_twice():
    given = list(pieces(3 * len(KINDS) + 1, seed=7))
    for lap in range(3):
        assert Counter(getattr(kind, "name", kind) for at, kind, _ in given if at == lap) == Counter(EVERYTHING)
    assert sorted(number for _, kind, number in given if kind in KINDS) == list(range(1, 3 * len(KINDS) + 1))


def test_an_agents_request_is_a_tool_call_of_its_own_conversation():
    kind = next(each for each in KINDS if each.api == AGENTS)
    body = kind.request(5, seed=7).partition(b"\r\n\r\n")[2]
    call = parse_tool_call(body)
    assert (call.provider_call_id, call.attempt_id) == (ids_of(5).provider_call_id, ids_of(5).attempt_id)
    assert (call.args, call.tool_call_id) == (kind.args, "tool_call_1")
    assert 20_000 <= len(body) < 24_000


@pytest.mark.parametrize(
    "reply", [{"ok": False, "code": "invalid_args"}, {"ok": True, "code": "caller_unknown"}, {"title": "Unauthorized"}]
)
def test_only_an_action_that_was_done_counts(reply):
    kind = next(each for each in KINDS if each.action == "incoming_call")
    check_reply(kind, b'{"ok": true, "code": "caller_known"}')
    with pytest.raises(UnexpectedReply, match="incoming_call systems"):
        check_reply(kind, json.dumps(reply).encode())


async def test_a_run_tells_the_latency_of_every_action_and_of_both_yardsticks(database_url, tmp_path):
    connection = await asyncpg.connect(database_url)
    await give_defaults(connection)
    await connection.execute("UPDATE installation SET instance = $1, emulated = NULL", INSTANCE)
    await connection.close()
    plan = Plan(seconds=1.0, rounds=1, limit_s=60.0, seed=7)
    results = await measure(database_url, tmp_path, 60.0, plan, calls=3 * len(KINDS), warm_laps=1)
    assert {name: timing.count for name, timing in results.timings.items()} == dict.fromkeys(EVERYTHING, 2)
    assert all(0 < timing.p50_ms <= timing.p99_ms for timing in results.timings.values())
    section = results.section()
    assert sum(line.startswith("| `") for line in section.text.splitlines()) == len(KINDS)
    assert 0 < section.figures["actions.agents.median"] <= section.figures["actions.agents.slowest"]
