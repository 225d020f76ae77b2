"""Which of the tests are run at full size as part of the proof, how large, and which invariants they look at."""

from dataclasses import dataclass

from proof.findings import Size
from proof.invariants import Invariant

I1, I7, I10, I11, I14, I17 = Invariant.I1, Invariant.I7, Invariant.I10, Invariant.I11, Invariant.I14, Invariant.I17
I21, I22, I23 = Invariant.I21, Invariant.I22, Invariant.I23


@dataclass(frozen=True, slots=True)
class Piece:
    """Tests that are run as one: node ids below tests/, and options of pytest. Each of their cases looks at each of
    `looks_at`. Without one, the tests hold up the invariants, and a failure is counted against `blames`."""

    name: str
    looks_at: tuple[Invariant, ...]
    blames: Invariant
    below_tests: str
    options: str = ""
    timeout_s: float = 900.0

    @property
    def nodes(self) -> list[str]:
        return [f"tests/{node}" for node in self.below_tests.split()]


MANY, DEEP = "--trials 1000", "--hypothesis-profile proof"
RACES = "races/test_stops_against_dispatch.py::test_nothing_is_claimed_after_the_stop_was_acknowledged"
ORDERS = "flows/event_processing/test_every_order.py::"
RETRIES = "properties/test_retries.py"


def _races(*stops: str) -> str:
    return " ".join(f"{RACES}[{stop}]" for stop in stops)


#: All of them are part of the tests at their small size anyway; one shows that they are run and counted.
_SMALL = (Piece("promised retries", (I10,), I10, RETRIES),)
_FULL = (
    Piece(
        "races of planned tasks",
        (I10, I17),
        I17,
        _races("delete_scheduled_task", "reschedule_call", "update_timezone"),
        MANY,
        timeout_s=1800.0,
    ),
    Piece(
        "races of people and everything",
        (I10,),
        I10,
        _races("cancel", "suppress_phone", "suppress_contact", "set_disposition", "pause"),
        MANY,
        timeout_s=1800.0,
    ),
    Piece(
        "every order and repetition of webhooks",
        (I11,),
        I11,
        f"""{ORDERS}test_every_order_and_repetition_gives_the_same_rows_and_events
        {ORDERS}test_the_very_same_webhook_twice_changes_no_row_at_all
        {ORDERS}test_an_event_that_decides_nothing_changes_nothing_wherever_it_comes""",
    ),
    Piece(
        "webhooks before, between and after the answer",
        (I7, I11),
        I7,
        f"{ORDERS}test_the_answer_to_the_dial_may_come_before_between_or_after_them",
    ),
    Piece("any story of a call", (I14,), I14, "flows/event_processing/test_any_story.py", MANY),
    Piece(
        "late evidence about erased people",
        (I21,),
        I21,
        "flows/erased_people/test_late_evidence.py flows/erased_people/test_beside_others.py",
    ),
    Piece("stops of erased people", (I10, I21), I21, "flows/erased_people/test_late_stop.py"),
    Piece("promised retries", (I10,), I10, RETRIES, DEEP),
    Piece(
        "the border between the emulator and Retell",
        (I23,),
        I23,
        """flows/call_processing/test_border.py flows/test_border.py adapters/retell/test_account.py
        stories/test_border.py""",
    ),
    Piece(
        "long stories of a running system",
        (),
        I1,
        """stories/test_crowds.py stories/test_fail_over.py stories/test_key_of_up.py
        stories/test_rolling_upgrade.py""",
    ),
    Piece(
        "spellings of a number",
        (I22,),
        I22,
        """properties/test_number_spellings.py adapters/test_number_spellings.py services/test_one_person.py
        flows/caller_ids/test_spellings.py""",
        DEEP,
    ),
    Piece(
        "calling hours and callbacks",
        (),
        I10,
        """properties/test_callbacks.py properties/test_eligibility.py properties/test_next_open.py
        properties/test_spoken_times.py properties/test_wall_clock_tasks.py""",
        DEEP,
        timeout_s=1800.0,
    ),
)


def pieces(size: Size) -> tuple[Piece, ...]:
    return _FULL if size is Size.FULL else _SMALL
