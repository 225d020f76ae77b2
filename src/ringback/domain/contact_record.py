"""What is written down about a contact, and forwarded to the CRM."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom it is about, and out of which conversation it came; `source` is agent or api."""

    contact_id: str
    call_id: str | None
    attempt_id: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Note:
    note_id: str
    origin: Origin
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FieldsWrite:
    """New values of some of a contact's fields, as JSON values."""

    write_id: str
    origin: Origin
    values: Mapping[str, Any]
    at: datetime
