"""Every fault of the provider as a case, with the outcome that it must have."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from proof.findings import Size
from proof.invariants import Invariant
from proof.provider import forms
from proof.provider.acts import (
    PASS,
    Act,
    End,
    Forward,
    Plan,
    answer_lost,
    answers,
    late,
    lost,
    rings_and_answers,
)
from proof.provider.outcomes import (
    SCENARIOS,
    Case,
    Outcome,
    abandoned,
    answered,
    rang_after_all,
    refused,
)
from proof.provider.proxy import ELSEWHERE

#: Every byte of the answer is a case in the full size, every so manieth in the small one.
CUT_STEP = {Size.FULL: 1, Size.SMALL: 80}
OTHER_FRAMING_STEP = {Size.FULL: 11, Size.SMALL: 400}
BROKEN = (End.CLOSE, End.RESET, End.SILENCE)
UNCLEAR = (500, 502, 503, 504, 408, 409, 425, 507, 520)
REDIRECTS = (301, 302, 303, 307, 308)
_I7 = frozenset({Invariant.I7})
_I13 = frozenset({Invariant.I13})


@dataclass(frozen=True, slots=True)
class Setting:
    """`remembers`: the provider honours idempotency keys, and one resend is allowed. `create_timeout_s` is the
    product's; `provider_url` is where a redirect would ring."""

    size: Size
    remembers: bool
    create_timeout_s: float
    provider_url: str

    def not_rung(self, scenario: str = "00") -> Outcome:
        """The first request came to nothing, and the resend, if there may be one, comes through."""
        return answered(scenario, 2) if self.remembers else abandoned(1)

    def never_rung(self) -> Outcome:
        """The resend comes to nothing as well."""
        return abandoned(2) if self.remembers else abandoned(1)

    def perhaps_resent(self, scenario: str = "00") -> Outcome:
        """It rang, and the proof of that came about when the resend was due."""
        return answered(scenario, 1, 2) if self.remembers else answered(scenario, 1)


class Drafts:
    """Names the cases, and draws what a family leaves open."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting = setting
        self.rng = random.Random(f"cases {seed} {setting.remembers}")
        self._numbers = count()

    def case(
        self,
        family: str,
        what: str,
        plan: Plan,
        outcome: Outcome,
        scenario: str = "00",
        invariants: frozenset[Invariant] = frozenset(),
    ) -> Case:
        return Case(f"case-{next(self._numbers):05d}", family, what, plan, outcome, scenario, invariants)

    def scenario(self) -> str:
        return self.rng.choice(SCENARIOS)

    def plain(self) -> Case:
        return self.case("plain", "nothing happens", Plan(), answered("00"))


def every_family(drafts: Drafts) -> Iterator[Case]:
    """All cases but those of the cuts, which need to know the answer's length."""
    for family in (
        _lost_requests, _lost_answers, _delays, _statuses, _redirects, _deferrals, _refusals, _strange_successes,
        _framings, _late_requests, _lookups, _failed_lookups, _polls, _lost_webhooks, _early_webhooks,
    ):  # fmt: skip
        yield from family(drafts)


def cuts(drafts: Drafts, answer_bytes: int) -> Iterator[Case]:
    """The answer to a call that rings, cut after every one of its bytes but the last."""
    size, rng = drafts.setting.size, drafts.rng
    for after in range(0, answer_bytes, CUT_STEP[size]):
        end = rng.choices(BROKEN, (8, 1, 1))[0]
        yield _cut(drafts, f"cut after byte {after}, then {end.value}", Act(cut=after, end=end))
    for name, form in (("chunked", forms.chunked), ("until close", forms.until_close)):
        for after in range(0, answer_bytes - 40, OTHER_FRAMING_STEP[size]):
            yield _cut(drafts, f"{name}, cut after byte {after}", Act(form=form, cut=after, end=End.CLOSE))


def _cut(drafts: Drafts, what: str, act: Act) -> Case:
    scenario, loses = drafts.scenario(), drafts.rng.random() < 0.3
    plan = Plan((act,), loses_webhooks=loses)
    return drafts.case("cut", what, plan, answered(scenario), scenario, invariants=_I13 if loses else frozenset())


def _lost_requests(drafts: Drafts) -> Iterator[Case]:
    setting = drafts.setting
    for end in BROKEN:
        scenario = drafts.scenario()
        outcome = setting.not_rung(scenario)
        yield drafts.case("lost request", end.value, Plan((lost(end),)), outcome, scenario)
        both = Plan((lost(end), lost(End.CLOSE)))
        yield drafts.case("lost request", f"{end.value}, the resend too", both, setting.never_rung())
        resend_unheard = answered("00", 2) if setting.remembers else abandoned(1)
        plan = Plan((lost(end), answer_lost(End.CLOSE)))
        yield drafts.case("lost request", f"{end.value}, the resend's answer lost", plan, resend_unheard)
    for status in (400, 422, 401, 429, 500, 302):
        plan = Plan((lost(End.CLOSE), answers(status)))
        yield drafts.case("lost request", f"the resend answered {status}", plan, setting.never_rung())


def _lost_answers(drafts: Drafts) -> Iterator[Case]:
    for end in BROKEN:
        for loses in (False, True):
            scenario = drafts.scenario()
            plan = Plan((answer_lost(end),), loses_webhooks=loses)
            what = f"{end.value}{', webhooks lost' if loses else ''}"
            yield drafts.case("lost answer", what, plan, answered(scenario), scenario)


def _delays(drafts: Drafts) -> Iterator[Case]:
    timeout_s = drafts.setting.create_timeout_s
    for factor in (0.2, 0.5, 0.95, 1.0, 1.05, 1.6):
        plan = Plan((Act(delay_s=timeout_s * factor),), loses_webhooks=factor > 1.5)
        yield drafts.case("delay", f"{factor:g} of the create timeout", plan, answered("00"))
    slow = Act(delay_s=0.0, drip_s=timeout_s / 40)
    yield drafts.case("delay", "in small parts, in time", Plan((slow,)), answered("00"))
    too_slow = replace(slow, drip_s=timeout_s / 8)
    yield drafts.case("delay", "in small parts, too slowly", Plan((too_slow,)), answered("00"))


def _statuses(drafts: Drafts) -> Iterator[Case]:
    for status in UNCLEAR:
        scenario = drafts.scenario()
        outcome = drafts.setting.not_rung(scenario)
        yield drafts.case("status", f"{status} before ringing", Plan((answers(status),)), outcome, scenario)
        after = Plan((rings_and_answers(status),))
        yield drafts.case("status", f"{status} after ringing", after, answered(scenario), scenario)


def _redirects(drafts: Drafts) -> Iterator[Case]:
    location = f"location: {drafts.setting.provider_url}{ELSEWHERE}"
    for status in REDIRECTS:
        before = Plan((answers(status, b"", location),))
        yield drafts.case("redirect", f"{status} before ringing", before, drafts.setting.not_rung())
        after = Plan((rings_and_answers(status, b"", location),))
        yield drafts.case("redirect", f"{status} after ringing", after, answered("00"))


def _deferrals(drafts: Drafts) -> Iterator[Case]:
    waits = ((), ("retry-after: 1",), ("retry-after: soon",), ("retry-after: Wed, 21 Oct 2015 07:28:00 GMT",))
    for lines in waits:
        plan = Plan((answers(429, b"{}", *lines),))
        yield drafts.case("429", ", ".join(lines) or "without Retry-After", plan, answered("00", 2))
    twice = Plan((answers(429, b"{}", "retry-after: 1"),) * 2)
    yield drafts.case("429", "twice", twice, answered("00", 3))
    mixed = Plan((answers(429, b"{}", "retry-after: 1"), answer_lost(End.CLOSE)))
    yield drafts.case("429", "then the answer is lost", mixed, answered("00", 2))


def _refusals(drafts: Drafts) -> Iterator[Case]:
    for status in (400, 422):
        yield drafts.case("refusal", str(status), Plan((answers(status),)), refused())


def _strange_successes(drafts: Drafts) -> Iterator[Case]:
    for what, status, body, lines in forms.STRANGE_SUCCESSES:
        before = Plan((answers(status, body, *lines),))
        yield drafts.case("strange 2xx", f"{what}, before ringing", before, drafts.setting.not_rung())
        after = Plan((rings_and_answers(status, body, *lines),))
        yield drafts.case("strange 2xx", f"{what}, after ringing", after, answered("00"))


def _framings(drafts: Drafts) -> Iterator[Case]:
    for what, form in forms.FRAMINGS.items():
        for end in (End.CLOSE, End.KEEP):
            if form in forms.NEED_CLOSE and end is End.KEEP:
                continue
            act = Act(form=form, end=end)
            yield drafts.case("framing", f"{what}, then {end.value}", Plan((act,)), answered("00"))


def repeated_answers(drafts: Drafts) -> tuple[list[Case], list[Case]]:
    """Calls whose answer is sent once more when no request waits for one, and the next calls on the same connections.
    Such a call may read the wrong answer before its own request has left. Then it was not sent, and its outcome is
    unknown."""
    first = [
        drafts.case("repeated answer", "of this call", Plan((Act(repeats=True),)), answered("00")) for _ in range(3)
    ]
    unheard = answered("00", 1, 2) if drafts.setting.remembers else abandoned(0, 1)
    plain = [drafts.case("repeated answer", "of a call before", Plan(), answered("00")) for _ in range(3)]
    return first, [replace(case, otherwise=unheard) for case in plain]


def _late_requests(drafts: Drafts) -> Iterator[Case]:
    setting = drafts.setting
    overdue = late(Forward.AFTER_SECONDS, setting.create_timeout_s * 1.3)
    yield drafts.case("late request", "before the first look-up", Plan((overdue,)), setting.perhaps_resent())
    for lookups in (1, 2, 3, 4):
        scenario = drafts.scenario()
        plan = Plan((late(Forward.AFTER_LOOKUPS, lookups),))
        outcome = setting.perhaps_resent(scenario)
        yield drafts.case("late request", f"after {lookups} look-ups", plan, outcome, scenario)
    if setting.remembers:
        for resend in (PASS, lost(End.CLOSE), answer_lost(End.CLOSE), answers(422), answers(429)):
            plan = Plan((late(Forward.AT_RESEND), resend))
            yield drafts.case("late request", "at the resend", plan, answered("00", 2))
    for scenario in ("00", "02", "03"):
        plan = Plan((late(Forward.ON_RELEASE), lost(End.CLOSE)))
        outcome = rang_after_all(scenario, 2 if setting.remembers else 1)
        yield drafts.case("late request", "after it was given up", plan, outcome, scenario)


def _lookups(drafts: Drafts) -> Iterator[Case]:
    """It rang, and only list-calls shows it, though not at once."""
    empty = answers(200, b'{"items":[],"has_more":false}')
    for lag in (1, 2, 3) if drafts.setting.size is Size.FULL else (1, 2):
        plan = Plan((answer_lost(End.CLOSE),), (empty,) * lag, loses_webhooks=True)
        yield drafts.case("list-calls", f"lags {lag} look-ups", plan, drafts.setting.perhaps_resent(), invariants=_I13)
    for what, act in forms.FAILED_LOOKUPS:
        for times in (1, 2) if what != "silence" else (1,):
            plan = Plan((answer_lost(End.CLOSE),), (act,) * times, loses_webhooks=True)
            what_times = f"{what}, {times} times, it rang"
            yield drafts.case("list-calls", what_times, plan, answered("00"), invariants=_I13)


def _failed_lookups(drafts: Drafts) -> Iterator[Case]:
    """It did not ring, and list-calls fails at first; only clean look-ups count."""
    if drafts.setting.size is Size.FULL:
        for what, act in forms.FAILED_LOOKUPS:
            plan = Plan((lost(End.CLOSE),), (act,) * (1 if what == "silence" else 2))
            yield drafts.case("list-calls", f"{what}, it did not ring", plan, drafts.setting.not_rung())


def _polls(drafts: Drafts) -> Iterator[Case]:
    for what, act in forms.FAILED_POLLS:
        plan = Plan(polls=(act,) * (1 if what == "silence" else 2), loses_webhooks=True)
        yield drafts.case("get-call", what, plan, answered("00"), invariants=_I13)


def _lost_webhooks(drafts: Drafts) -> Iterator[Case]:
    for scenario in SCENARIOS:
        plan = Plan(loses_webhooks=True)
        yield drafts.case("webhooks lost", scenario, plan, answered(scenario), scenario, invariants=_I13)


def _early_webhooks(drafts: Drafts) -> Iterator[Case]:
    """The call is over, and all of its webhooks were applied, before any create answer comes."""
    endings = [("whole", Act()), *((f"cut, {end.value}", answer_lost(end)) for end in BROKEN)]
    endings += [(str(status), rings_and_answers(status)) for status in (500, 302, 429, 422, 400, 401, 404)]
    for what, act in endings:
        scenario = drafts.scenario()
        plan = Plan((replace(act, after_webhooks=True),))
        yield drafts.case("webhooks first", what, plan, answered(scenario), scenario, invariants=_I7)
