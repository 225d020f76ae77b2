"""The statistics over HTTP: each number is exact, names what it is made of, and lists exactly its rows."""

import random
from typing import Any

import pytest

from ringback.domain.call import RetryPolicy
from ringback.domain.metrics import METRICS, Unit
from ringback.flows.analytics import BREAKDOWNS
from ringback.flows.ending_calls import cancel_call
from tests.audit_log import TESTER
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.test_any_story import Story
from tests.flows.rollups.conftest import CountingStack

from .conftest import Api

DAY = {"from": "2026-12-01", "to": "2026-12-02"}
MONTHS = {"from": "2026-12-01", "to": "2027-02-01"}


async def two_talks_and_a_busy(stack: CountingStack) -> None:
    await stack.play(await stack.talk(contact=0), r.COMPLETED)
    await stack.play(await stack.talk(contact=1), r.PARTIAL)
    await stack.play(await stack.talk(contact=2, agent_id="agent_2"), r.BUSY)


async def test_a_summary_has_every_metric_with_its_parts(stack: CountingStack, api: Api) -> None:
    await two_talks_and_a_busy(stack)
    await stack.rows.fold(3)  # the rest is read from the deltas
    answer = await api.get("/v1/analytics/summary", **DAY, compare="previous")
    assert (answer["zone"], answer["from"]) == ("America/New_York", "2026-12-01T05:00:00.000Z")
    assert answer["not_aggregated"] == []
    metrics = answer["metrics"]
    assert metrics.keys() == METRICS.keys()
    human = metrics["human_rate"]
    assert (human["value"], human["numerator"], human["denominator"], human["previous"]) == (2 / 3, 2, 3, None)
    assert human["interval"] == pytest.approx([0.2077, 0.9385], abs=1e-4)
    for name, shown in metrics.items():
        is_share = METRICS[name].unit is Unit.SHARE and shown["denominator"]
        assert (shown["interval"] is not None) == bool(is_share), name
        assert (shown["denominator"] is None) == (METRICS[name].denominator is None), name
    assert (metrics["contact_rate"]["numerator"], metrics["contact_rate"]["denominator"]) == (2, 3)
    assert metrics["goal_rate_of_reached"]["value"] == 0.5
    assert (metrics["cost"]["value"], metrics["cost"]["rows"]) == (29.0, 3)
    assert metrics["cost_per_goal"]["value"] == 29.0
    assert metrics["talk_time"]["value"] == 83.0
    assert metrics["failures"]["value"] == 1
    assert answer["coverage"] == {"analysed": 1.0, "cost_known": 1.0, "is_partial": False}
    talk = answer["distributions"]["talk_s"]
    assert talk["samples"] == 2
    assert talk["p50"] == pytest.approx(83.0, rel=0.09)


async def test_a_filter_leaves_out_what_is_not_counted_by_it(stack: CountingStack, api: Api) -> None:
    await two_talks_and_a_busy(stack)
    answer = await api.get("/v1/analytics/summary", **DAY, agent_id="agent_2")
    assert answer["metrics"]["attempts"]["value"] == answer["metrics"]["persons"]["value"] == 1
    assert answer["not_aggregated"] == ["failures", "denials"]
    answer = await api.get("/v1/analytics/summary", **DAY, outcome="completed")
    assert (answer["metrics"]["attempts"]["value"], answer["distributions"]) == (1, {})
    assert "contact_rate" in answer["not_aggregated"]


async def test_a_series_has_every_step(stack: CountingStack, api: Api) -> None:
    await two_talks_and_a_busy(stack)
    days = await api.get(
        "/v1/analytics/series",
        metric="human_rate",
        step="day",
        compare="previous",
        **{"from": "2026-11-30", "to": "2026-12-02"},
    )
    assert [(item["at"], item["numerator"], item["denominator"]) for item in days["items"]] == [
        ("2026-11-30T05:00:00.000Z", 0, 0),
        ("2026-12-01T05:00:00.000Z", 2, 3),
    ]
    hours = await api.get("/v1/analytics/series", metric="attempts", step="hour", **DAY)
    assert [item["value"] for item in hours["items"]] == [0] * 12 + [3] + [0] * 11
    berlin = await api.get("/v1/analytics/series", metric="attempts", step="day", zone="Europe/Berlin", **DAY)
    assert [(item["at"], item["value"]) for item in berlin["items"]] == [("2026-11-30T23:00:00.000Z", 3)]


async def test_a_step_that_the_month_before_did_not_have_is_compared_with_nothing(
    stack: CountingStack, api: Api
) -> None:
    await two_talks_and_a_busy(stack)
    asked = {"metric": "attempts", "step": "day", "compare": "previous"}
    december = await api.get("/v1/analytics/series", **asked, **{"from": "2026-12-01", "to": "2027-01-01"})
    assert [item["value"] for item in december["items"]] == [3] + [0] * 30
    assert [item["previous"] for item in december["items"]] == [0] * 30 + [None], "November has 30 days"
    asked = {"metric": "attempts", "step": "hour", "compare": "previous"}
    clocks_go_back = await api.get("/v1/analytics/series", **asked, **{"from": "2026-11-01", "to": "2026-11-02"})
    assert [item["previous"] for item in clocks_go_back["items"]] == [0] * 24 + [None]


async def test_whole_months_are_compared_with_the_months_before(stack: CountingStack, api: Api) -> None:
    await two_talks_and_a_busy(stack)
    january = {"from": "2027-01-01", "to": "2027-02-01", "metric": "attempts", "by": "local_hour"}
    answer = await api.get("/v1/analytics/breakdown", **january, compare="previous")
    assert (answer["items"], answer["others"]) == ([], 0)
    december = await api.get(
        "/v1/analytics/breakdown", **january | {"from": "2026-12-01", "to": "2027-01-01"}, compare="previous"
    )
    assert [(item["key"]["local_hour"], item["value"], item["previous"]) for item in december["items"]] == [(9, 3, 0)]


@pytest.mark.parametrize(
    ("path", "query", "detail"),
    [
        (
            "summary",
            DAY | {"agent_id": "agent_1", "from_number": "+14155550199"},
            "agent_id, from_number: these are not",
        ),
        ("series", DAY | {"metric": "contact_rate", "step": "hour"}, "by whole days of the report zone"),
        ("breakdown", DAY | {"metric": "human_rate", "by": "local_hour"}, "by whole months"),
        ("breakdown", DAY | {"metric": "human_rate", "by": "reason"}, "reason: these are not counted"),
        ("summary", DAY | {"agent_id": "agent_1", "zone": "Europe/Berlin"}, "by whole days of the report zone"),
        ("series", {"from": "2000-01-01", "to": "2026-12-01", "metric": "attempts"}, "at most 2000 steps"),
        ("summary", {"from": "2026-12-01T17:00:00.5Z", "to": "2026-12-02"}, "by whole days of the report zone, or"),
        ("rows", DAY | {"measure": "persons", "outcome": "completed"}, "outcome: this cannot choose among"),
        ("rows", DAY | {"measure": "denied", "agent_id": "agent_1"}, "agent_id: this cannot choose among"),
    ],
)
async def test_what_is_not_counted_together_is_refused_with_what_is(
    api: Api, path: str, query: dict[str, Any], detail: str
) -> None:
    problem = await api.refused(f"/v1/analytics/{path}", **query)
    assert problem["code"] == "not_aggregated"
    assert detail in problem["detail"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "yesterday"}, "query:from"),
        ({"from": "0001-01-01"}, "query:from"),
        ({"to": "9999-12-31T23:59:59Z"}, "query:to"),
        ({"from": "2026-12-02", "to": "2026-12-01"}, "query:to"),
        ({"zone": "Mars/Olympus"}, "query:zone"),
        ({"agent": "agent_1"}, "query:agent"),
    ],
)
async def test_a_malformed_query_is_refused_with_the_parameter(api: Api, query: dict[str, str], pointer: str) -> None:
    problem = await api.refused("/v1/analytics/summary", **query)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_sum_of_money_or_time_counts_no_rows(api: Api) -> None:
    problem = await api.refused("/v1/analytics/rows", **DAY, measure="talk_ms")
    assert [error["pointer"] for error in problem["errors"]] == ["query:measure"]


async def test_every_number_lists_exactly_its_rows(stack: CountingStack, api: Api) -> None:
    rng = random.Random(20261201)
    for number in range(10):
        own = CountingStack(stack.pool, type(stack.clock)())
        story = Story(own, rng.randrange(10_000))
        story.call_id = await own.accept(retry=RetryPolicy(3, (60, 90_000)), agent_id=f"agent_{number % 3}")
        for _ in range(rng.randrange(4, 12)):
            await story.step()
    cancelled = await stack.accept(not_before=stack.clock.now().replace(hour=23))
    await cancel_call(stack.store, stack.clock, cancelled, TESTER)
    await stack.rows.fold(12)

    checked = 0
    figures = list((await api.get("/v1/analytics/summary", **MONTHS))["metrics"].items())
    for by in BREAKDOWNS:
        metrics = {"reason": ("failures", "denials"), "agent": ("human_rate", "contact_rate")}.get(by, ("human_rate",))
        for metric in metrics:
            answer = await api.get("/v1/analytics/breakdown", **MONTHS, metric=metric, by=by)
            figures += [(f"{metric} by {by} {item['key']}", item) for item in answer["items"]]
    for step in ("day", "week"):
        answer = await api.get("/v1/analytics/series", **MONTHS, metric="goal_rate", step=step)
        figures += [(f"goal_rate of {item['at']}", item) for item in answer["items"] if item["denominator"]]
    for name, shown in figures:
        assert len(await api.rows(shown["rows_url"])) == shown["rows"], name
        if "denominator_rows_url" in shown:
            assert len(await api.rows(shown["denominator_rows_url"])) == shown["denominator"], name
        checked += 1
    assert checked > 40
