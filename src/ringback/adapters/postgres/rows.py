"""Translate between rows and domain objects."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg

from ringback.domain.abt_event import iso
from ringback.domain.attempt import Attempt, AttemptState, DialFact, Party, VoicemailAction
from ringback.domain.call import Call, CallStatus, InboundCall, RetryPolicy, Task, TaskKind, TaskStatus
from ringback.domain.contact import Contact

Row = Call | Task | Attempt | InboundCall
Columns = dict[str, Any]

TABLES: dict[type[Row], tuple[str, str]] = {
    Call: ("calls", "call_id"),
    Task: ("tasks", "task_id"),
    Attempt: ("attempts", "attempt_id"),
    InboundCall: ("inbound_calls", "inbound_id"),
}
#: A save fails if one of these columns changed since the row was read.
COMPARED: dict[type[Row], tuple[str, ...]] = {
    Call: (),
    Task: ("status", "dispatch"),
    Attempt: ("state", "fence"),
    InboundCall: (),
}

#: Read once: `fields` inspects the class on each call, and it is needed for every row.
_FIELDS = {row: tuple(field.name for field in fields(row)) for row in (*TABLES, Contact)}


def item_of(row: Mapping[str, Any] | asyncpg.Record) -> dict[str, Any]:
    """Make the item of a list of the APIs and the console: its moments are written."""
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()}


def named_columns(row: type[Row | Contact], *more: str, of: str = "") -> str:
    """Name the columns of a row's table as SQL, and `more` of them. `of` is an alias.

    Every statement names its columns: a newer version may add columns to the table while this one runs.
    """
    prefix = f"{of}." if of else ""
    return ", ".join(f'{prefix}"{name}"' for name in (*_FIELDS[row], *more))


def literals(values: Collection[StrEnum]) -> str:
    """The values as a list of SQL literals, in the order of their enumeration.

    Literals and not a parameter, because the planner must see that a condition implies that of a partial index.
    """
    (kind,) = {type(value) for value in values}
    return "(" + ", ".join(f"'{value}'" for value in kind if value in values) + ")"


def columns_of(row: Row) -> Columns:
    columns = {name: getattr(row, name) for name in _FIELDS[type(row)]}
    if isinstance(row, Call):
        columns["retry"] = retry_to_row(row.retry)
    if isinstance(row, Attempt):
        columns["business"] = dict(row.business)
        # NULL instead of false: only rows with true compete for the contact (see migration 0004).
        columns["holds_contact"] = row.holds_person or None
    return columns


def retry_to_row(retry: RetryPolicy) -> dict[str, Any]:
    """The policy as JSON. An older version reads no rules: its `delay_s` and `on` never dial sooner than they say."""
    if retry.rules is None:
        return {"max_attempts": retry.max_attempts, "delay_s": list(retry.delay_s), "on": sorted(retry.on)}
    rules = {outcome: list(delays) for outcome, delays in retry.rules.items()}
    known = {outcome: delays for outcome, delays in rules.items() if outcome in RetryPolicy().on}
    longest = max((delay for delays in known.values() for delay in delays), default=0)
    return {"max_attempts": retry.max_attempts, "delay_s": [longest], "on": sorted(known), "rules": rules}


def retry_from_row(row: dict[str, Any]) -> RetryPolicy:
    if "rules" not in row:
        return RetryPolicy(row["max_attempts"], tuple(row["delay_s"]), frozenset(row["on"]))
    rules = {outcome: tuple(delays) for outcome, delays in row["rules"].items()}
    return RetryPolicy(row["max_attempts"], rules=rules)


def call_from(record: Mapping[str, Any] | asyncpg.Record) -> Call:
    columns = {name: record[name] for name in _FIELDS[Call]}
    columns["retry"] = retry_from_row(columns["retry"])
    columns["status"] = CallStatus(columns["status"])
    return Call(**columns)


def task_from(record: Mapping[str, Any] | asyncpg.Record) -> Task:
    columns = {name: record[name] for name in _FIELDS[Task]}
    columns["kind"] = TaskKind(columns["kind"])
    columns["status"] = TaskStatus(columns["status"])
    return Task(**columns)


def attempt_from(record: Mapping[str, Any] | asyncpg.Record) -> Attempt:
    columns = {name: record[name] for name in _FIELDS[Attempt]}
    columns["state"] = AttemptState(columns["state"])
    columns["voicemail_action"] = VoicemailAction(columns["voicemail_action"])
    columns["dial"] = columns["dial"] and DialFact(columns["dial"])
    columns["party"] = columns["party"] and Party(columns["party"])
    return Attempt(**columns)


def inbound_call_from(record: Mapping[str, Any] | asyncpg.Record) -> InboundCall:
    return InboundCall(**{name: record[name] for name in _FIELDS[InboundCall]})


def contact_from(record: Mapping[str, Any] | asyncpg.Record) -> Contact:
    return Contact(**{name: record[name] for name in _FIELDS[Contact]})
