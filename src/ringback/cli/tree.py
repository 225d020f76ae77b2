"""The story of a call as a tree: its tasks, its attempts, and what each of them led to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ringback.cli.output import Cell
from ringback.cli.render import elapsed, facts_of

Entry = dict[str, Any]

#: The process or party of an entry by its kind, where every entry of that kind has the same one.
_WHERE = {
    "call_accepted": "Voice API",
    "call_message": "outbox to queue 1",
    "gate": "call processor",
    "dial_answer": "call processor",
    "attempt_placed": "Retell",
    "attempt_connected": "Retell",
    "attempt_ended": "Retell",
    "provider_event": "webhook processor",
    "lease_over": "scheduler",
    "lookup": "scheduler",
    "same_key_resend_asked": "scheduler",
    "asked_provider": "scheduler",
    "action": "Business API",
    "abt_event": "outbox to Engage",
    "crm_fields": "outbox to Engage",
    "crm_note": "outbox to Engage",
}


@dataclass
class _Node:
    entry: Entry
    label: str
    below: list["_Node"] = field(default_factory=list)


def tree_rows(call: Entry, entries: list[Entry]) -> list[list[Cell]]:
    """Return one row for each entry, in order of time below its task, its attempt or the call.

    A row has the time since the acceptance, the branch, the process, and the facts of the entry.
    """
    numbers = {attempt["attempt_id"]: attempt["number"] for attempt in call["attempts"]}
    root, tasks, attempts = _Node({}, f"call {call['call_id']}"), dict[str, _Node](), dict[str, _Node]()
    for entry in entries:
        node, parent = _Node(entry, str(entry.get("type") or entry["kind"])), root
        attempt_id, task_id = str(entry.get("attempt_id")), str(entry.get("task_id"))
        if attempt_id in numbers:
            if attempt_id not in attempts:
                at = {"at": entry["at"], "kind": "attempt", "attempt_id": attempt_id}
                attempts[attempt_id] = _Node(at, f"attempt {numbers[attempt_id]}")
                root.below.append(attempts[attempt_id])
            parent = attempts[attempt_id]
        elif entry["kind"] == "call_message" and task_id in tasks:
            parent = tasks[task_id]
        elif entry["kind"] == "task_created":
            tasks[task_id] = node
        parent.below.append(node)
    began = next((entry["at"] for entry in entries if entry["kind"] == "call_accepted"), None)
    drawn = list(_drawn(root, ""))
    times = [elapsed(began, node.entry["at"]) if began else "" for _, node in drawn]
    widths = [max(map(len, texts), default=0) for texts in (times, [branch for branch, _ in drawn])]
    return [
        [
            Cell(time.rjust(widths[0])),
            Cell(branch.ljust(widths[1]), bold=node.entry["kind"] == "attempt"),
            *(Cell(text) for text in (_WHERE.get(node.entry["kind"], ""), *facts_of(node.entry)) if text),
        ]
        for time, (branch, node) in zip(times, drawn, strict=True)
    ]


def _drawn(parent: _Node, indent: str) -> Iterator[tuple[str, _Node]]:
    """Yield each node below the parent with its branch and label."""
    for node in parent.below:
        is_last = node is parent.below[-1]
        yield f"{indent}{'└─ ' if is_last else '├─ '}{node.label}", node
        yield from _drawn(node, indent + ("   " if is_last else "│  "))
