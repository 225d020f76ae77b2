"""What must become of a call, stated for each case before it is tried, and judged by what the outside saw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from proof.invariants import Invariant
from proof.provider.acts import Plan

Inv = Invariant
Json = dict[str, Any]

#: A create-phone-call that leaves this long after the product was given proof of the call was sent in spite of it.
IN_SPITE_OF_EVIDENCE_S = 5.0

#: Of each scenario of the emulator: the call's final status, and the events after `initiated`.
OUTCOMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "00": ("completed", ("started", "completed")),
    "01": ("failed", ("failed no_answer",)),
    "02": ("failed", ("failed busy",)),
    "03": ("left_voicemail", ("started", "left_voicemail")),
    "05": ("partially_completed", ("started", "partially_completed")),
    "14": ("failed", ("failed declined",)),
}


@dataclass(frozen=True, slots=True)
class Fate:
    """`creates` are the numbers of create-phone-call that the proxy may have seen for the one attempt."""

    rings: int
    creates: frozenset[int]
    status: str
    events: tuple[str, ...]
    corrected: bool = False  # abandoned first; the truth came later, and the end corrects
    surfaced: bool = False  # abandoned as unknown


@dataclass(frozen=True, slots=True)
class Case:
    """`name` is also the key of the call's metadata under which proxy and ledgers know it."""

    name: str
    family: str
    what: str
    plan: Plan
    fate: Fate
    scenario: str = "00"
    invariants: frozenset[Invariant] = frozenset()
    otherwise: Fate | None = None  # as good as `fate`, where chance decides which it is

    def __str__(self) -> str:
        return f"case {self.name} ({self.family}: {self.what}; scenario {self.scenario})"


def answered(scenario: str, *creates: int) -> Fate:
    """The phone rang once, and the end is the scenario's."""
    status, events = OUTCOMES[scenario]
    return Fate(1, frozenset(creates or (1,)), status, ("initiated", *events))


def abandoned(*creates: int) -> Fate:
    return Fate(0, frozenset(creates or (1,)), "abandoned", ("failed outcome_unknown",), surfaced=True)


def refused() -> Fate:
    return Fate(0, frozenset({1}), "failed", ("failed refused",))


def rang_after_all(scenario: str, *creates: int) -> Fate:
    """Given up, and then the late request rang the phone."""
    fate = answered(scenario, *creates)
    return replace(fate, events=("failed outcome_unknown", *fate.events), corrected=True)


def refused_and_rang(scenario: str) -> Fate:
    """The refusal was told before the webhooks of the call were applied, and the end corrects it."""
    fate = answered(scenario)
    return replace(fate, events=("failed refused", *fate.events), corrected=True)


@dataclass(slots=True)
class Evidence:
    """What the ledgers and the database say about one call."""

    rings: list[Json] = field(default_factory=list)
    create_bodies: list[bytes] = field(default_factory=list)
    create_keys: list[str | None] = field(default_factory=list)
    create_times: list[float] = field(default_factory=list)
    evidence_at: float | None = None
    deliveries: list[Json] = field(default_factory=list)
    call: Json = field(default_factory=dict)
    attempts: list[Json] = field(default_factory=list)


Problem = tuple[Invariant, str]


def judge(case: Case, seen: Evidence) -> list[Problem]:
    """Every way in which what was seen is not the case's fate."""
    if case.otherwise is not None and not judge(replace(case, fate=case.otherwise, otherwise=None), seen):
        return []
    return [*_rings(case, seen), *_requests(case, seen), *_rows(case, seen), *_events(case, seen)]


def _rings(case: Case, seen: Evidence) -> Iterator[Problem]:
    if len(seen.rings) > 1:
        yield Inv.I2, f"{len(seen.rings)} rings for one attempt"
    elif len(seen.rings) != case.fate.rings:
        yield Inv.I6, f"{len(seen.rings)} rings instead of {case.fate.rings}"


def _requests(case: Case, seen: Evidence) -> Iterator[Problem]:
    if len(set(seen.create_bodies)) > 1 or len(set(seen.create_keys)) > 1:
        yield Inv.I5, "the create requests of one attempt differ"
    if len(seen.create_bodies) not in case.fate.creates:
        yield Inv.I5, f"{len(seen.create_bodies)} create requests instead of {sorted(case.fate.creates)}"
    limit = None if seen.evidence_at is None else seen.evidence_at + IN_SPITE_OF_EVIDENCE_S
    if limit is not None and any(at > limit for at in seen.create_times):
        yield Inv.I5, "a create request although the call was already proved"


def _rows(case: Case, seen: Evidence) -> Iterator[Problem]:
    if not seen.call.get("final"):
        yield Inv.I1, f"not final: {seen.call.get('status')}"
    elif seen.call["status"] != case.fate.status:
        yield Inv.I6, f"the call is {seen.call['status']} instead of {case.fate.status}"
    if len(seen.attempts) != 1:
        yield Inv.I7, f"{len(seen.attempts)} attempts instead of one"
        return
    attempt = seen.attempts[0]
    if seen.rings and attempt["provider_call_id"] != seen.rings[0]["provider_call_id"]:
        yield Inv.I7, f"bound to {attempt['provider_call_id']}, but {seen.rings[0]['provider_call_id']} rang"
    if attempt["state"] in ("unknown", "dialing"):
        yield Inv.I6, f"the attempt is still {attempt['state']}"
    if case.fate.surfaced and attempt["state"] != "abandoned":
        yield Inv.I6, f"the attempt is {attempt['state']}, not abandoned"


def _events(case: Case, seen: Evidence) -> Iterator[Problem]:
    first_by_id: dict[str, Json] = {}
    for delivery in seen.deliveries:
        known = first_by_id.setdefault(delivery["id"], delivery["event"])
        if known != delivery["event"]:
            yield Inv.I14, "one event id with two contents"
        if not delivery["signature_ok"]:
            yield Inv.I14, "an event that was not signed as agreed"
    events = list(first_by_id.values())
    told = tuple(_named(event) for event in events)
    if told != case.fate.events:
        yield (Inv.I14 if told else Inv.I1), f"Engage was told {list(told)} instead of {list(case.fate.events)}"
        return
    sequences = [event["data"]["sequence"] for event in events]
    if sequences != sorted(set(sequences)):
        yield Inv.I14, f"sequences {sequences}"
    finals = [e for e in events if e["data"].get("is_final") and not e["data"].get("corrects")]
    if len(finals) != 1:
        yield Inv.I14, f"{len(finals)} uncorrected final events"
    if case.fate.corrected and not events[-1]["data"].get("corrects"):
        yield Inv.I14, "the end after an abandonment corrects nothing"
    if case.fate.surfaced and events[-1]["data"]["attempted"] is not None:
        yield Inv.I14, "an abandoned attempt claims to know whether it was attempted"


def _named(event: Json) -> str:
    kind = str(event["type"]).removeprefix("voice_ai_call_")
    return f"failed {event['data']['reason']}" if kind == "failed" else kind
