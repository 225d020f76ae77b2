"""An inbound call: a contact calls us, and while they do nobody of us calls them."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class InboundCall:
    """Times are UTC. `released_at` ends the hold; without it the hold ends at `hold_until`."""

    inbound_id: str
    provider_call_id: str | None  # often unknown while it rings
    phone: str  # the caller's, E.164
    to_number: str
    contact_id: str
    rang_at: datetime
    hold_until: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    disconnection_reason: str | None = None
    released_at: datetime | None = None
