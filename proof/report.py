"""The proof in lines: one for each invariant, the tables of docs/proof.md, and the README's sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from proof.evidence import Evidence
from proof.invariants import Invariant

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

#: What docs/proof.md shows of a suite's counts, which are all in its evidence; of a suite not named here, all.
HEADLINES: Mapping[str, Sequence[str]] = {
    "model": ("configurations", "states", "transitions", "edges_walked", "ways_taken_by_the_product"),
    "crashes": (
        "failpoints",
        "fewest_kills_at_a_failpoint_in_a_mode",
        "kills",
        "lost",
        "duplicated",
        "unexpected",
        "unresolved",
    ),
    "provider": (
        "idempotency_on_calls",
        "idempotency_on_cuts_of_the_answer",
        "idempotency_off_calls",
        "idempotency_off_cuts_of_the_answer",
    ),
    "load": (
        "sustained_per_s",
        "offered_per_s",
        "requests",
        "accepts_accepted_per_s",
        "accepts_shed_per_s",
        "webhooks_accepted_per_s",
        "webhooks_shed_per_s",
        "settled_in_s",
        "mib_ringback",
    ),
}


def planted_for(invariant: Invariant, evidence: Sequence[Evidence]) -> tuple[int, int]:
    """How many bugs aimed at the invariant were caught, and how many there are."""
    bugs = [bug for one in evidence for bug in one.planted.values() if invariant.value in bug["aims"]]
    return sum(bool(bug["caught"]) for bug in bugs), len(bugs)


def cases_of(invariant: Invariant, evidence: Sequence[Evidence]) -> int:
    return sum(one.cases.get(invariant.value, 0) for one in evidence)


def violations_of(invariant: Invariant, evidence: Sequence[Evidence]) -> int:
    return sum(one["invariant"] == invariant.value for each in evidence for one in each.violations)


def lines(evidence: Sequence[Evidence]) -> list[str]:
    return [_line(invariant, evidence) for invariant in Invariant]


def _line(invariant: Invariant, evidence: Sequence[Evidence]) -> str:
    caught, bugs = planted_for(invariant, evidence)
    figures = f"{cases_of(invariant, evidence):>9,} cases  {violations_of(invariant, evidence)} violations"
    where = ", ".join(one.suite for one in evidence if one.cases.get(invariant.value))
    return f"{invariant.value:<4}{figures}  {caught}/{bugs} planted bugs caught  {invariant.text}  [{where}]"


def failures(evidence: Sequence[Evidence]) -> list[str]:
    """Suites that broke, violations, and planted bugs that went unnoticed."""
    found = [f"{one.suite}: {one.error}" for one in evidence if one.error is not None]
    for one in evidence:
        found += [f"{one.suite}: {v['invariant']}: {v['what']} ({v['reproduce']})" for v in one.violations]
        for name, bug in one.planted.items():
            if not bug["caught"]:
                found.append(
                    f"{one.suite}: {name}: {bug['instead']}" if "instead" in bug else f"{one.suite}: not caught: {name}"
                )
    return found


def gaps(evidence: Sequence[Evidence]) -> list[str]:
    """What the suites together did not look at."""
    unseen = [one for one in Invariant if not cases_of(one, evidence)]
    untested = [one for one in Invariant if not planted_for(one, evidence)[1]]
    return [f"{one.value}: no suite looked at it" for one in unseen] + [
        f"{one.value}: no bug was planted against it" for one in untested
    ]


def totals(evidence: Sequence[Evidence]) -> str:
    """The README's sentence, between its marks."""
    cases = sum(cases_of(invariant, evidence) for invariant in Invariant)
    violations = sum(len(one.violations) for one in evidence)
    bugs = [bug for one in evidence for bug in one.planted.values()]
    caught = sum(bool(bug["caught"]) for bug in bugs)
    sentence = (
        f"The kept evidence has {cases:,} cases of {len(Invariant)} invariants, {violations} violations, and "
        f"{caught} of {len(bugs)} planted bugs caught."
    )
    return "\n".join([BEGIN, sentence, END])


def figures(evidence: Sequence[Evidence]) -> str:
    """The tables of docs/proof.md, between their marks."""
    rows = ["| invariant | cases | violations | planted bugs caught |", "|---|--:|--:|--:|"]
    for invariant in Invariant:
        caught, bugs = planted_for(invariant, evidence)
        cells = f"{cases_of(invariant, evidence):,} | {violations_of(invariant, evidence)} | {caught} of {bugs}"
        rows.append(f"| **{invariant.value}** {invariant.text} | {cells} |")
    rows += ["", "| suite | took | counted |", "|---|--:|---|"]
    for one in evidence:
        shown = {name: one.counts[name] for name in HEADLINES.get(one.suite, one.counts) if name in one.counts}
        rows.append(f"| `{one.suite}` | {one.duration_s:,.0f} s | {_told(shown, '; ')} |")
    return "\n".join([BEGIN, *rows, END])


def _told(counts: Mapping[str, Any], between: str = ", ") -> str:
    return between.join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in counts.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"({_told(value)})"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def with_figures(document: str, between_the_marks: str) -> str:
    """The document with its figures replaced. `between_the_marks` includes both marks."""
    head, found, rest = document.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    assert found and ended, f"the document has no place for figures: {BEGIN} … {END}"
    return head + between_the_marks + tail
