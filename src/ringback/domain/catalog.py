"""The catalogue of an installation, written in TOML: dispositions, contact fields, custom events and inbound facts."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ringback.domain.abt_event import LIFECYCLE_NAMES

BUILT_IN = """\
[dispositions.interested]
[dispositions.not_interested]
[dispositions.callback_requested]
[dispositions.converted]
[dispositions.no_decision]
[dispositions.wrong_number]
suppresses = true
[dispositions.do_not_call]
suppresses = true

[fields]
first_name = "text"
last_name = "text"
company = "text"
email = "email"
budget = "number"
opted_in = "boolean"
appointment_at = "instant"
interest = ["low", "medium", "high"]

[events.lead_qualified]
[events.appointment_booked]
[events.payment_promised]

[inbound]
tell = ["first_name"]
"""
#: The most names for an inbound call. Its facts are also limited in total size.
MAX_TOLD_NAMES = 50

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class CatalogError(ValueError):
    """The TOML is not a catalogue. The message lists every problem, one per line."""


class FieldType(StrEnum):
    TEXT = "text"
    EMAIL = "email"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class DispositionCode:
    """A code for the result of a conversation. With `suppresses` the person must not be called again."""

    code: str
    suppresses: bool = False


@dataclass(frozen=True, slots=True)
class WritableField:
    name: str
    type: FieldType
    choices: tuple[str, ...] = ()  # of a CHOICE alone


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalogue.

    `told_to_callers`: fields of the contact and variables of their call for the agent of an inbound call. A caller with
    a forged number hears them too.
    """

    dispositions: Mapping[str, DispositionCode]
    fields: Mapping[str, WritableField]
    events: frozenset[str]
    told_to_callers: tuple[str, ...]


def built_in_catalog() -> Catalog:
    return _read(tomllib.loads(BUILT_IN))


def parse_catalog(toml: str) -> Catalog:
    """Read a catalogue. A given section replaces the built-in one. Raises CatalogError."""
    try:
        given = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"the catalogue is not TOML: {error}") from None
    return _read(tomllib.loads(BUILT_IN) | given)


def catalog_toml(catalog: Catalog) -> str:
    """Write the catalogue as TOML. Parsing it again gives the same catalogue."""
    lines = ["[dispositions]"]
    for disposition in catalog.dispositions.values():
        lines += [f"[dispositions.{disposition.code}]", *["suppresses = true"] * disposition.suppresses]
    lines += [
        "",
        "[fields]",
        *(f"{field.name} = {_strings_toml(field.choices or field.type)}" for field in catalog.fields.values()),
    ]
    lines += ["", "[events]", *(f"[events.{name}]" for name in sorted(catalog.events))]
    lines += ["", "[inbound]", f"tell = {_strings_toml(catalog.told_to_callers)}"]
    return "\n".join(lines) + "\n"


def _strings_toml(strings: str | tuple[str, ...]) -> str:
    # A JSON string is a TOML string, except that TOML wants DEL escaped. The names are bare keys by rule.
    return json.dumps(strings, ensure_ascii=False).replace("\x7f", "\\u007f")


def _read(document: dict[str, Any]) -> Catalog:
    problems = [f"unknown section [{name}]" for name in document if name not in _CHECKS]
    for section in _CHECKS:
        problems.extend(_problems_of(section, document[section]))
    if problems:
        raise CatalogError("\n".join(problems))
    return Catalog(
        dispositions={
            code: DispositionCode(code, entry.get("suppresses", False))
            for code, entry in document["dispositions"].items()
        },
        fields={name: _field(name, kind) for name, kind in document["fields"].items()},
        events=frozenset(document["events"]),
        told_to_callers=tuple(document["inbound"].get("tell", ())),
    )


def _field(name: str, kind: str | list[str]) -> WritableField:
    if isinstance(kind, list):
        return WritableField(name, FieldType.CHOICE, tuple(kind))
    return WritableField(name, FieldType(kind))


def _problems_of(section: str, entries: object) -> Iterator[str]:
    if not isinstance(entries, dict):
        yield f"[{section}] must be a table"
        return
    for name, entry in entries.items():
        place = f"{section}.{name}"
        if not _NAME.fullmatch(name):
            yield f"{place}: a name is lower-case letters, digits and underscores, at most 64, and begins with a letter"
        problem = _CHECKS[section](name, entry)
        if problem:
            yield f"{place}: {problem}"


def _disposition_problem(name: str, entry: object) -> str | None:
    if not isinstance(entry, dict) or set(entry) - {"suppresses"}:
        return "a disposition is a table that may hold `suppresses` and nothing else"
    if not isinstance(entry.get("suppresses", False), bool):
        return "`suppresses` is true or false"
    if name == "do_not_call" and not entry.get("suppresses"):
        return "a person who must not be called is suppressed: `suppresses = true`"
    return None


def _field_problem(_name: str, entry: object) -> str | None:
    if isinstance(entry, list):
        if not entry or not all(isinstance(choice, str) and choice for choice in entry):
            return "a list of choices holds at least one word, and nothing but words"
        return "a choice is listed twice" if len(set(entry)) < len(entry) else None
    kinds = [kind.value for kind in FieldType if kind is not FieldType.CHOICE]
    if entry not in kinds:
        return f"a type is one of {', '.join(kinds)}, or a list of choices"
    return None


def _event_problem(name: str, entry: object) -> str | None:
    # Engage knows lifecycle events by these names alone, so no other event may have one.
    if name in LIFECYCLE_NAMES or name.startswith("voice_ai_call_"):
        return "this name is reserved for the lifecycle of a call"
    return None if entry == {} else "a custom event is an empty table"


def _inbound_problem(name: str, entry: object) -> str | None:
    if name != "tell":
        return "[inbound] may hold `tell` and nothing else"
    if not isinstance(entry, list) or not all(isinstance(told, str) and 0 < len(told) <= 64 for told in entry):
        return "a list of names of fields and variables, of at most 64 characters each"
    if len(entry) > MAX_TOLD_NAMES:
        return f"at most {MAX_TOLD_NAMES} names are told"
    return "a name is listed twice" if len(set(entry)) < len(entry) else None


_CHECKS = {
    "dispositions": _disposition_problem,
    "fields": _field_problem,
    "events": _event_problem,
    "inbound": _inbound_problem,
}
