"""A task that was agreed on by the clock on the wall keeps that clock through a change of zone; others do not move."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.domain.call import TaskStatus
from ringback.domain.calling_hours import CallingHours, local_time, resolve_local
from ringback.domain.contact import Contact
from ringback.domain.time_zone import region_zone
from ringback.flows.business_operations.action import ActionRequest, Scope, Subject
from ringback.flows.business_operations.update_timezone import UpdateTimezone

from .depth import checked
from .places import ALL_ZONES, clock_changes, instant_of, instants_in
from .policies import HORIZON, calendars
from .requests import call, policy, task

pytestmark = pytest.mark.matrix

LEASE = timedelta(seconds=60)
ALWAYS = CallingHours()
#: A fixed offset is no place, and an old name is kept as its region.
ZONES = st.sampled_from([name for name in ALL_ZONES if region_zone(name) == name])


class OneTask:
    """A unit of work over one call of one contact, which has one open task."""

    def __init__(self, wanted, now):
        self.call, self.task, self.events = call(now), wanted, []
        # Each of these has what the action asks of a repository.
        self.calls = self.tasks = self.attempts = self.contacts = self.outbox = self

    async def set_time_zone(self, contact_id, time_zone, source, now): ...

    async def unfinished_of(self, phone, contact_id):
        return [self.call.call_id]

    async def lock_call(self, call_id):
        return self.call

    async def open_for(self, call_id):
        return self.task

    async def latest_for(self, call_id):
        return None

    async def save(self, thing): ...

    async def insert(self, thing):
        assert self.task.status is TaskStatus.SUPERSEDED
        self.task = thing

    async def enqueue_event(self, event, now):
        self.events.append(event)


def move(wanted, zone, now, hours=ALWAYS):
    """The open task after the person said where they are."""
    tx, args = OneTask(wanted, now), {"time_zone": zone}
    request = ActionRequest("update_timezone", Scope.SYSTEMS, "key-1", args)
    subject = Subject(request, "+14155550100", Contact("crm-42", "+14155550100"), tx.call, None)
    doing = UpdateTimezone(PhoneNumbersPlan(), policy(hours, LEASE.total_seconds()), lambda: "task-2").do(
        tx, subject, args, now
    )
    reply = finish(doing)
    assert (reply.ok, reply.result["time_zone"]) == (True, zone)
    assert len(tx.events) == len(reply.result["moved"])
    return tx.task


def finish(doing):
    """Nothing in it really waits, so it needs no event loop."""
    try:
        doing.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited for something")


def shown(at, zone):
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@st.composite
def wall_clocks(draw, zone):
    """A minute on the wall, often one that a clock change there skips or repeats."""
    at = draw(instants_in(zone)).replace(second=0)
    near = [change for change, _ in clock_changes(zone)[1:]]
    if near and draw(st.booleans()):
        at = draw(st.sampled_from(near)) + timedelta(minutes=draw(st.integers(-150, 150)))
        skipped = draw(st.integers(-130, 130))
        return shown(at, zone) + timedelta(minutes=skipped)
    return shown(at, zone)


@checked(50)
@given(st.data())
def test_a_wall_clock_time_is_its_first_instant_and_in_a_gap_moves_forward(data):
    zone = data.draw(st.sampled_from(ALL_ZONES))
    local = data.draw(wall_clocks(zone))
    at = resolve_local(local, zone)
    assert at == instant_of(local, zone)
    assert shown(at, zone) >= local
    assert local_time(at, zone) == shown(at, zone).isoformat(timespec="minutes")


@checked(50)
@given(st.data())
def test_a_wall_clock_task_keeps_its_local_time_through_a_change_of_zone(data):
    before, after = data.draw(ZONES), data.draw(ZONES)
    local = data.draw(wall_clocks(after))
    due_at = resolve_local(local, before)
    now = due_at - timedelta(minutes=data.draw(st.integers(48 * 60, 14 * 1440)))
    moved = move(task(due_at, local_time(due_at, before), before), after, now)
    kept = datetime.fromisoformat(local_time(due_at, before))
    assert moved.due_at == (instant_of(kept, after) if before != after else due_at)
    is_gap = shown(moved.due_at, after) != kept
    assert not is_gap or shown(moved.due_at, after) > kept
    if moved.task_id == "task-2":
        assert (moved.local_time, moved.time_zone) == (local_time(moved.due_at, after), after)


@checked(50)
@given(st.data())
def test_an_instant_task_keeps_its_instant_wherever_the_person_is(data):
    zone = data.draw(ZONES)
    due_at = data.draw(instants_in(zone))
    now = due_at - timedelta(minutes=data.draw(st.integers(-600, 14 * 1440)))
    kept = move(task(due_at), zone, now)
    assert (kept.task_id, kept.due_at, kept.local_time) == ("task-1", due_at, None)


@checked(30)
@given(st.data())
def test_a_moved_task_is_due_at_the_earliest_open_minute_from_its_local_time_on(data):
    before, after = data.draw(ZONES), data.draw(ZONES)
    local = data.draw(wall_clocks(after))
    due_at = resolve_local(local, before)
    calendar = data.draw(calendars(due_at))
    now = due_at - timedelta(minutes=data.draw(st.integers(-30, 3 * 1440)))
    by_clock = data.draw(st.booleans())
    moved = move(task(due_at, *((local_time(due_at, before), before) if by_clock else ())), after, now, calendar.hours)
    wanted = due_at
    if by_clock and before != after:
        wanted = instant_of(datetime.fromisoformat(local_time(due_at, before)), after)
    earliest = max(wanted, now)
    opens = calendar.first_open(earliest, (after,), LEASE)
    if opens is None:
        assert moved.due_at in (earliest, due_at)
    elif opens == now and due_at <= now:
        assert moved.task_id == "task-1"  # due either way, so its dispatch stands
    else:
        assert moved.due_at == opens <= earliest + HORIZON


@checked(30)
@given(st.data())
def test_there_and_back_is_the_same_task_where_no_clock_skips_it(data):
    home, away = data.draw(ZONES), data.draw(ZONES)
    local = data.draw(wall_clocks(home))
    due_at = resolve_local(local, home)
    now = due_at - timedelta(days=5)
    agreed = task(due_at, local_time(due_at, home), home)
    there = move(agreed, away, now)
    back = move(there, home, now)
    if shown(there.due_at, away) == shown(due_at, home):
        assert back.due_at == due_at
    else:
        assert shown(back.due_at, home) >= shown(due_at, home)
