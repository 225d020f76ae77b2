"""A call's story as lines for a person to read."""

import json
from datetime import datetime
from typing import Any

_COLOURS = {
    "call_accepted": "bold",
    "call_message": "blue",
    "task_created": "blue",
    "provider_event": "cyan",
    "attempt_placed": "cyan",
    "attempt_connected": "cyan",
    "attempt_ended": "cyan",
    "abt_event": "green",
    "voice_ai_call_failed": "red",
    "action": "magenta",
    "disposition": "magenta",
    "suppression_added": "red",
}
#: Shown in words of their own, or of no use to a reader.
_NOT_LISTED = frozenset({"at", "kind", "detail", "attempt_id", "event_id", "message_id", "number"})
_TIMES = frozenset({"due_at", "delivered_at", "dead_at", "expires_at", "until", "next_check_at"})


_DECIDED = frozenset({"verdict", "rule", "answer", "cause"})


def headline(told: dict[str, Any]) -> Any:
    from rich.text import Text

    colour = {"completed": "green", "failed": "red", "abandoned": "red", "unknown": "red"}.get(told["status"], "yellow")
    line = Text.assemble(
        ("call ", "dim"), (told["call_id"], "bold"), "  ", (told["status"], f"bold {colour}"), ("  contact ", "dim")
    )
    line.append(told["contact_id"])
    if told["next_eligible_at"]:
        line.append("  next at ", "dim").append(moment(told["next_eligible_at"]))
    return line


def timeline_table(told: dict[str, Any], entries: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    numbers = {attempt["attempt_id"]: attempt["number"] for attempt in told["attempts"]}
    began = next((entry["at"] for entry in entries if entry["kind"] == "call_accepted"), None)
    table = Table("UTC", "since", "", "what", "", box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.columns[1].justify = "right"
    for entry in entries:
        number = numbers.get(entry.get("attempt_id"))
        table.add_row(
            Text(moment(entry["at"]), "dim"),
            Text(_since(began, entry["at"]), "dim"),
            Text(f"#{number}" if number else "", "dim"),
            Text(_what(entry), _COLOURS.get(_what(entry)) or _COLOURS.get(entry["kind"], "yellow")),
            Text(_facts(entry)),
        )
    return table


def attempts_table(attempts: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    shown = ("number", "state", "dial", "party", "end", "disconnection_reason", "duration_ms", "cost_cents")
    table = Table("attempt", *shown[1:], "provider_call_id", box=None, pad_edge=False, header_style="dim")
    for attempt in attempts:
        values = (attempt[name] for name in (*shown, "provider_call_id"))
        table.add_row(*(Text("" if value is None else str(value)) for value in values))
    return table


def _what(entry: dict[str, Any]) -> str:
    return str(entry.get("type") or entry["kind"])


def _facts(entry: dict[str, Any]) -> str:
    """What else an entry says, as key=value; a decision's detail counts as the entry's own."""
    facts = {name: value for name, value in entry.items() if name not in _NOT_LISTED and name != "type"}
    detail = entry.get("detail")
    facts.update(detail if isinstance(detail, dict) else {})
    if facts.get("tries") == 1:
        del facts["tries"]
    # What was decided comes before what it was decided on; the sort keeps the order of all others.
    ordered = sorted(facts.items(), key=lambda fact: fact[0] not in _DECIDED)
    return "  ".join(f"{name}={word(name, value)}" for name, value in ordered if value is not None)


def word(name: str, value: Any) -> str:
    if name in _TIMES and isinstance(value, str):
        return moment(value)
    if name == "task_id":
        return f"…{value[-8:]}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def moment(text: str) -> str:
    """2026-12-01T17:00:00.123Z as 12-01 17:00:00.123."""
    return text[5:].replace("T", " ").removesuffix("Z")


def _since(began: str | None, at: str) -> str:
    if began is None:
        return ""
    seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds()
    if abs(seconds) < 60:
        return f"{seconds:+.3f} s"
    minutes, left = divmod(abs(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if seconds < 0 else '+'}{hours}:{minutes:02}:{left:02}"
