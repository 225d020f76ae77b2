"""What is reported of the rounds, and the payloads that the load is made of."""

import json

from benchmarks.goals import GOALS, goals_table
from benchmarks.paths import PATHS
from benchmarks.payloads import EVENTS, CallIds, fictional_phones, fill_in, signature, webhook_text
from benchmarks.report import table, table_of_paths
from benchmarks.results import PathResult, Round, SideResult, steady_rate
from ringback.adapters.retell.events import report_from_webhook
from ringback.adapters.retell.signature import verify


def side(*rates, handled=100, commits=150):
    rounds = [Round(handled, rate, 0.05, 0.02, 300_000, 10.0, 20.0, commits) for rate in rates]
    calls = {"send": 10, "delete": 5, "decodes": 200}
    return SideResult(rounds, 50_000_000, calls, handled, {"tasks": (100, 80)})


def test_a_figure_is_the_median_of_its_rounds_so_that_one_disturbed_round_does_not_count():
    assert side(100.0, 3.0, 110.0).rate == 100.0


def test_the_ratio_compares_each_round_with_the_floor_beside_it():
    # The machine was twice as slow in the second round, for both: the ratio does not see it.
    result = PathResult("accept", "calls", {"product": side(100.0, 50.0), "floor": side(200.0, 100.0)})
    assert result.ratios() == {"floor": 0.5}


def test_cpu_queue_calls_and_commits_are_told_per_message():
    measured = side(100.0)
    assert measured.process_cpu_s_per_1000 == 0.5
    assert measured.queue_calls_each == 0.15
    assert measured.commits_each == 1.5
    assert measured.wal_bytes_each == 3000
    assert measured.decodes_each == 2


def test_a_program_without_a_database_has_no_commits_and_no_queue_calls_of_ours():
    result = PathResult("place", "calls", {"product": side(50.0), "celery": SideResult([], 0, None, 0)})
    assert result.sides["celery"].commits_each is result.sides["celery"].queue_calls_each is None


def test_starting_and_emptying_a_queue_do_not_count_as_its_pace():
    samples = [(0.0, 0), (5.0, 20), (6.0, 80), (20.0, 100)]
    assert steady_rate(samples) == 60.0


def test_a_queue_that_was_empty_at_the_first_look_still_has_a_pace():
    assert steady_rate([(0.0, 0), (0.5, 100)]) == 200.0


def test_every_webhook_is_about_20_kb_and_one_of_ours():
    ids = CallIds("call_1", "a-call", "an-attempt")
    for event in EVENTS:
        body = fill_in(webhook_text(event, 7), ids)
        report = report_from_webhook(body)
        assert 20_000 <= len(body) < 24_000
        assert (report.event_name, report.provider_call_id, report.attempt_id) == (event, "call_1", "an-attempt")


def test_the_load_is_the_same_for_the_same_seed():
    assert webhook_text("call_ended", 7) == webhook_text("call_ended", 7) != webhook_text("call_ended", 8)


def test_a_signature_of_the_load_is_one_that_the_product_takes():
    body = json.dumps({"event": "call_started"}).encode()
    assert verify(body, signature(body, 1_000), ["key_benchmark_webhook_of_no_value"], 1_000)


def test_phones_are_fictional_and_there_are_enough_for_every_filling():
    phones = fictional_phones()
    assert len(set(phones)) == len(phones) > 25_000
    assert all(phone[5:10] == "55501" for phone in phones)


def test_every_path_checks_the_rows_behind_its_answers():
    assert all(path.done for path in PATHS)


def test_a_table_has_as_many_cells_in_every_line():
    result = PathResult("accept", "calls", {"product": side(100.0), "floor": side(200.0)})
    assert {line.count("|") for line in table_of_paths([result]).splitlines()} == {13}
    assert {line.count("|") for line in table([("a", "b")], ("c", "d")).splitlines()} == {3}


def test_a_goal_is_met_missed_or_not_measured():
    figures = {"place.ratio.celery": 2.0, "place.ratio.dramatiq": 1.99, "burst.refused": 0.0}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in goals_table(figures).splitlines()]
    cells = {row[1]: row[2:] for row in rows if len(row) == 5}
    assert cells["rate, of Celery's"] == ["≥ 2 ×", "2 ×", "yes"]
    assert cells["rate, of Dramatiq's"] == ["≥ 2 ×", "1.99 ×", "**no**"]
    assert cells["rate, of Taskiq's"] == ["≥ 2 ×", "not measured", ""]
    assert cells["webhooks not answered 2xx"] == ["≤ 0", "0", "yes"]
    assert f"2 goals met, 1 missed, {len(GOALS) - 3} not measured." in goals_table(figures)


def test_a_missed_goal_of_a_path_is_followed_by_what_the_path_costs():
    floor, product = side(200.0), side(100.0)
    figures = PathResult("place", "calls placed", {"product": product, "floor": floor}).figures()
    assert "`place`: one costs 0.50 ms in the process and 0.20 ms in PostgreSQL" in goals_table(figures)


def test_hot_updates_are_those_of_the_table_with_the_lowest_share():
    hot = next(goal for goal in GOALS if goal.what.startswith("HOT"))
    tables = ("attempts", "outbox", "queue_messages", "tasks")
    figures = {f"place.updates.{name}": 100.0 for name in tables} | {f"place.hot.{name}": 90.0 for name in tables}
    figures |= {"apply.updates.outbox": 100.0, "apply.hot.outbox": 10.0}
    assert hot.of(figures) == 50.0
