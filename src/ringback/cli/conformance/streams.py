"""The golden streams of an examination: the package's examples as calls that no receiver has seen, and CRM writes."""

import copy
import uuid
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CrmWrite:
    """Fields or a note of a contact, as they wait in the outbox. The id is the Idempotency-Key."""

    kind: str
    id: str
    payload: dict[str, Any]

    @property
    def name(self) -> str:
        return "PATCH fields" if self.kind == "crm_fields" else "POST notes"

    @property
    def contact_id(self) -> str:
        return str(self.payload["contact_id"])


#: An id may have every visible character but the slash. The path has it percent-encoded.
UNUSUAL_CONTACT = "Zoë+50% #1?&;=@"

#: The members that hold an id of Ringback's or of Retell's.
_IDS = ("call_id", "attempt_id", "task_id", "provider_call_id", "corrects")
#: The limits of a call's metadata and of an analysis, in bytes of JSON.
_LARGEST_METADATA = 49_000
_LARGEST_ANALYSIS = 16_000


def renewed(stream: list[Event], run: str) -> list[Event]:
    """The stream with ids of its own. Its contact begins with `conformance-`."""
    events = copy.deepcopy(stream)
    for event in events:
        data = event["data"]
        event["id"] = _new(event["id"], run)
        data |= {name: _new(data[name], run) for name in _IDS if data.get(name) is not None}
        event["subject"] = data["call_id"]
        data["contact_id"] = f"conformance-{data['contact_id']}"
        data["metadata"] = {"conformance": run}
    return events


def writes(run: str, contact: str = "crm-107") -> list[CrmWrite]:
    """Writes to a new contact, in order: every type of field, a note of an agent and of a system, a field again."""
    contact_id, call_id = f"conformance-{contact}-{run}", _new("call", run)
    values = {
        "email": "ada@example.com",
        "budget": 1200.5,
        "opted_in": True,
        "appointment_at": "2026-12-01T17:00:00.000Z",
        "interest": "high",
    }
    payloads: list[dict[str, Any]] = [
        {"fields": {"first_name": f"conformance Ada {run}", **values}},
        {"note": f"conformance: call again in spring, {run}", "author": "agent", "call_id": call_id},
        {"note": f"conformance: has moved, {run}", "author": "system", "call_id": None},
        {"fields": {"first_name": f"conformance Grace {run}"}},
    ]
    return [
        CrmWrite(
            "crm_fields" if "fields" in payload else "crm_note",
            _new(f"write-{number}", run),
            {"contact_id": contact_id, **payload},
        )
        for number, payload in enumerate(payloads)
    ]


def _new(id_: str, run: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run}/{id_}"))


def of_unknown_type(event: Event) -> Event:
    """The event under a type that a later version, or another catalogue, may have."""
    return {**event, "type": "conformance_new_type"}


def with_unknown_members(event: Event) -> Event:
    """The event with members of a later version, in the envelope and in the data."""
    return {**event, "futuremember": "1", "data": {**event["data"], "future_member": {"is": ["new", None, 1.5]}}}


def with_unusual_text(event: Event) -> Event:
    """The event with text and numbers that another JSON writer would write differently.

    A receiver that verifies the signature over JSON which it wrote itself finds other bytes.
    """
    metadata = {
        **event["data"]["metadata"],
        "z": "Zürich \u2028 </script>",
        "a": 1.0,
        "m": 10000000000000000000,
        "": "",
    }
    return {**event, "data": {**event["data"], "metadata": metadata}}


def of_largest_size(event: Event) -> Event:
    """The event with as much metadata and analysis as a call may have."""
    metadata = {**event["data"]["metadata"], "text": "x" * _LARGEST_METADATA}
    analysis = {**event["data"]["analysis"], "custom": {"text": "y" * _LARGEST_ANALYSIS}}
    return {**event, "data": {**event["data"], "metadata": metadata, "analysis": analysis}}
