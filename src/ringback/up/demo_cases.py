"""The people of the demonstration: what each call is told, and what has to become of it."""

from dataclasses import dataclass
from typing import Any

#: Of the fictional range; the last two digits choose what the emulated person does.
AREA = "+141555501"


@dataclass(frozen=True, slots=True)
class Case:
    """`events`: the ABT events without their common prefix, in order; `rings`: how often the phone must have rung."""

    name: str
    story: str
    digits: str
    events: tuple[str, ...]
    status: str
    rings: int = 1
    retry: dict[str, Any] | None = None

    @property
    def phone(self) -> str:
        return AREA + self.digits

    def body(self) -> dict[str, Any]:
        """The trigger as Engage would send it."""
        contact = {"contact_id": f"demo-{self.name.lower()}", "phone": self.phone, "time_zone": "America/Los_Angeles"}
        body: dict[str, Any] = {
            "contact": contact,
            "agent_id": "agent_demo",
            "from_number": "+14155550199",
            "variables": {"first_name": self.name},
        }
        return body if self.retry is None else {**body, "retry": self.retry}


CASES = (
    Case("Ada", "answers, goal met", "00", ("initiated", "started", "completed"), "completed"),
    Case("Ben", "voicemail, message left", "03", ("initiated", "started", "left_voicemail"), "left_voicemail"),
    Case(
        "Cleo",
        "busy, tried again once",
        "02",
        ("initiated", "failed", "initiated", "failed"),
        "failed",
        rings=2,
        retry={"max_attempts": 2, "delay_s": [2], "on": ["busy"]},
    ),
    Case("Dan", "does not answer", "01", ("initiated", "failed"), "failed"),
    Case("Eve", "call me tomorrow at 3pm", "07", ("initiated", "started", "rescheduled"), "scheduled"),
    Case(
        "Finn",
        "never call me again",
        "08",
        ("initiated", "started", "partially_completed"),
        "partially_completed",
    ),
    Case("Gus", "every webhook is lost", "09", ("initiated", "started", "completed"), "completed"),
    Case("Hana", "create says 500, but rang", "11", ("initiated", "started", "completed"), "completed"),
)
