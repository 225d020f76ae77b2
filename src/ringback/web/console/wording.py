"""The console's words: why a call is where it is, what comes next, and each entry of its story as a sentence."""

import json
from collections.abc import Mapping
from typing import Any

from ringback.domain.eligibility import EligibilityVerdict
from ringback.domain.rules_in_words import RULES_IN_WORDS

Item = Mapping[str, Any]

STATUSES = {
    "scheduled": "planned",
    "queued": "on its way to the processor",
    "dialing": "dialing",
    "unknown": "outcome unknown",
    "in_progress": "in progress",
    "completed": "completed",
    "partially_completed": "partially completed",
    "left_voicemail": "left a voicemail",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
    "abandoned": "abandoned",
}
TASKS = {"first": "the first attempt", "retry": "a retry", "callback": "the callback that was asked for"}
_UNFINISHED = {
    "dialing": "Retell has the request; the phone may be ringing.",
    "unknown": "Retell's answer was unclear. It is looked up, and never dialed again on a guess.",
    "queued": "The message is on its way to a call processor.",
}
_SENTENCES = {
    "suppression_added": "The person was suppressed ({source}): {reason}.",
    "suppression_lifted": "A suppression was lifted: {reason}.",
    "call_accepted": "The request was accepted. Without an end before, the call expires at {expires_at}.",
    "task_created": "Planned for {due_at}: {task_kind}.",
    "call_message": "The task was sent to the call queue, dispatch {dispatch}.",
    "dial_answer": "Retell answered the request to dial: {answer}.",
    "lease_over": "The worker that dialed did not report in time, so the outcome is unknown.",
    "lookup": "Retell was asked whether the attempt rang.",
    "asked_provider": "Retell was asked how the call is.",
    "same_key_resend_asked": "The same request may be sent once more under the same key.",
    "incident_abandoned": "The attempt was given up: its outcome stays unknown.",
    "incident_provider_lost": "Retell no longer knows the call.",
    "incident_second_provider_call": "A second call of Retell claimed this attempt and was stopped.",
    "claim_on_another_call": "A message claimed a call that belongs to another attempt.",
    "attempt_placed": "Attempt {number} was placed.",
    "attempt_connected": "Attempt {number} was answered.",
    "attempt_ended": "Attempt {number} ended: {disconnection_reason}.",
    "provider_event": "Retell reported {event}; the event was {fate}.",
    "action": "Action {action} through {door}: {code}.",
    "action_refused": "An action was refused.",
    "disposition": "Disposition {code}.",
    "abt_event": "Event {type} was written.",
    "crm_fields": "Fields were written for the CRM.",
    "crm_note": "A note was written for the CRM.",
    "cancel_asked": "A cancellation was asked for.",
    "expired": "The call expired.",
    "suppressed": "The call ended because the person is suppressed.",
    "task_deleted": "The planned attempt was deleted.",
    "held_by_inbound_call": "The planned attempt waits, because the person is calling in.",
    "released_after_inbound_call": "The inbound call ended, and the planned attempt is due again.",
}
_VERDICTS: dict[str, str] = {
    EligibilityVerdict.ALLOW: "The eligibility check admitted the call.",
    EligibilityVerdict.DEFER: "The call waits until {until}, because {because}.",
    EligibilityVerdict.DENY: "The call was refused, because {because}.",
}
_OPEN = ("pending", "held", "dispatched")
#: Facts that have a place of their own in an entry.
_SHOWN_ELSEWHERE = frozenset({"at", "kind", "detail", "attempt_id", "message_id", "event_id", "status", "last_error"})


class _Facts(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "not known"


def readable_time(text: str) -> str:
    """Format 2026-12-01T17:00:00.123Z as 2026-12-01 17:00:00."""
    return text.replace("T", " ")[:19]


def words(name: object) -> str:
    """Write a wire name as words: no_answer becomes "no answer"."""
    return str(name).replace("_", " ")


def why(call: Item) -> dict[str, Any]:
    """Say why a call is where it is, and what comes next. `next_at` is None if nothing is planned."""
    last = call["attempts"][-1] if call["attempts"] else None
    if call["next_eligible_at"] is not None:
        task = next((one for one in reversed(call["tasks"]) if one["status"] in _OPEN), None)
        decision = call["last_decision"]
        detail = decision["detail"] if decision is not None and decision["kind"] == "gate" else {}
        because = TASKS.get(task["kind"], "") if task is not None else ""
        if task is not None and task["status"] == "held":
            because = RULES_IN_WORDS["person_on_inbound_call"]
        elif detail.get("verdict") == EligibilityVerdict.DEFER and detail.get("until") == call["next_eligible_at"]:
            because = RULES_IN_WORDS.get(detail["rule"], words(detail["rule"]))
        return {"text": "", "next_at": call["next_eligible_at"], "because": because}
    if call["status"] == "in_progress" and last is not None:
        is_over = last["ended_at"] is not None
        text = "The call is over, and its analysis is awaited." if is_over else "The person and the agent are talking."
    else:
        text = _UNFINISHED.get(call["status"]) or (words(call["reason"]) if call["reason"] else "")
    return {"text": text, "next_at": None, "because": ""}


def story(entry: Item) -> dict[str, Any]:
    """Return an entry of a timeline as `sentence`, `facts`, and `trouble`, the last error of a delivery."""
    detail = entry.get("detail") if isinstance(entry.get("detail"), dict) else {}
    facts = _Facts({**entry, **(detail or {})})
    sentence = _SENTENCES.get(entry["kind"], words(entry["kind"]).capitalize() + ".")
    if entry["kind"] == "gate":
        facts["because"] = RULES_IN_WORDS.get(str(facts.get("rule")), words(facts.get("rule")))
        sentence = _VERDICTS.get(str(facts.get("verdict")), "The eligibility check decided.")
    if entry["kind"] == "dial_answer" and "message" in facts:
        sentence += " Its message: {message}"
    for name in ("due_at", "expires_at", "until"):
        if isinstance(facts.get(name), str):
            facts[name] = f"{readable_time(facts[name])} UTC"
    if entry["kind"] == "task_created":
        facts["task_kind"] = TASKS.get(str(facts.get("task_kind")), words(facts.get("task_kind")))
    shown = {name: told(value) for name, value in facts.items() if name not in _SHOWN_ELSEWHERE and value is not None}
    return {
        "at": entry["at"],
        "sentence": sentence.format_map(facts),
        "kind": words(entry.get("type") or entry["kind"]),
        "facts": shown,
        "trouble": entry.get("last_error"),
        "attempt_id": entry.get("attempt_id"),
    }


def delivery(entry: Item) -> str:
    """Say what became of a message of the outbox. Absent facts are left out of a timeline."""
    if entry.get("delivered_at"):
        return "delivered"
    if entry.get("dead_at"):
        return "given up"
    return "tried, not delivered" if entry.get("last_error") else "waiting"


def told(value: object) -> str:
    """Write a fact as a short text: structures as JSON."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
