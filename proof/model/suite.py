"""Search every configuration of the model to its end, and show that each planted bug has a counterexample."""

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from proof.findings import Findings, Say, Size
from proof.invariants import Invariant
from proof.model.bugs import PLANTED
from proof.model.conformance import compare
from proof.model.rules import Rules
from proof.model.search import Counterexample, Edge, Label, Search, Searched
from proof.model.state import Bounds
from ringback.domain.attempt import TRANSITIONS

STOPS = frozenset({"suppress", "cancel", "delete", "opt_out", "pause", "expire"})
_MOVES = frozenset({"reschedule", "delete", "cancel"})
_ACKNOWLEDGED = frozenset({"suppress", "cancel"})

FULL = (
    Bounds("faults", faults=4, wishes=0),
    Bounds("stops", faults=2, wishes=2, wished=STOPS),
    Bounds("same-key resend", faults=3, wishes=0, has_keys=True, resends=True),
    Bounds("same-key resend and stops", faults=2, wishes=1, has_keys=True, resends=True, wished=STOPS),
    Bounds("callbacks", faults=1, wishes=1, wished=_MOVES),
    Bounds("callbacks deleted", faults=0, wishes=2, wished=_MOVES, talks=False),
    Bounds("retries", faults=2, wishes=1, attempts=2, talks=False, wished=_ACKNOWLEDGED),
    Bounds("voicemails", faults=1, wishes=1, workers=1, attempts=2, voicemails=True, wished=_ACKNOWLEDGED),
    Bounds("two calls", calls=2, faults=2, wishes=0, talks=False),
    Bounds("two calls and stops", calls=2, phones=2, faults=1, wishes=1, talks=False, wished=_ACKNOWLEDGED),
    Bounds("a provider that lies", faults=2, wishes=1, provider_lies=True, has_keys=True, wished=STOPS),
)
SMALL = (
    Bounds("faults", faults=2, wishes=0),
    Bounds("stops", faults=1, wishes=1, workers=1, wished=STOPS),
    Bounds("same-key resend", faults=1, wishes=0, has_keys=True, resends=True, talks=False),
    Bounds("two calls", calls=2, workers=1, faults=0, wishes=1, talks=False, wished=frozenset({"suppress"})),
    Bounds("a provider that lies", faults=2, wishes=0, provider_lies=True, has_keys=True, lookups=2, workers=1),
    Bounds("voicemails", faults=0, wishes=1, workers=1, attempts=2, voicemails=True, wished=frozenset({"cancel"})),
    Bounds("look-ups impossible", faults=3, wishes=0, lookups=1, workers=1),
)

AT_ONCE = 2
#: Ways of each configuration that the product takes too, beside the shortest one to each edge.
SAMPLED = 30

# The steps after which an oracle checks an invariant. At rest, in a situation without further steps, it checks all.
_LOOKED_AT = {
    Invariant.I2: ("rings", "rings, answer lost", "late request rings"),
    Invariant.I4: ("send",),
    Invariant.I5: ("deliver", "deliver and keep", "deliver stale"),
    Invariant.I6: ("count look-up", "look-ups impossible", "look-up fails"),
    Invariant.I7: ("webhook", "webhook twice"),
    Invariant.I9: ("deliver stale", "deliver and keep", "sweep"),
    Invariant.I10: ("deliver", "deliver and keep", "deliver stale"),
    Invariant.I17: ("deliver", "deliver and keep", "deliver stale"),
}
_IN_EVERY_SITUATION = (Invariant.I3, Invariant.I20)
_AT_REST = (Invariant.I1, Invariant.I13)


def run(size: Size, seed: int, say: Say) -> Findings:
    """Only the ways that the product is sampled on are random."""
    configurations = FULL if size is Size.FULL else SMALL
    findings = Findings("model", seed, {bounds.name: _told(bounds) for bounds in configurations})
    edges: Counter[Edge] = Counter()
    ways: dict[Edge, tuple[Bounds, tuple[Label, ...]]] = {}
    totals: Counter[str] = Counter()
    # A fork of a test's process would have its locks and threads.
    with ProcessPoolExecutor(AT_ONCE, mp_context=multiprocessing.get_context("forkserver")) as pool:
        for bounds, searched in zip(configurations, pool.map(_search, configurations), strict=True):
            _note(findings, searched)
            edges += searched.edges
            ways = {edge: (bounds, labels) for edge, labels in searched.ways.items()} | ways
            totals += Counter(states=searched.states, transitions=searched.transitions, rests=searched.rests)
            say(_line(searched))
        caught = list(pool.map(_way_to_bug, range(len(PLANTED))))
    _note_edges(findings, edges)
    findings.counts |= {"configurations": len(configurations), **totals, "edges_walked": len(edges)}
    for planted, way in zip(PLANTED, caught, strict=True):
        findings.plant(planted.name, way is not None, planted.aim)
        say(f"{planted.name}: {planted.what} {way or 'NOT CAUGHT'}")
    if size is Size.FULL:
        # A few ways are part of the tests, on the database that these have.
        compare(findings, ways, SAMPLED, say)
    return findings


def _search(bounds: Bounds) -> Searched:
    return Search(bounds, Rules()).run()


def _way_to_bug(number: int) -> str | None:
    """None if the search does not find it."""
    planted = PLANTED[number]
    found = Search(planted.bounds, planted.rules(), aim=planted.aim).run().found
    return _way(found[0]) if found else None


def _told(bounds: Bounds) -> dict[str, object]:
    return {name: getattr(bounds, name) for name in bounds.__slots__ if name != "wished"} | {
        "wished": sorted(bounds.wished) if bounds.wishes else []
    }


def _note(findings: Findings, searched: Searched) -> None:
    for invariant, names in _LOOKED_AT.items():
        if invariant is not Invariant.I2 or not searched.bounds.provider_lies:
            findings.tried(invariant, cases=sum(searched.steps[name] for name in names))
    findings.tried(*_IN_EVERY_SITUATION, cases=searched.states)
    findings.tried(*_AT_REST, cases=searched.rests)
    findings.tried(Invariant.I14, cases=searched.events)
    findings.counts[f"{searched.bounds.name}: states, transitions, depth"] = [
        searched.states,
        searched.transitions,
        searched.depth,
    ]
    for found in searched.found:
        findings.broke(found.invariant, found.what, f"{searched.bounds.name}: {_way(found)}")
    if not searched.is_whole and not searched.found:
        findings.broke(Invariant.I20, "the search did not end", f"{searched.bounds}")


def _note_edges(findings: Findings, edges: Counter[Edge]) -> None:
    table = {(before, after) for before, targets in TRANSITIONS.items() for after in targets}
    for before, after in sorted(table - edges.keys()):
        findings.broke(
            Invariant.I6, f"{before} -> {after} is in the table, and nothing takes it", "every configuration"
        )


def _line(searched: Searched) -> str:
    end = "whole" if searched.is_whole else "NOT WHOLE"
    return (
        f"{searched.bounds.name}: {searched.states} situations, {searched.transitions} transitions, "
        f"depth {searched.depth}, {searched.rests} at rest, {len(searched.edges)} edges, "
        f"{len(searched.found)} broken, {end}"
    )


def _way(found: Counterexample) -> str:
    labels = "; ".join(" ".join(str(part) for part in label) for label in found.trace)
    return f"{found.invariant}, {found.what}, after {len(found.trace)} steps: {labels}"
