"""Whether dialing is paused, and what is still on the line."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DialingState:
    """`live`: attempts that may be ringing or talking, or whose answer is unclear; a pause does not end them."""

    paused_at: datetime | None
    reason: str | None
    live: int
