"""The races can be lost: without the locks, or with a claim that does not look, the same trials find violations."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ringback.adapters.postgres import (
    calls,
    capacity,
    groups,
    installation,
    tasks,
    tracked_rows,
    unit_connection,
    unit_of_work,
)
from ringback.flows import call_processing
from ringback.messages import CallRequested

from .stops import RACES
from .trial import run_race

pytestmark = pytest.mark.matrix

#: A planted bug is found in the first few trials; one that is not found in so many is not found.
MOST_TRIALS = 400
Plant = Callable[[pytest.MonkeyPatch], None]


def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lock on the person, the call or the task. Rows are written, even if they changed since they were
    read, because comparing them is a second net, which alone would turn most of what follows into a clash."""
    monkeypatch.setattr(unit_of_work, "LOCK_IN_ORDER", "SELECT $1::text[]")
    person = "SELECT phone, contact_id FROM calls WHERE call_id = $1"
    monkeypatch.setattr(unit_connection, "LOCK_CONTACTS_OF_CALL", person)
    monkeypatch.setattr(unit_connection, "LOCK_EVERY_PHONE_OF_CALL", f"{person} AND $2::text IS NOT DISTINCT FROM $2")
    unlocked = "SELECT call_id, phone, contact_id, true AS locked FROM calls WHERE call_id = ANY ($1::text[])"
    monkeypatch.setattr(groups, "TRY_CONTACTS_OF_CALLS", unlocked)
    monkeypatch.setattr(unit_of_work, "CALL_FOR_UPDATE", calls.CALL_FOR_UPDATE.replace("FOR UPDATE", ""))
    monkeypatch.setattr(tasks, "OPEN_TASK", tasks.OPEN_TASK.replace("FOR UPDATE", ""))
    monkeypatch.setattr(tracked_rows, "COMPARED", dict.fromkeys(tracked_rows.COMPARED, ()))


def pause_without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "LOCK_CAPACITY", "SELECT 1")


def any_task_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim takes the task of its message, without a look at the task's and the call's status."""
    first = "SELECT * FROM tasks WHERE call_id = $1 ORDER BY created_at, task_id FOR UPDATE LIMIT 1"
    monkeypatch.setattr(tasks, "OPEN_TASK", first)
    monkeypatch.setattr(call_processing, "_is_this_dispatch", _names_the_task)
    read = unit_of_work.call_from
    monkeypatch.setattr(unit_of_work, "call_from", lambda record: replace(read(record), final=False))


def _names_the_task(task: Any, message: CallRequested) -> bool:
    return bool(task.task_id == message.task_id)


def any_message_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim consumes the call's open task, whichever its message was sent for."""
    monkeypatch.setattr(call_processing, "_is_this_dispatch", lambda task, message: True)


def no_person_is_suppressed(monkeypatch: pytest.MonkeyPatch) -> None:
    any_task_is_open(monkeypatch)
    blind = unit_of_work.PERSON_FACTS.replace("SELECT EXISTS", "SELECT false AND EXISTS", 1)
    monkeypatch.setattr(unit_of_work, "PERSON_FACTS", blind)


def never_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "CAPACITY", capacity.CAPACITY.replace("paused_at IS NOT NULL", "false"))


UNCHECKED: dict[str, Plant] = {
    "delete_scheduled_task": any_task_is_open,
    "cancel": any_task_is_open,
    "reschedule_call": any_message_will_do,
    "update_timezone": any_message_will_do,
    "suppress_phone": no_person_is_suppressed,
    "suppress_contact": no_person_is_suppressed,
    "set_disposition": no_person_is_suppressed,
    "pause": never_paused,
}


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
async def test_without_the_lock_the_same_trials_find_violations(race, stack, seed, monkeypatch):
    (pause_without_the_lock if race.name == "pause" else no_locks)(monkeypatch)
    tally = await run_race(race, stack, trials=MOST_TRIALS, seed=seed, until_broken=True)
    assert tally.violations, str(tally)


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
async def test_without_the_check_the_same_trials_find_violations(race, stack, seed, monkeypatch):
    UNCHECKED[race.name](monkeypatch)
    tally = await run_race(race, stack, trials=MOST_TRIALS, seed=seed, until_broken=True)
    assert tally.violations, str(tally)
