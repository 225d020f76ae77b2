"""A zone as it is said in; the contact's zone, and every planned task where it belongs, out.

The clock stands at Tuesday, 2026-12-01, noon in New York: 17:00 UTC. Calling hours are 9 to 20 where the person is."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

TOMORROW_AT_THREE = {"when": "tomorrow at 3pm"}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


async def zone_of(stack) -> tuple:
    row = await stack.one("SELECT time_zone, time_zone_source FROM contacts")
    return row["time_zone"], row["time_zone_source"]


async def open_task(stack, call_id) -> dict:
    return await stack.one(
        "SELECT * FROM tasks WHERE call_id = $1 AND status IN ('pending', 'held', 'dispatched')", call_id
    )


async def test_a_wall_clock_task_keeps_its_local_time(stack):
    talk = await stack.talk()
    promised = await stack.tool(talk, "reschedule_call", TOMORROW_AT_THREE | {"reason": "in a meeting"})
    reply = await stack.tool(talk, "update_timezone", {"time_zone": "Pacific"})
    assert (reply.ok, reply.code) == (True, "time_zone_set")
    assert reply.say == "Thank you, I have noted Los Angeles time, so we will call you tomorrow at 3 PM."
    task = await open_task(stack, talk.call_id)
    moved = {
        "task_id": task["task_id"],
        "due_at": "2026-12-02T23:00:00.000Z",
        "local_time": "2026-12-02T15:00",
        "time_zone": "America/Los_Angeles",
    }
    assert reply.result == {"time_zone": "America/Los_Angeles", "moved": [moved]}
    assert await zone_of(stack) == ("America/Los_Angeles", "person")
    assert (task["due_at"], task["kind"], task["from_attempt"]) == (
        utc(2026, 12, 2, 23),
        "callback",
        talk.attempt_id,
    )
    event = (await stack.events(talk.call_id))[-1]
    assert event["type"] == "voice_ai_call_rescheduled"
    said = {"previous_due_at": promised.result["due_at"], "source": "timezone", "reason": "in a meeting"}
    assert {name: event["data"][name] for name in (*moved, *said)} == moved | said


async def test_a_moved_callback_is_still_how_its_attempt_ends_and_counts_for_no_limit(stack):
    talk = await stack.talk()
    await stack.tool(talk, "reschedule_call", TOMORROW_AT_THREE)
    await stack.tool(talk, "update_timezone", {"time_zone": "Pacific"})
    assert (await stack.call(talk.call_id))["reschedules"] == 1
    superseded, task = (await stack.tasks(talk.call_id))[-2:]
    assert (superseded["status"], task["status"]) == ("superseded", "pending")
    assert task["from_attempt"] == superseded["from_attempt"] == talk.attempt_id


async def test_an_instant_task_keeps_the_instant(stack):
    call_id = await stack.accept(not_before=utc(2026, 12, 2, 20))
    before = await stack.tasks(call_id)
    reply = await stack.ask("update_timezone", {"time_zone": "America/Denver"}, call_id=call_id)
    assert reply.result == {"time_zone": "America/Denver", "moved": []}
    assert reply.say == "Thank you, I have noted Denver time."
    assert await stack.tasks(call_id) == before


async def test_an_instant_that_is_closed_in_the_new_zone_moves_to_the_next_open_minute(stack):
    call_id = await stack.accept(not_before=utc(2026, 12, 2, 15))
    reply = await stack.ask("update_timezone", {"time_zone": "Pacific"}, call_id=call_id)
    (moved,) = reply.result["moved"]
    assert (moved["due_at"], moved["local_time"], moved["time_zone"]) == ("2026-12-02T17:00:00.000Z", None, None)
    event = (await stack.events(call_id))[-1]
    assert (event["data"]["source"], event["data"]["attempt"]) == ("timezone", None)
    assert (event["data"]["due_at"], event["data"]["previous_due_at"]) == (
        "2026-12-02T17:00:00.000Z",
        "2026-12-02T15:00:00.000Z",
    )


async def test_a_wall_clock_task_is_rechecked_against_the_hours(stack):
    """Half past seven has passed in the new zone, and it is too late there to call at once."""
    talk = await stack.talk(time_zone="America/Los_Angeles")
    stack.clock.advance(8 * 3600)
    await stack.tool(talk, "reschedule_call", {"when": "today at 7:30pm"})
    await stack.tool(talk, "update_timezone", {"time_zone": "Eastern"})
    task = await open_task(stack, talk.call_id)
    assert (task["due_at"], task["local_time"]) == (utc(2026, 12, 2, 14), "2026-12-02T09:00")


async def test_a_dispatched_task_that_is_closed_now_does_not_dial(stack):
    call_id = await stack.accept()
    task = await open_task(stack, call_id)
    assert task["status"] == "dispatched"
    await stack.ask("update_timezone", {"time_zone": "Pacific/Honolulu"}, call_id=call_id)
    await stack.deliver(call_id, task["task_id"], task["dispatch"])
    assert await stack.all("SELECT * FROM attempts") == []
    assert (await open_task(stack, call_id))["due_at"] == utc(2026, 12, 1, 19), "nine in the morning there"


async def test_a_dispatched_task_that_is_open_stays_dispatched(stack):
    call_id = await stack.accept()
    await stack.ask("update_timezone", {"time_zone": "America/Chicago"}, call_id=call_id)
    assert (await open_task(stack, call_id))["status"] == "dispatched"


async def test_a_local_time_that_has_passed_in_the_new_zone_is_due_at_once(stack):
    talk = await stack.talk()
    await stack.tool(talk, "reschedule_call", {"when": "today at 1pm"})
    reply = await stack.tool(talk, "update_timezone", {"time_zone": "America/Halifax"})
    assert reply.result["moved"][0]["due_at"] == "2026-12-01T17:00:00.000Z"


async def test_every_open_task_of_the_contact_is_moved_and_no_other(stack):
    early = await stack.accept(not_before=utc(2026, 12, 2, 15))
    late = await stack.accept(phone="+14155550101", not_before=utc(2026, 12, 3, 15))
    other = await stack.accept(contact_id="crm-43", phone="+14155550102", not_before=utc(2026, 12, 2, 15))
    over = await stack.accept(not_before=utc(2026, 12, 2, 15))
    await stack.cancel(over)
    reply = await stack.ask("update_timezone", {"time_zone": "Pacific"}, contact_id="crm-42")
    assert sorted(task["due_at"] for task in reply.result["moved"]) == [
        "2026-12-02T17:00:00.000Z",
        "2026-12-03T17:00:00.000Z",
    ]
    for call_id, count in ((early, 1), (late, 1), (other, 0), (over, 0)):
        types = [event["type"] for event in await stack.events(call_id)]
        assert types.count("voice_ai_call_rescheduled") == count


async def test_an_implicit_expiry_gives_way_and_an_explicit_one_does_not(stack):
    implicit = await stack.accept(not_before=utc(2026, 12, 2, 15))
    explicit = await stack.accept(
        phone="+14155550101", not_before=utc(2026, 12, 2, 15), expires_at=utc(2026, 12, 2, 16)
    )
    await stack.execute("UPDATE calls SET expires_at = '2026-12-02T15:30Z'")
    await stack.ask("update_timezone", {"time_zone": "Pacific"}, contact_id="crm-42")
    assert (await stack.call(implicit))["expires_at"] == utc(2026, 12, 2, 17) + timedelta(days=7)
    assert (await stack.call(explicit))["expires_at"] == utc(2026, 12, 2, 15, 30)


async def test_the_person_beats_the_crm_beats_a_guess(stack):
    call_id = await stack.accept()
    await stack.execute("UPDATE contacts SET time_zone_source = 'guessed'")
    assert (await stack.ask("update_timezone", {"time_zone": "Central"}, call_id=call_id)).ok
    assert await zone_of(stack) == ("America/Chicago", "crm")
    assert (await stack.ask("update_timezone", {"time_zone": "Mountain", "source": "person"}, call_id=call_id)).ok
    refused = await stack.ask("update_timezone", {"time_zone": "Pacific"}, call_id=call_id)
    assert (refused.ok, refused.code) == (False, "outranked")
    assert refused.result == {"time_zone": "America/Denver", "source": "person"}
    talk = await stack.dial(call_id)
    assert (await stack.tool(talk, "update_timezone", {"time_zone": "Eastern"})).ok
    assert await zone_of(stack) == ("America/New_York", "person")


@pytest.mark.parametrize(
    ("said", "zone"),
    [
        ("Eastern", "America/New_York"),
        ("pacific time", "America/Los_Angeles"),
        ("california", "America/Los_Angeles"),
        ("america/denver", "America/Denver"),
        ("Europe/Berlin", "Europe/Berlin"),
    ],
)
async def test_common_names_and_unambiguous_states_are_understood(stack_without_database, said, zone):
    reply = stack_without_database.operations.rehearse("update_timezone", {"time_zone": said})
    assert (reply.code, reply.result) == ("rehearsed", {"time_zone": zone, "moved": []})


async def test_an_ambiguous_state_is_asked_about(stack_without_database):
    reply = stack_without_database.operations.rehearse("update_timezone", {"time_zone": "Texas"})
    assert (reply.ok, reply.code) == (False, "needs_clarification")
    assert reply.result == {"candidates": ["America/Chicago", "America/Denver"]}
    assert reply.say == "Is that Chicago time or Denver time?"


@pytest.mark.parametrize("args", [{}, {"time_zone": "the moon"}, {"time_zone": "-05:00"}, {"time_zone": " "}])
async def test_words_that_mean_no_zone_are_asked_about(stack_without_database, args):
    reply = stack_without_database.operations.rehearse("update_timezone", args)
    assert (reply.code, reply.result) == ("needs_clarification", {"candidates": []})
    assert reply.say.endswith("?")


async def test_a_reserved_source_is_refused_to_systems_and_ignored_from_agents(stack):
    call_id = await stack.accept()
    for source in ("guessed", "boss", 7):
        args = {"time_zone": "Eastern", "source": source}
        reply = await stack.ask("update_timezone", args, call_id=call_id)
        assert (reply.code, list(reply.result["errors"])) == ("invalid_args", ["source"])
        reply = stack.operations.rehearse("update_timezone", args)
        assert (reply.code, reply.result["ignored"]) == ("rehearsed", ["source"])


async def test_the_same_zone_again_moves_nothing(stack):
    talk = await stack.talk()
    await stack.tool(talk, "reschedule_call", TOMORROW_AT_THREE)
    await stack.tool(talk, "update_timezone", {"time_zone": "Pacific"})
    before = await stack.tasks(talk.call_id)
    assert (await stack.tool(talk, "update_timezone", {"time_zone": "Pacific"})).result["moved"] == []
    assert await stack.tasks(talk.call_id) == before


async def test_a_waiting_attempt_goes_with_its_moved_task(stack):
    """Its provider may still tell of it; then the moved task must not dial a second time."""
    talk = await stack.talk()
    await stack.execute("UPDATE attempts SET state = 'waiting', provider_call_id = NULL, holds_person = false")
    await stack.execute("UPDATE tasks SET status = 'pending', due_at = '2026-12-01T17:00Z'")
    await stack.ask("update_timezone", {"time_zone": "Pacific/Honolulu"}, call_id=talk.call_id)
    task = await open_task(stack, talk.call_id)
    assert (await stack.one("SELECT task_id FROM attempts"))["task_id"] == task["task_id"]


async def test_the_resend_of_an_unclear_attempt_is_left_alone(stack):
    talk = await stack.talk()
    await stack.execute("UPDATE attempts SET state = 'unknown', provider_call_id = NULL")
    await stack.execute("UPDATE tasks SET status = 'pending', due_at = '2026-12-01T17:00Z'")
    reply = await stack.ask("update_timezone", {"time_zone": "Pacific/Honolulu"}, call_id=talk.call_id)
    assert (reply.ok, reply.result["moved"]) == (True, [])


async def test_a_zone_change_and_a_claim_never_both_win(stack):
    await stack.warm_up()
    for number in range(6):
        call_id = await stack.accept(contact_id=f"crm-{number}", phone=f"+1415555010{number}")
        task = await open_task(stack, call_id)
        reply, _ = await asyncio.gather(
            stack.ask("update_timezone", {"time_zone": "Pacific/Honolulu"}, call_id=call_id),
            stack.deliver(call_id, task["task_id"], task["dispatch"]),
        )
        attempts = await stack.all("SELECT * FROM attempts WHERE call_id = $1", call_id)
        assert len(attempts) == 1 - len(reply.result["moved"])


@pytest.mark.parametrize(
    ("said", "phone", "zone"),
    [
        ("I'm in Phoenix", "+14155550100", "America/Phoenix"),
        ("Indianapolis", "+14155550100", "America/Indiana/Indianapolis"),
        ("Boise, Idaho", "+14155550100", "America/Boise"),
        ("US Mountain Standard Time", "+14155550100", "America/Phoenix"),
        ("MST", "+14805550100", "America/Phoenix"),
        ("MST", "+13035550100", "America/Denver"),
        ("EST", "+14155550100", "America/New_York"),
        ("US/Pacific", "+12125550100", "America/Los_Angeles"),
    ],
)
@pytest.mark.parametrize("way", ["tool", "ask"])
async def test_what_means_one_region_is_kept_as_that_region(stack, way, said, phone, zone):
    talk = await stack.talk(phone=phone, time_zone=None)
    args = {"time_zone": said}
    reply = await (
        stack.tool(talk, "update_timezone", args)
        if way == "tool"
        else stack.ask("update_timezone", args, call_id=talk.call_id)
    )
    assert (reply.code, reply.result["time_zone"]) == ("time_zone_set", zone)
    assert (await zone_of(stack))[0] == zone


@pytest.mark.parametrize(
    ("said", "phone", "say"),
    [
        ("MST", "+14155550100", "Is that Denver time or Phoenix time?"),
        ("Mountain", "+14805550100", "Is that Denver time or Phoenix time?"),
        ("Springfield", "+14155550100", "Is that Chicago time or New York time or Los Angeles time?"),
        ("Etc/GMT+5", "+12125550100", "In which time zone are you, for example Eastern or Pacific?"),
        ("UTC", "+12125550100", "In which time zone are you, for example Eastern or Pacific?"),
        ("I'm not in Arizona", "+12125550100", "In which time zone are you, for example Eastern or Pacific?"),
    ],
)
async def test_what_may_mean_another_region_is_asked_for_and_changes_nothing(stack, said, phone, say):
    talk = await stack.talk(phone=phone)
    reply = await stack.tool(talk, "update_timezone", {"time_zone": said})
    assert (reply.code, reply.say) == ("needs_clarification", say)
    assert (await zone_of(stack)) == ("America/New_York", "crm")


async def test_a_stored_name_that_is_no_region_outranks_nothing(stack):
    talk = await stack.talk()
    await stack.execute("UPDATE contacts SET time_zone = 'UTC', time_zone_source = 'person'")
    assert (await stack.ask("update_timezone", {"time_zone": "America/Denver"}, call_id=talk.call_id)).ok
    assert await zone_of(stack) == ("America/Denver", "crm")
