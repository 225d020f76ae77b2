"""Text for a terminal: a call with its timeline, and why a person is or is not called."""

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
#: Facts that have a column of their own, or no use to a reader.
_NOT_LISTED = frozenset({"at", "kind", "type", "detail", "attempt_id", "event_id", "message_id", "number"})
_TIMES = frozenset({"due_at", "delivered_at", "dead_at", "expires_at", "until", "next_check_at"})
#: Results of a decision; they are printed before its inputs.
_RESULTS = frozenset({"verdict", "rule", "answer", "cause"})


def headline(call: dict[str, Any]) -> Any:
    """Return one line about the call as a rich Text."""
    from rich.text import Text

    colour = {"completed": "green", "failed": "red", "abandoned": "red", "unknown": "red"}.get(call["status"], "yellow")
    line = Text.assemble(
        ("call ", "dim"), (call["call_id"], "bold"), "  ", (call["status"], f"bold {colour}"), ("  contact ", "dim")
    )
    line.append(call["contact_id"])
    if call["next_eligible_at"]:
        line.append("  next at ", "dim").append(_short_time(call["next_eligible_at"]))
    return line


def timeline_table(call: dict[str, Any], entries: list[dict[str, Any]]) -> Any:
    """Return a rich Table with one row for each entry."""
    from rich.table import Table
    from rich.text import Text

    numbers = {attempt["attempt_id"]: attempt["number"] for attempt in call["attempts"]}
    began = next((entry["at"] for entry in entries if entry["kind"] == "call_accepted"), None)
    table = Table("UTC", "since", "", "what", "", box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.columns[1].justify = "right"
    for entry in entries:
        number = numbers.get(entry.get("attempt_id"))
        label = str(entry.get("type") or entry["kind"])
        table.add_row(
            Text(_short_time(entry["at"]), "dim"),
            Text(_elapsed(began, entry["at"]) if began else "", "dim"),
            Text(f"#{number}" if number else "", "dim"),
            Text(label, _COLOURS.get(label) or _COLOURS.get(entry["kind"], "yellow")),
            Text(_facts(entry)),
        )
    return table


def attempts_table(attempts: list[dict[str, Any]]) -> Any:
    """Return a rich Table with one row for each attempt."""
    from rich.table import Table
    from rich.text import Text

    shown = ("number", "state", "dial", "party", "end", "disconnection_reason", "duration_ms", "cost_cents")
    table = Table("attempt", *shown[1:], "provider_call_id", box=None, pad_edge=False, header_style="dim")
    for attempt in attempts:
        values = (attempt[name] for name in (*shown, "provider_call_id"))
        table.add_row(*(Text("" if value is None else str(value)) for value in values))
    return table


def _facts(entry: dict[str, Any]) -> str:
    """Format the other facts of an entry as key=value. The detail of a decision counts as the entry's own."""
    facts = {name: value for name, value in entry.items() if name not in _NOT_LISTED}
    detail = entry.get("detail")
    facts.update(detail if isinstance(detail, dict) else {})
    if facts.get("tries") == 1:
        del facts["tries"]
    # The sort is stable: within results and within inputs the order stays.
    ordered = sorted(facts.items(), key=lambda fact: fact[0] not in _RESULTS)
    return "  ".join(f"{name}={_value(name, value)}" for name, value in ordered if value is not None)


def _value(name: str, value: Any) -> str:
    if name in _TIMES and isinstance(value, str):
        return _short_time(value)
    if name == "task_id":
        return f"…{value[-8:]}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short_time(text: str) -> str:
    """Format 2026-12-01T17:00:00.123Z as 12-01 17:00:00.123."""
    return text[5:].replace("T", " ").removesuffix("Z")


def _elapsed(began: str, at: str) -> str:
    seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds()
    if abs(seconds) < 60:
        return f"{seconds:+.3f} s"
    minutes, left = divmod(abs(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if seconds < 0 else '+'}{hours}:{minutes:02}:{left:02}"


def explanation_lines(explanation: dict[str, Any]) -> list[str]:
    """Format the answer of /v1/why line by line."""
    hours = explanation["calling_hours"]
    zones = ", ".join(hours["time_zones"]) or "unknown zone"
    is_open = "open now" if hours["open_now"] else f"closed until {hours['opens_at'] or 'an unknown time'}"
    next_call = explanation["next_eligible_at"] or "no time can be promised"
    return [
        f"next call    {next_call}  because {explanation['because']}",
        f"hours        {is_open}  ({hours['policy']} in {zones})",
        f"dialing      {_dialing(explanation['dialing'])}",
        *_rows("suppressed", explanation["suppressions"], ("suppression_id", "created_at", "source", "reason")),
        *(f"open task    {_task(task)}" for task in explanation["open_tasks"]),
        *_rows("attempt", explanation["attempts_last_24h"], ("sent_at", "call_id", "state", "disconnection_reason")),
        *(f"decision     {_decision(decision)}" for decision in explanation["decisions"]),
    ]


def _dialing(dialing: dict[str, Any]) -> str:
    if dialing["paused"]:
        return f"paused: {dialing['reason'] or 'no reason given'}"
    if dialing["breaker_until"]:
        return f"Retell refuses the account; next try {dialing['breaker_until']}"
    return f"on, {dialing['live']} calls live"


def _task(task: dict[str, Any]) -> str:
    waits = "".join(f"  then {wait['rule']} until {wait['until']}" for wait in task["waits"])
    held = " (held)" if task["held"] else ""
    return f"{task['kind']} of call {task['call_id']}  {task['status']}{held}  due {task['due_at']}{waits}"


def _decision(decision: dict[str, Any]) -> str:
    facts = decision["detail"].items()
    inputs = "  ".join(f"{name}={json.dumps(value)}" for name, value in facts if value is not None)
    return f"{decision['at']}  call {decision['call_id']}  {decision['kind']}  {inputs}"


def _rows(title: str, items: list[dict[str, Any]], names: tuple[str, ...]) -> list[str]:
    return [f"{title:<13}" + "  ".join(str(item[name]) for name in names if item[name] is not None) for item in items]
