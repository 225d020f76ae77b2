"""The text of a call: its row in a list, and its timeline."""

from datetime import datetime
from typing import Any

from ringback.cli.output import Cell, visible

_COLOURS = {
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
_STATUS_COLOURS = {"completed": "green", "failed": "red", "abandoned": "red", "unknown": "red"}
#: Facts that have a column of their own, or no use to a reader.
_NOT_LISTED = frozenset({"at", "kind", "type", "detail", "attempt_id", "event_id", "message_id", "number"})
_TIMES = frozenset({"due_at", "delivered_at", "dead_at", "expires_at", "until", "next_check_at"})
#: Results of a decision; they are printed before its inputs.
_RESULTS = frozenset({"verdict", "rule", "answer", "cause", "message"})
_OF_ATTEMPT = (
    "state",
    "dial",
    "party",
    "end",
    "disconnection_reason",
    "duration_ms",
    "cost_cents",
    "provider_call_id",
)
CALLS_HEADER = ("call", "status", "contact", "attempts", "reason")


def short_time(text: str) -> str:
    """Format 2026-12-01T17:00:00.123Z as 2026-12-01 17:00:00.123."""
    return text.replace("T", " ").removesuffix("Z")


def call_row(call: dict[str, Any], now: datetime) -> tuple[str, ...]:
    """Return the row of a call in a list, in the order of CALLS_HEADER."""
    attempts = str(len(call["attempts"]))
    return call["call_id"], call["status"], visible(call["contact_id"]), attempts, _reason(call, now)


def _reason(call: dict[str, Any], now: datetime) -> str:
    """Say in a few words why the call has its status."""
    last = call["attempts"][-1] if call["attempts"] else None
    due = call["next_eligible_at"]
    if call["reason"] and due is None:
        return str(call["reason"])
    if due is not None:
        ended = call["reason"] or (last and last["disconnection_reason"])
        after = f", after {ended}" if ended else ""
        is_late = datetime.fromisoformat(due) < now and call["status"] == "scheduled"
        return f"{'was due' if is_late else 'due'} {short_time(due)} UTC{after}"
    if last is None:
        return ""
    match call["status"]:
        case "dialing":
            return f"attempt {last['number']} is {last['state']}"
        case "unknown":
            return f"Retell's answer to attempt {last['number']} is unclear; it is looked up"
        case "in_progress" if last["ended_at"]:
            return f"ended {short_time(last['ended_at'])} UTC, the analysis is awaited"
        case "in_progress":
            return f"talking since {short_time(last['started_at'])} UTC" if last["started_at"] else "talking"
    return str(last["disconnection_reason"] or "")


def headline(call: dict[str, Any]) -> list[Cell]:
    """Return one line about the call."""
    cells = [
        Cell(f"call {call['call_id']}", bold=True),
        Cell(call["status"], _STATUS_COLOURS.get(call["status"], "yellow"), bold=True),
        Cell(f"contact {visible(call['contact_id'])}"),
    ]
    if call.get("reason"):
        cells.append(Cell(f"reason {call['reason']}"))
    if call["next_eligible_at"]:
        cells.append(Cell(f"next at {short_time(call['next_eligible_at'])} UTC"))
    return cells


def timeline_rows(call: dict[str, Any], entries: list[dict[str, Any]]) -> list[list[Cell]]:
    """Return one row for each entry: UTC, time since the acceptance, attempt, kind, and the facts of the kind."""
    numbers = {attempt["attempt_id"]: attempt["number"] for attempt in call["attempts"]}
    began = next((entry["at"] for entry in entries if entry["kind"] == "call_accepted"), None)
    labels = [str(entry.get("type") or entry["kind"]) for entry in entries]
    since = [elapsed(began, entry["at"]) if began else "" for entry in entries]
    wide, wide_since = max(map(len, labels), default=0), max(map(len, since), default=0)
    rows = []
    for entry, label, after in zip(entries, labels, since, strict=True):
        number = numbers.get(entry.get("attempt_id"))
        colour = _COLOURS.get(label) or _COLOURS.get(entry["kind"])
        rows.append(
            [
                Cell(short_time(entry["at"])),
                Cell(after.rjust(wide_since)),
                Cell(f"#{number}" if number else "  "),
                Cell(label.ljust(wide), colour, bold=entry["kind"] == "call_accepted"),
                *(Cell(fact) for fact in facts_of(entry)),
            ]
        )
    return rows


def attempt_rows(attempts: list[dict[str, Any]]) -> list[list[Cell]]:
    """Return one row for each attempt, with the facts that are known."""
    return [
        [
            Cell(f"attempt {attempt['number']}", bold=True),
            *(Cell(f"{name}={visible(attempt[name])}") for name in _OF_ATTEMPT if attempt[name] is not None),
        ]
        for attempt in attempts
    ]


def facts_of(entry: dict[str, Any]) -> list[str]:
    """Format the other facts of an entry as key=value. The detail of a decision counts as the entry's own."""
    facts = {name: value for name, value in entry.items() if name not in _NOT_LISTED}
    detail = entry.get("detail")
    facts.update(detail if isinstance(detail, dict) else {})
    if facts.get("tries") == 1:
        del facts["tries"]
    # The sort is stable: within results and within inputs the order stays.
    ordered = sorted(facts.items(), key=lambda fact: fact[0] not in _RESULTS)
    return [
        f"{name}={short_time(value) if name in _TIMES and isinstance(value, str) else visible(value)}"
        for name, value in ordered
        if value is not None
    ]


def elapsed(began: str, at: str) -> str:
    """Format the time between two moments: +0.250 s, or +1:01:04."""
    seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds()
    if abs(seconds) < 60:
        return f"{seconds:+.3f} s"
    minutes, left = divmod(abs(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if seconds < 0 else '+'}{hours}:{minutes:02}:{left:02}"
