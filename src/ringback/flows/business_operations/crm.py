"""What is written down about a contact leaves for the CRM, a contact's writes one after the other."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from ringback.flows.business_operations.action import ActionTransaction, Subject


async def forward(
    tx: ActionTransaction,
    kind: Literal["crm_fields", "crm_note"],
    message_id: str,
    subject: Subject,
    content: Mapping[str, Any],
    now: datetime,
) -> None:
    """One outbox row, written with what it tells of."""
    origin = subject.origin
    payload = {"contact_id": origin.contact_id, "call_id": origin.call_id, **content}
    await tx.enqueue(kind, message_id, payload, f"contact:{origin.contact_id}", now)
