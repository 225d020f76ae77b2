"""Which of the tests are run at full size as part of the proof, how large, and which invariants they look at."""

from dataclasses import dataclass

from proof.findings import Size
from proof.invariants import Invariant

I7, I10, I11, I14, I17 = Invariant.I7, Invariant.I10, Invariant.I11, Invariant.I14, Invariant.I17
I21, I22, I23 = Invariant.I21, Invariant.I22, Invariant.I23

RACES = "tests/races/test_stops_against_dispatch.py::test_nothing_is_claimed_after_the_stop_was_acknowledged"
ORDERS = "tests/flows/event_processing/test_every_order.py"


@dataclass(frozen=True, slots=True)
class Piece:
    """Tests that stand together: run as one, and each of their cases looks at each of `looks_at`. None of them there:
    the tests hold up the invariants without looking at one, and a failure is counted against `blames`."""

    name: str
    looks_at: tuple[Invariant, ...]
    blames: Invariant
    nodes: tuple[str, ...]
    options: tuple[str, ...] = ()
    timeout_s: float = 900.0


def _races(name: str, looks_at: tuple[Invariant, ...], *stops: str) -> Piece:
    nodes = tuple(f"{RACES}[{stop}]" for stop in stops)
    return Piece(f"races of {name}", looks_at, looks_at[-1], nodes, ("--trials", "1000"), timeout_s=1800.0)


#: All of them are part of the tests at their small size anyway; one shows that they are run and counted.
_SMALL = (Piece("promised retries", (I10,), I10, ("tests/properties/test_retries.py",)),)
_FULL = (
    _races("planned tasks", (I10, I17), "delete_scheduled_task", "reschedule_call", "update_timezone"),
    _races(
        "people and everything",
        (I10,),
        "cancel",
        "suppress_phone",
        "suppress_contact",
        "set_disposition",
        "pause",
    ),
    Piece(
        "every order and repetition of webhooks",
        (I11,),
        I11,
        (
            f"{ORDERS}::test_every_order_and_repetition_gives_the_same_rows_and_events",
            f"{ORDERS}::test_the_very_same_webhook_twice_changes_no_row_at_all",
            f"{ORDERS}::test_an_event_that_decides_nothing_changes_nothing_wherever_it_comes",
        ),
    ),
    Piece(
        "webhooks before, between and after the answer",
        (I7, I11),
        I7,
        (f"{ORDERS}::test_the_answer_to_the_dial_may_come_before_between_or_after_them",),
    ),
    Piece(
        "any story of a call",
        (I14,),
        I14,
        ("tests/flows/event_processing/test_any_story.py",),
        ("--trials", "1000"),
    ),
    Piece(
        "late evidence about erased people",
        (I21,),
        I21,
        ("tests/flows/erased_people/test_late_evidence.py", "tests/flows/erased_people/test_beside_others.py"),
    ),
    Piece("stops of erased people", (I10, I21), I21, ("tests/flows/erased_people/test_late_stop.py",)),
    Piece(
        "promised retries",
        (I10,),
        I10,
        ("tests/properties/test_retries.py",),
        ("--hypothesis-profile", "proof"),
    ),
    Piece(
        "the border between the emulator and Retell",
        (I23,),
        I23,
        (
            "tests/flows/call_processing/test_border.py",
            "tests/flows/test_border.py",
            "tests/adapters/retell/test_account.py",
            "tests/stories/test_border.py",
        ),
    ),
    Piece(
        "long stories of a running system",
        (),
        Invariant.I1,
        (
            "tests/stories/test_crowds.py",
            "tests/stories/test_fail_over.py",
            "tests/stories/test_key_of_up.py",
            "tests/stories/test_rolling_upgrade.py",
        ),
    ),
    Piece(
        "spellings of a number",
        (I22,),
        I22,
        (
            "tests/properties/test_number_spellings.py",
            "tests/adapters/test_number_spellings.py",
            "tests/services/test_one_person.py",
            "tests/flows/caller_ids/test_spellings.py",
        ),
        ("--hypothesis-profile", "proof"),
    ),
    Piece(
        "calling hours and callbacks",
        (),
        I10,
        (
            "tests/properties/test_callbacks.py",
            "tests/properties/test_eligibility.py",
            "tests/properties/test_next_open.py",
            "tests/properties/test_spoken_times.py",
            "tests/properties/test_wall_clock_tasks.py",
        ),
        ("--hypothesis-profile", "proof"),
        timeout_s=1800.0,
    ),
)


def pieces(size: Size) -> tuple[Piece, ...]:
    return _FULL if size is Size.FULL else _SMALL
