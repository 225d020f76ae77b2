"""The rounds: with how many calls, at which moment, under which settings, and what an oracle makes of each."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import ringback
from proof.findings import Findings, Say, Size
from proof.invariants import Invariant
from proof.kill.oracle import judge, repeats
from proof.kill.round import Plan, Told, play
from proof.planted.bug import TextPatch
from proof.planted.trial import copy_package

#: From the restart, for 2,000 calls in flight on a quiet machine of two cores.
SETTLE_WITHIN_S = 60.0
#: What is looked at less than at full size is not the speed of a machine that does other things as well.
GIVE_UP_S = 200.0
_LOOKED_AT = (Invariant.I1, Invariant.I2, Invariant.I14, Invariant.I20)

#: A claim whose worker died is looked up when its lease (the create timeout and 30 s) is over, and dialed again when
#: three look-ups found nothing; two more for those that a busy machine did not answer in time, and the last lies far
#: behind, so that nothing is given up meanwhile. A call takes 13 s, and the deadlines by which the lost webhooks are
#: missed are a little longer than what they wait for.
SETTINGS = {
    "RINGBACK_EMULATOR_SPEED": "2",
    "RINGBACK_MAX_LIVE_CALLS": "4000",
    "RINGBACK_CALLS_PER_SECOND": "400",
    "RINGBACK_CREATE_TIMEOUT_S": "1.5",
    "RINGBACK_UNKNOWN_LOOKUPS_S": "0,1,2,4,8,600",
    "RINGBACK_SILENCE_DEADLINE_S": "6",
    "RINGBACK_NOT_CONNECTED_DEADLINE_S": "4",
    "RINGBACK_ANALYSIS_DEADLINE_S": "4",
    "RINGBACK_MAX_CALL_S": "20",
}
#: Of few calls, so that the machine has next to nothing to do but wait for the lease.
_FEW = {
    "RINGBACK_EMULATOR_SPEED": "10",
    "RINGBACK_CALLS_PER_SECOND": "60",
    "RINGBACK_CREATE_TIMEOUT_S": "1",
    "RINGBACK_SILENCE_DEADLINE_S": "3",
    "RINGBACK_MAX_CALL_S": "6",
}

#: The state of a dial whose process died is never looked at again.
BUG = TextPatch(
    name="a lease that is over is left alone",
    aims=(Invariant.I20,),
    file="flows/reconciliation.py",
    old="                await self._lease_is_over(attempt)\n",
    new="                return\n",
    why="a living worker always comes back from its dial, so only a kill shows it",
    tests=(),
)
BUG_SHOWS_WITHIN_S = 50.0


def small_plan(seed: int) -> Plan:
    return Plan(
        calls=100,
        placed=50,
        hanging=5,
        accepting_s=1.0,
        seed=seed,
        give_up_s=GIVE_UP_S,
        settings=SETTINGS | _FEW,
    )


def full_plans(seed: int) -> list[Plan]:
    """Two moments; on a quiet machine of two cores nearly all that were placed are still under way at each."""
    moments = (1700, 1550)
    return [
        Plan(
            calls=2000,
            placed=placed,
            hanging=50,
            accepting_s=12.0,
            seed=seed + number,
            give_up_s=GIVE_UP_S,
            settings=SETTINGS,
        )
        for number, placed in enumerate(moments)
    ]


def run(size: Size, seed: int, say: Say) -> Findings:
    is_full = size is Size.FULL
    plans = full_plans(seed) if is_full else [small_plan(seed)]
    found = Findings("kill", seed, settings=plans[0].settings)
    say("settings: " + ", ".join(f"{name} {value}" for name, value in plans[0].settings.items()))
    for number, plan in enumerate(plans, 1):
        told = play(plan, say)
        within_s = SETTLE_WITHIN_S if is_full else GIVE_UP_S
        _note(found, f"round {number}", plan, told, within_s)
        say(_line(told))
    if is_full:
        found.plant(BUG.name, plays_badly(small_plan(seed), say), *BUG.aims)
    return found


def plays_badly(plan: Plan, say: Say) -> bool:
    """Whether the oracle notices the planted bug."""
    with TemporaryDirectory(prefix="ringback-kill-bug-") as folder:
        source = copy_package(Path(ringback.__file__).parents[1], Path(folder))
        BUG.plant(source / "ringback")
        told = play(replace(plan, source=source, give_up_s=BUG_SHOWS_WITHIN_S), say)
    # A machine that is slow leaves other things behind.
    return told.settled_s is None and any("still dialing" in what for _, what in judge(told.seen))


def _note(found: Findings, name: str, plan: Plan, told: Told, within_s: float) -> None:
    found.tried(*_LOOKED_AT, cases=len(told.seen.accepted))
    how = f"{name}: seed {plan.seed}, {plan.calls} calls, killed when {plan.placed} were placed"
    if told.settled_s is None or told.settled_s > within_s:
        found.broke(Invariant.I20, f"settled after {told.settled_s} s, more than {within_s:g} s", how)
    for invariant, what in judge(told.seen):
        found.broke(invariant, what, how)
    found.counts[name] = {
        "in_flight": told.in_flight,
        "killed_at": told.killed_at,
        "rings_at_kill": told.rings_at_kill,
        "up_after_s": round(told.up_s, 1),
        "settled_after_s": told.settled_s and round(told.settled_s, 1),
        "rings": len(told.seen.rings),
        "deliveries": len(told.seen.deliveries),
        "repeats": repeats(told.seen),
    }


def _line(told: Told) -> str:
    states = ", ".join(f"{count} {state}" for state, count in told.killed_at.items())
    settled = "never settled" if told.settled_s is None else f"settled after {told.settled_s:.1f} s"
    return f"killed at {states}; up again after {told.up_s:.1f} s; {settled}; repeats {repeats(told.seen)}"
