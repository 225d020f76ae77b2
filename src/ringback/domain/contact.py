"""A contact, the records that are kept about one, and the result of erasing one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

#: Replaces the phone in rows that are kept without the person. No phone begins with a letter.
ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Erased:
    """Counts of erased rows by kind.

    `provider_call_ids` name the calls that the provider still holds and must erase too. Ringback no longer knows them.
    """

    rows: dict[str, int]
    provider_call_ids: tuple[str, ...]


class StillInProgress(Exception):
    """A call to or from the person is not finished. Its later writes could not be erased."""

    def __init__(self, attempts: int) -> None:
        super().__init__(
            f"calls to or from the person that are not finished: {attempts}; "
            "erase once they have ended and are analyzed"
        )
        self.attempts = attempts


@dataclass(slots=True)
class Contact:
    contact_id: str
    phone: str
    time_zone: str | None = None
    time_zone_source: str | None = None  # person > crm > guessed
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """The contact and the conversation that a record belongs to. `source` is agent or api."""

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
    """New values for some of a contact's fields, as JSON values."""

    write_id: str
    origin: Origin
    values: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Disposition:
    disposition_id: str
    call_id: str | None
    attempt_id: str | None
    contact_id: str
    code: str
    note: str | None
    at: datetime


class WrittenKind(StrEnum):
    """A kind of record that actions write about a contact. Notes and fields are also forwarded to the CRM."""

    DISPOSITIONS = "dispositions"
    NOTES = "notes"
    FIELDS = "fields"
