"""What is reported of the rounds, and the payloads that the load is made of."""

import json

from benchmarks.paths import PATHS
from benchmarks.payloads import EVENTS, CallIds, fictional_phones, fill_in, signature, webhook_text
from benchmarks.report import table
from benchmarks.results import PathResult, Round, SideResult, steady_rate
from ringback.adapters.retell.events import report_from_webhook
from ringback.adapters.retell.signature import verify


def side(*rates, handled=100, commits=150):
    rounds = [Round(handled, rate, 0.05, 0.02, 10.0, 20.0) for rate in rates]
    return SideResult(rounds, 50_000_000, {"send": 10, "delete": 5}, commits, handled)


def test_a_figure_is_the_median_of_its_rounds_so_that_one_disturbed_round_does_not_count():
    assert side(100.0, 3.0, 110.0).rate == 100.0


def test_the_ratio_compares_each_round_with_the_floor_beside_it():
    # The machine was twice as slow in the second round, for both: the ratio does not see it.
    result = PathResult("accept", "calls", side(100.0, 50.0), side(200.0, 100.0))
    assert result.ratio == 0.5


def test_cpu_queue_calls_and_commits_are_told_per_message():
    measured = side(100.0)
    assert measured.process_cpu_s_per_1000 == 0.5
    assert measured.queue_calls_each == 0.15
    assert measured.commits_each == 1.5


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
    lines = table([("`accept`", "product", *["1"] * 9), ("", "floor", *["2"] * 9)]).splitlines()
    assert {line.count("|") for line in lines} == {12}
