"""The tasks of a backend developer at Engage: requests, events, a receiver of their own."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from tests.cli.conformance import receivers
from tests.stories.running_system import new_call

from .tour import Task, Tour

PHONE = "+12125550100"


def place_a_call_twice_with_one_key(tour: Tour) -> None:
    """Place a call, and repeat the request because its answer was lost."""
    key = tour.run("keys", "create", "engage", "--role", "engage").stdout.strip()
    first = tour.request("POST", "/v1/calls", new_call(PHONE), "order-17", key)
    second = tour.request("POST", "/v1/calls", new_call(PHONE), "order-17", key)
    calls = tour.client.get(f"/v1/calls?phone={quote(PHONE)}")["items"]
    tour.says("The first answer is 202.", is_true=first.status == 202, found=first)
    tour.says(
        "The repeat has the same answer.", is_true=(second.status, second.body) == (202, first.body), found=second
    )
    replayed = second.headers.get("idempotent-replayed")
    tour.says("It is marked as a replay.", is_true=replayed == "true", found=second.headers)
    ids = [call["call_id"] for call in calls]
    tour.says("There is one call to this phone.", is_true=ids == [first.body["call_id"]], found=ids)
    other = tour.request("POST", "/v1/calls", new_call(PHONE, variables={"x": "1"}), "order-17", key)
    tour.says("The key with another body is refused.", is_true=other.status == 409, found=other)
    paused = tour.request("POST", "/v1/dialing/pause", {}, api_key=key)
    tour.says("This key may not pause dialing.", is_true=paused.status == 403, found=paused)


def see_every_mistake_of_a_request_at_once(tour: Tour) -> None:
    """Send a request with several mistakes."""
    body = {"contact": {"contact_id": "crm-1", "phone": "555 0100", "time_zone": "Mars"}, "agent": "x"}
    answer = tour.request("POST", "/v1/calls", body)
    pointers = {problem["pointer"] for problem in answer.body["errors"]}
    expected = {"#/contact/phone", "#/contact/time_zone", "#/agent", "#/agent_id", "#/from_number"}
    tour.says("One 422 names all five mistakes.", is_true=(answer.status, pointers) == (422, expected), found=answer)
    tour.says("It does not repeat the phone.", is_true="555 0100" not in str(answer.body), found=answer.body)


def receive_the_events_of_a_call(tour: Tour) -> None:
    """Receive the events of a call, and read them again from the feed."""
    call_id = tour.request("POST", "/v1/calls", new_call("+12125550103")).body["call_id"]
    tour.client.wait_final(call_id)
    tour.client.wait_delivered(call_id)
    received = tour.client.deliveries_of(call_id)
    types = [one["type"].removeprefix("voice_ai_call_") for one in received]
    tour.show([f"Engage received {', '.join(types)}"])
    tour.says(
        "The events are those of a voicemail, in order.", is_true=types == ["initiated", "started", "left_voicemail"]
    )
    tour.says("Every signature is valid.", is_true=all(one["signature_ok"] for one in received))
    finals = [one["event"]["data"]["is_final"] for one in received if "is_final" in one["event"]["data"]]
    tour.says("One of them is the final one.", is_true=finals == [True], found=finals)
    feed = tour.client.get("/v1/events?limit=200")["items"]
    fed = [item["event"] for item in feed if item["event"]["subject"] == call_id]
    tour.says("The feed has the same events.", is_true=fed == [one["event"] for one in received], found=fed)


def cancel_a_planned_call(tour: Tour) -> None:
    """Cancel a call before it is dialed."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    planned = new_call("+12125550107", not_before=tomorrow)
    call_id = tour.request("POST", "/v1/calls", planned).body["call_id"]
    answer = tour.request("POST", f"/v1/calls/{call_id}/cancel")
    tour.says("It is cancelled.", is_true=answer.body == {"result": "cancelled"}, found=answer)
    tour.client.wait_delivered(call_id)
    [event] = [one["event"] for one in tour.client.deliveries_of(call_id)]
    told = (event["type"], event["data"]["reason"], event["data"]["is_final"])
    tour.says("Engage is told so.", is_true=told == ("voice_ai_call_failed", "cancelled", True), found=told)
    tour.says("No phone has rung.", is_true=tour.client.rings_of(call_id) == [])


def find_the_fault_of_a_receiver(tour: Tour) -> None:
    """Examine a receiver that applies a repeated note twice, and one that is right."""
    for receiver, exit_code, broken in (
        (receivers.IgnoresTheKeyOfAWrite(), 1, ["It applies each write once, and a refused write not at all."]),
        (receivers.GoodReceiver(), 0, []),
    ):
        with receivers.serving(receiver) as url:
            page = url.replace("/hooks", "/crm/{contact_id}")
            words = ["conformance", url, "--secret", receivers.SECRET, "--contact-url", page]
            ran = tour.run(*words, has_data_dir=False)
        found = [line.removeprefix("BROKEN").strip() for line in ran.lines if line.startswith("BROKEN")]
        what = "exactly the rule that it breaks" if broken else "no broken rule"
        tour.says(f"It names {what}.", is_true=(ran.code, found) == (exit_code, broken), found=ran)


TASKS = (
    Task(place_a_call_twice_with_one_key),
    Task(see_every_mistake_of_a_request_at_once),
    Task(receive_the_events_of_a_call),
    Task(cancel_a_planned_call),
    Task(find_the_fault_of_a_receiver, is_long=True),
)
