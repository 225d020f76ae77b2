"""The bookkeeping of the proof: nothing is lost between a suite and its line, and a gap is not passed over."""

from dataclasses import replace
from pathlib import Path

from proof import evidence
from proof.evidence import Evidence, from_failure, from_findings
from proof.findings import Findings, Size
from proof.invariants import Invariant
from proof.report import BEGIN, END, HEADLINES, failures, figures, gaps, lines, totals, with_figures
from proof.suites import NAMES

I2, I5 = Invariant.I2, Invariant.I5


def of_crashes() -> Evidence:
    found = Findings("crashes", 7, settings={"idempotency": "on"}, counts={"kills": 3})
    found.tried(I2, I5, cases=3)
    found.plant("send before the commit", True, I2)
    return from_findings(found, Size.SMALL, 1.26)


def of_model() -> Evidence:
    found = Findings("model", 7)
    found.tried(I2, cases=40)
    found.plant("a resend takes another key", True, I2, I5)
    return from_findings(found, Size.SMALL, 0.5)


def test_evidence_is_read_as_it_was_written(tmp_path: Path):
    for one in (of_crashes(), of_model()):
        one.write(tmp_path)
    assert evidence.read(tmp_path) == [of_model(), of_crashes()]


def test_a_line_sums_the_cases_and_planted_bugs_of_every_suite():
    second = lines([of_crashes(), of_model()])[1]
    assert second.startswith("I2         43 cases  0 violations  2/2 planted bugs caught")
    assert second.endswith("[crashes, model]")


def test_there_is_one_line_for_each_invariant():
    assert [line.split()[0] for line in lines([])] == [f"I{number}" for number in (*range(1, 24), 27)]


def test_a_violation_a_bug_not_caught_and_a_broken_suite_are_failures():
    broken = Findings("crashes", 7)
    broken.tried(I2)
    broken.broke(I2, "rang twice", "seed 7, point claim.committed")
    broken.plant("send before the commit", False, I2)
    broken.plant("a resend takes another key", False, I5, how="not judged: pytest did not end in time")
    broken.plant("a lease never ends", True, I5, how="caught: test_lease")
    told = [
        from_findings(broken, Size.SMALL, 1.0),
        from_failure("load", Size.FULL, 7, 2.0, OSError("no room")),
        of_model(),
    ]
    assert failures(told) == [
        "load: OSError: no room",
        "crashes: I2: rang twice (seed 7, point claim.committed)",
        "crashes: not caught: send before the commit",
        "crashes: a resend takes another key: not judged: pytest did not end in time",
    ]
    assert [one.holds for one in told] == [False, False, True]


def test_a_suite_that_tried_nothing_does_not_hold():
    assert not from_findings(Findings("kill", 7), Size.SMALL, 0.1).holds


def test_an_invariant_without_cases_is_a_gap():
    found = gaps([of_crashes(), of_model()])
    assert "I1: no suite looked at it" in found and "I1: no bug was planted against it" in found
    assert not any(line.startswith(("I2:", "I5:")) for line in found)


def test_the_figures_replace_what_stands_between_the_marks():
    document = f"# Title\n{BEGIN}\nold\n{END}\nrest\n"
    changed = with_figures(document, figures([of_crashes()]))
    assert changed == f"# Title\n{figures([of_crashes()])}\nrest\n"
    assert "| `crashes` | 1 s | kills 3 |" in changed
    assert "| **I2** at most one ring per attempt, under any fault | 3 | 0 | 1 of 1 |" in changed
    assert with_figures(changed, figures([replace(of_crashes(), cases={})])) != changed


def test_the_totals_are_one_sentence():
    assert totals([of_crashes(), of_model()]).splitlines()[1] == (
        f"The kept evidence has 46 cases of {len(Invariant)} invariants, 0 violations, and 2 of 2 planted bugs caught."
    )


def test_the_evidence_is_of_every_suite_at_full_size_and_shows_nothing_broken():
    kept = evidence.read()
    assert [(one.suite, one.size) for one in kept] == [(name, "full") for name in NAMES]
    assert failures(kept) + gaps(kept) == []


def test_what_is_to_be_shown_of_a_suite_is_in_its_evidence():
    for one in evidence.read():
        assert set(HEADLINES.get(one.suite, ())) <= set(one.counts), one.suite


def test_the_documents_show_the_figures_of_the_evidence():
    kept = evidence.read()
    for name, text in (("README.md", totals(kept)), ("docs/proof.md", figures(kept))):
        document = (evidence.ROOT / name).read_text()
        assert with_figures(document, text) == document, name
