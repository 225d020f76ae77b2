"""The tasks of an operator at night: what is wrong, why was this person called, stop, repair."""

import re
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from tests.stories.running_system import Json, ask, new_call, wait_until

from .tour import Task, Tour

#: A line of the doctor's about something that it has checked.
FINDING = "^(ok|warn|WRONG) "
#: An event is refused five times; the waits between add up to 15 s at most.
DEAD_WITHIN_S = 60.0
#: docs/operations.md: a revoked key is refused after 5 s at most.
REVOKED_WITHIN_S = 5.0
#: A call that may be dialed is dialed within this time, with much to spare.
DIALED_WITHIN_S = 20.0


def see_whether_all_is_well(tour: Tour) -> None:
    """Ask the doctor, and compare what it says with the state."""
    ran = tour.run("doctor", shown=FINDING)
    ready = ask("GET", f"{tour.client.url}/readyz").body
    marks = [line.split()[0] for line in ran.lines if re.match(FINDING, line)]
    is_well = ran.code == 0 and set(marks) == {"ok"} and len(marks) > 10
    tour.says("Nothing is wrong, and the exit code is 0.", is_true=is_well, found=ran.stdout)
    tour.says("The system says that it is ready too.", is_true=ready["status"] == "ready", found=ready)
    running = {item["name"]: item["value"] for item in tour.client.get("/v1/settings")["items"]}
    rows = [re.match(r"([A-Z_]+) +(?:(.*\S)  )?\([^()]+\)$", line) for line in ran.lines]
    told = {row[1]: row[2] or "" for row in rows if row}
    tour.says("The settings are those of the running system.", is_true=told == running, found=(told, running))
    tour.says("No secret is printed.", is_true=tour.client.api_key not in ran.stdout and "whsec_" not in ran.stdout)


def read_the_list_of_calls(tour: Tour) -> None:
    """List the calls of an hour, and those that are stuck."""
    placed = [tour.client.place(new_call(f"+150355501{code}")) for code in ("01", "02", "05")]
    for call_id in placed:
        tour.client.wait_final(call_id)
    ran = tour.run("calls", "--since", "1h", "--limit", "200")
    calls = {call["call_id"]: call for call in tour.client.get("/v1/calls?limit=200")["items"]}
    rows = {line.split()[0]: line.split() for line in ran.lines[1:]}
    tour.says(
        "There is a row for each call of the API.",
        is_true=rows.keys() == calls.keys(),
        found=rows.keys() ^ calls.keys(),
    )
    wrong = [id_ for id_, row in rows.items() if row[1:4] != _row(tour.client.call(id_))]
    tour.says("Status, contact and attempts are those of the API.", is_true=not wrong, found=wrong)
    reasons = [rows[call_id][4] for call_id in placed[:2]]
    expected = [tour.client.call(call_id)["reason"] for call_id in placed[:2]]
    tour.says("So are the reasons.", is_true=reasons == expected == ["no_answer", "busy"], found=reasons)
    stuck = tour.run("calls", "--stuck")
    tour.says("No call is stuck.", is_true=stuck.lines == [ran.lines[0]] or stuck.lines == [], found=stuck.stdout)


def _row(call: Json) -> list[str]:
    return [call["status"], call["contact_id"], str(len(call["attempts"]))]


def follow_one_call(tour: Tour) -> None:
    """Read the story of one call."""
    call_id = tour.client.place(new_call("+15035550103"))
    tour.client.wait_final(call_id)
    tour.client.wait_delivered(call_id)
    ran = tour.run("trace", call_id)
    timeline, call = tour.client.timeline(call_id), tour.client.call(call_id)
    rows = [line for line in ran.lines if line[:2] == "20"]
    tour.says("It has a row for each entry of the timeline.", is_true=len(rows) == len(timeline), found=len(rows))
    missing = [one for one in timeline if not any(str(one.get("type") or one["kind"]) in row for row in rows)]
    tour.says("Each row names its kind or its event.", is_true=not missing, found=missing)
    provider_call_id = call["attempts"][0]["provider_call_id"]
    tour.says("It names the call at Retell.", is_true=provider_call_id in ran.stdout, found=provider_call_id)
    tour.says("No phone number is in it.", is_true="5035550103" not in ran.stdout.replace(call["contact_id"], ""))


def explain_why_a_person_was_not_called(tour: Tour) -> None:
    """Explain why a person is not called yet."""
    due = (datetime.now(UTC) + timedelta(hours=30)).replace(microsecond=0)
    at = due.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    tour.client.place(new_call("+15035550100", not_before=at))
    ran = tour.run("why", "+15035550100")
    answer = tour.client.get(f"/v1/why?phone={quote('+15035550100')}")
    tour.says("The API names the instant of the request.", is_true=answer["next_eligible_at"] == at, found=answer)
    instant = f"({due:%Y-%m-%d %H:%M:%S}.000 UTC)"
    tour.says("The first sentence names the very instant.", is_true=instant in ran.lines[0], found=ran.lines[0])
    is_because = "because the planned time has not come" in ran.lines[0]
    tour.says("It says because of what.", is_true=is_because, found=ran.lines[0])


def stop_all_dialing(tour: Tour) -> None:
    """Pause, see that no phone rings, and go on."""
    began_s = time.monotonic()
    paused = tour.request("POST", "/v1/dialing/pause", {"reason": "wrong script"})
    took_s = time.monotonic() - began_s
    tour.says(
        f"The pause is acknowledged within a second ({took_s:.2f} s).", is_true=paused.body["paused"] and took_s <= 1.0
    )
    again = tour.run("pause", "--reason", "wrong script, see ticket 7")
    since = paused.body["paused_at"].replace("T", " ").removesuffix("Z")
    tour.says("A second pause keeps the time of the first.", found=again.stdout,
              is_true=again.stdout == f"paused since {since} UTC: wrong script, see ticket 7\n")  # fmt: skip
    call_id = tour.client.place(new_call("+15035550105"))
    doctor = tour.run("doctor", shown="dialing|running system")
    said = [line.split(None, 2) for line in doctor.lines if re.match(FINDING, line)]
    words = [(mark, text) for mark, subject, text in said if subject == "dialing"]
    expected = [("warn", "paused: wrong script, see ticket 7; to go on, run: ringback resume")]
    tour.says("The doctor warns of it.", is_true=words == expected, found=said)
    ready = ask("GET", f"{tour.client.url}/readyz").body
    tour.says("So does /readyz.", is_true=ready["paused"] is True, found=ready)
    why = tour.run("why", "+15035550105")
    tour.says(
        "Why says that all dialing is paused.", is_true="because all dialing is paused" in why.lines[0], found=why.lines
    )
    tour.says("No phone rang for the call.", is_true=tour.client.rings_of(call_id) == [])
    resumed = tour.run("resume")
    is_told = resumed.stdout == f"dialing; it was paused since {since} UTC because wrong script, see ticket 7\n"
    tour.says("Resume says since when and why it was paused.", is_true=is_told, found=resumed.stdout)
    tour.client.wait_final(call_id, DIALED_WITHIN_S)
    tour.says("The call is dialed now, once.", is_true=len(tour.client.rings_of(call_id)) == 1)


def send_a_refused_event_again(tour: Tour) -> None:
    """Find an event that Engage refused for good, and send it again."""
    fault = {"status": 410, "times": 5}
    assert tour.client.control(f"{tour.client.engage_url}/emulator/engage/faults", fault).status == 204
    call_id = tour.client.place(new_call("+12025550100"))
    wait_until(lambda: _dead_of(tour, call_id), DEAD_WITHIN_S, "the event is given up")
    [dead] = _dead_of(tour, call_id)
    listed = tour.run("dead-letters", "list")
    rows = [line.split() for line in listed.lines[1:]]
    expected = ["abt_event", dead["type"], call_id, "5", "http_410"]
    tour.says(
        "The list has the event, its call, its tries and why.",
        is_true=[row[2:] for row in rows] == [expected],
        found=rows,
    )
    warned = tour.run("doctor", shown="^(warn|WRONG) ")
    tour.says(
        "The doctor says that something is wrong.", is_true=warned.code == 1 and "1 dead letter;" in warned.stdout
    )
    shown = tour.run("dead-letters", "show", rows[0][0])
    tour.says("One letter is shown whole.", is_true=shown.body["payload"]["id"] == dead["event_id"], found=shown.stdout)
    replayed = tour.run("dead-letters", "replay", rows[0][0])
    tour.says("It is replayed.", is_true=replayed.stdout == "1 replayed\n", found=replayed)
    tour.client.wait_delivered(call_id)
    ids = [one["id"] for one in tour.client.deliveries_of(call_id)]
    tour.says("Engage has it under the same id.", is_true=ids.count(dead["event_id"]) == 1, found=ids)
    left = tour.run("dead-letters", "list")
    tour.says("No dead letter is left.", is_true=left.lines == [], found=left.stdout)


def _dead_of(tour: Tour, call_id: str) -> list[Json]:
    return [entry for entry in tour.client.timeline(call_id) if entry["kind"] == "abt_event" and "dead_at" in entry]


def lock_out_a_key_that_leaked(tour: Tour) -> None:
    """Revoke an API key that leaked."""
    key = tour.run("keys", "create", "leaked", "--role", "viewer").stdout.strip()
    before = tour.request("GET", "/v1/calls?limit=1", api_key=key)
    tour.says("The key reads calls.", is_true=before.status == 200, found=before.status)
    revoked = tour.run("keys", "revoke", "leaked")
    ended_s = time.monotonic()
    wait_until(lambda: _is_refused(tour, key), 2 * REVOKED_WITHIN_S, "the key is refused")
    took_s = time.monotonic() - ended_s
    is_in_time = revoked.stdout == "revoked\n" and took_s <= REVOKED_WITHIN_S
    tour.says(f"It is refused within five seconds ({took_s:.1f} s).", is_true=is_in_time, found=revoked)
    rows = {line.split()[0]: line.split() for line in tour.run("keys", "list").lines}
    tour.says("The list says when it was revoked.", is_true=rows["leaked"][-1][:2] == "20", found=rows["leaked"])


def _is_refused(tour: Tour, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    return ask("GET", f"{tour.client.url}/v1/calls?limit=1", headers=headers).status == 401


def erase_a_person(tour: Tour) -> None:
    """Erase a person who asked for it."""
    phone = "+12065550100"
    placed = [tour.client.place(new_call(phone, metadata={"n": number})) for number in (1, 2)]
    for call_id in placed:
        tour.client.wait_final(call_id)
        tour.client.wait_delivered(call_id)
    provider_ids = {tour.client.call(call_id)["attempts"][0]["provider_call_id"] for call_id in placed}
    ran = tour.run("erase", phone, "--reason", "asked by letter", "--yes")
    counts = dict(line.rsplit(None, 1) for line in ran.lines)
    told = {name: counts[name] for name in ("calls", "attempts", "contacts")}
    tour.says("It counts two calls, two attempts, one contact.", found=told,
              is_true=told == {"calls": "2", "attempts": "2", "contacts": "1"})  # fmt: skip
    tour.says(
        "It names the calls that Retell still holds.",
        is_true=all(one in ran.stderr for one in provider_ids),
        found=ran.stderr,
    )
    left = tour.client.get(f"/v1/calls?phone={quote(phone)}")["items"]
    tour.says("The API finds no call of this phone.", is_true=left == [], found=left)
    shown = tour.run("trace", placed[0])
    tour.says(
        "The trace of a call does not name the contact.", is_true=phone[1:] not in shown.stdout, found=shown.stdout
    )


TASKS = (
    Task(see_whether_all_is_well),
    Task(read_the_list_of_calls),
    Task(follow_one_call, is_long=True),
    Task(explain_why_a_person_was_not_called),
    Task(stop_all_dialing),
    Task(send_a_refused_event_again, is_long=True),
    Task(lock_out_a_key_that_leaked, is_long=True),
    Task(erase_a_person, is_long=True),
)
