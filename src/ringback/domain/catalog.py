"""The catalogue of an installation, written in TOML: dispositions, fields, custom events, inbound facts, tools."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ringback.domain.abt_event import LIFECYCLE_NAMES, OWN_DATA

BUILT_IN = """\
[dispositions.interested]
description = "The person wants to know more or to go on."
[dispositions.not_interested]
description = "The person does not want it; they may be called about something else."
[dispositions.callback_requested]
description = "The person asks to be called at another time."
[dispositions.converted]
description = "The person agreed to what the call is for."
[dispositions.no_decision]
description = "The person talked, and decided nothing."
[dispositions.wrong_number]
description = "Another person has this number."
suppresses = true
[dispositions.do_not_call]
description = "The person asks not to be called again."
suppresses = true

[fields]
first_name = { type = "text", description = "The person's first name." }
last_name = { type = "text", description = "The person's last name." }
company = { type = "text", description = "The company that the person works for." }
email = { type = "email", description = "The person's email address, as they spelled it." }
budget = { type = "number", description = "The amount of money that the person can spend." }
opted_in = { type = "boolean", description = "Whether the person agrees to get messages. True only after a clear yes." }
appointment_at = { type = "instant", description = "When the appointment is that the person agreed to." }
interest = { choices = ["low", "medium", "high"], description = "How interested the person is." }

[events.lead_qualified]
description = "The person fits, and someone should follow up."
more_data = true
[events.lead_qualified.data]
budget = { type = "number", description = "The amount of money that the person can spend." }
interest = { choices = ["low", "medium", "high"], description = "How interested the person is." }
[events.appointment_booked]
description = "The person agreed to an appointment."
more_data = true
[events.appointment_booked.data]
when = { type = "text", description = "The day and the time, as the person confirmed them." }
[events.payment_promised]
description = "The person promised to pay."
more_data = true
[events.payment_promised.data]
amount = { type = "number", description = "The amount of money that the person promised." }
due = { type = "text", description = "The day by which the person will pay, as they said it." }

[inbound]
tell = ["first_name"]

[tools]
"""
#: The functions of an agent, whose speech the section [tools] sets.
TOOLS = (
    "field_writeback",
    "reschedule_call",
    "delete_scheduled_task",
    "update_timezone",
    "set_disposition",
    "send_abt_event",
    "note_writeback",
)
#: Functions that file something while the talk goes on. By default they do not interrupt it.
_FILING = ("send_abt_event", "note_writeback")
#: A tool definition repeats every description to a model in every call.
MAX_DESCRIPTION_CHARS = 300
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
    description: str = ""


@dataclass(frozen=True, slots=True)
class WritableField:
    """A field of the contact, or a member of an event's data. Only a member may be required."""

    name: str
    type: FieldType
    choices: tuple[str, ...] = ()  # of a CHOICE alone
    description: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class CustomEventType:
    """A custom event. `more_data`: its data may have members that the catalogue does not name."""

    name: str
    description: str = ""
    data: Mapping[str, WritableField] = field(default_factory=dict)
    more_data: bool = True


@dataclass(frozen=True, slots=True)
class ToolSpeech:
    """Whether an agent speaks by itself while a function runs, and once it has the result.

    A reply comes faster than a filler sentence would end. Its `say` is the sentence for the agent.
    """

    speak_during_execution: bool = False
    speak_after_execution: bool = True


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalogue. Descriptions are for the model of an agent.

    `told_to_callers`: fields of the contact and variables of their call for the agent of an inbound call. A caller with
    a forged number hears them too.
    """

    dispositions: Mapping[str, DispositionCode]
    fields: Mapping[str, WritableField]
    events: Mapping[str, CustomEventType]
    told_to_callers: tuple[str, ...]
    tools: Mapping[str, ToolSpeech]  # of every function of an agent


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
        lines += [f"[dispositions.{disposition.code}]", *_description_toml(disposition.description)]
        lines += ["suppresses = true"] * disposition.suppresses
    lines += ["", "[fields]", *map(_field_toml, catalog.fields.values()), "", "[events]"]
    for event in catalog.events.values():
        lines += [f"[events.{event.name}]", *_description_toml(event.description)]
        lines += [f"more_data = {_toml(event.more_data)}"] * (event.more_data == bool(event.data))
        lines += [f"[events.{event.name}.data]", *map(_field_toml, event.data.values())] * bool(event.data)
    lines += ["", "[inbound]", f"tell = {_toml(catalog.told_to_callers)}", "", "[tools]"]
    for name, speech in catalog.tools.items():
        lines += [f"[tools.{name}]", *(f"{option} = {_toml(value)}" for option, value in asdict(speech).items())]
    return "\n".join(lines) + "\n"


def _description_toml(description: str) -> list[str]:
    return [f"description = {_toml(description)}"] if description else []


def _field_toml(one: WritableField) -> str:
    kind = f"choices = {_toml(one.choices)}" if one.choices else f"type = {_toml(one.type)}"
    parts = [kind, *_description_toml(one.description), *["required = true"] * one.required]
    return f"{one.name} = {{ {', '.join(parts)} }}"


def _toml(value: str | bool | tuple[str, ...]) -> str:
    # A JSON value is a TOML value, except that TOML wants DEL escaped. The names are bare keys by rule.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _read(document: dict[str, Any]) -> Catalog:
    problems = [f"unknown section [{name}]" for name in document if name not in _CHECKS]
    for section in _CHECKS:
        problems.extend(_problems_of(section, document[section]))
    if problems:
        raise CatalogError("\n".join(problems))
    return Catalog(
        dispositions={code: DispositionCode(code, **entry) for code, entry in document["dispositions"].items()},
        fields={name: _field(name, entry) for name, entry in document["fields"].items()},
        events={name: _event(name, entry) for name, entry in document["events"].items()},
        told_to_callers=tuple(document["inbound"].get("tell", ())),
        tools={
            name: ToolSpeech(**{"speak_after_execution": name not in _FILING, **document["tools"].get(name, {})})
            for name in TOOLS
        },
    )


def _field(name: str, entry: str | list[str] | dict[str, Any]) -> WritableField:
    """Read a field in its short form, a type or a list of choices, or as a table."""
    table: dict[str, Any] = entry if isinstance(entry, dict) else {}
    if not isinstance(entry, dict):
        table = {"choices" if isinstance(entry, list) else "type": entry}
    more = {option: table[option] for option in ("description", "required") if option in table}
    if "choices" in table:
        return WritableField(name, FieldType.CHOICE, tuple(table["choices"]), **more)
    return WritableField(name, FieldType(table["type"]), **more)


def _event(name: str, entry: dict[str, Any]) -> CustomEventType:
    data = {member: _field(member, one) for member, one in entry.get("data", {}).items()}
    return CustomEventType(name, entry.get("description", ""), data, entry.get("more_data", not data))


def _problems_of(section: str, entries: object) -> Iterator[str]:
    if not isinstance(entries, dict):
        yield f"[{section}] must be a table"
        return
    for name, entry in entries.items():
        for problem in (_name_problem(name), _CHECKS[section](name, entry)):
            if problem:
                yield f"{section}.{name}: {problem}"
        data = entry.get("data", {}) if section == "events" and isinstance(entry, dict) else {}
        for member, kind in data.items() if isinstance(data, dict) else ():
            problem = _name_problem(member) or _member_problem(member, kind)
            if problem:
                yield f"events.{name}.data.{member}: {problem}"


def _name_problem(name: str) -> str | None:
    if _NAME.fullmatch(name):
        return None
    return "a name is lower-case letters, digits and underscores, at most 64, and begins with a letter"


def _table_problem(entry: object, what: str, *options: str) -> str | None:
    """Find a problem of the options that tables share: a description for a model, and switches."""
    if not isinstance(entry, dict) or set(entry) - set(options):
        named = " and ".join(f"`{option}`" for option in options)
        return f"{what} is a table that may hold {named} and nothing else"
    for switch in set(options) & _SWITCHES:
        if not isinstance(entry.get(switch, False), bool):
            return f"`{switch}` is true or false"
    description = entry.get("description", "")
    if not isinstance(description, str) or not description.isprintable() or len(description) > MAX_DESCRIPTION_CHARS:
        return f"`description` is one line of at most {MAX_DESCRIPTION_CHARS} characters"
    return None


_SWITCHES = {"suppresses", "required", "more_data", "speak_during_execution", "speak_after_execution"}


def _disposition_problem(name: str, entry: object) -> str | None:
    if problem := _table_problem(entry, "a disposition", "suppresses", "description"):
        return problem
    if name == "do_not_call" and not (isinstance(entry, dict) and entry.get("suppresses")):
        return "a person who must not be called is suppressed: `suppresses = true`"
    return None


def _field_problem(_name: str, entry: object, *more: str) -> str | None:
    if isinstance(entry, dict):
        if problem := _table_problem(entry, "a field", "type", "choices", "description", *more):
            return problem
        if ("type" in entry) == ("choices" in entry):
            return "a field has either a `type` or `choices`"
        if not isinstance(entry.get("choices", []), list) or isinstance(entry.get("type"), list):
            return "`choices` is a list of words, and `type` a single word"
        entry = entry.get("choices", entry.get("type"))
    if isinstance(entry, list):
        if not entry or not all(isinstance(choice, str) and choice for choice in entry):
            return "a list of choices holds at least one word, and nothing but words"
        return "a choice is listed twice" if len(set(entry)) < len(entry) else None
    kinds = [kind.value for kind in FieldType if kind is not FieldType.CHOICE]
    if entry not in kinds:
        return f"a type is one of {', '.join(kinds)}, or a list of choices"
    return None


def _member_problem(name: str, entry: object) -> str | None:
    return "every event has this member" if name in OWN_DATA else _field_problem(name, entry, "required")


def _event_problem(name: str, entry: object) -> str | None:
    # Engage knows lifecycle events by these names alone, so no other event may have one.
    if name in LIFECYCLE_NAMES or name.startswith("voice_ai_call_"):
        return "this name is reserved for the lifecycle of a call"
    if problem := _table_problem(entry, "a custom event", "description", "data", "more_data"):
        return problem
    if isinstance(entry, dict) and not isinstance(entry.get("data", {}), dict):
        return "`data` is a table of members, each written like a field"
    return None


def _tool_problem(name: str, entry: object) -> str | None:
    if name not in TOOLS:
        return f"an agent's function is one of {', '.join(TOOLS)}"
    return _table_problem(entry, "a function's speech", "speak_during_execution", "speak_after_execution")


def _inbound_problem(name: str, entry: object) -> str | None:
    if name != "tell":
        return "[inbound] may hold `tell` and nothing else"
    if not isinstance(entry, list) or not all(isinstance(told, str) and 0 < len(told) <= 64 for told in entry):
        return "a list of names of fields and variables, of at most 64 characters each"
    if len(entry) > MAX_TOLD_NAMES:
        return f"at most {MAX_TOLD_NAMES} names are told"
    return "a name is listed twice" if len(set(entry)) < len(entry) else None


_CHECKS: dict[str, Callable[[str, object], str | None]] = {
    "dispositions": _disposition_problem,
    "fields": _field_problem,
    "events": _event_problem,
    "inbound": _inbound_problem,
    "tools": _tool_problem,
}
