"""The questions about words that leave the moment open."""

from datetime import date

from ringback.domain.instant import DAYS, MONTHS

ASK_DAY_AND_TIME = "Which day and what time would suit you for the call?"
ASK_DAY = "On which day should we call you at that time?"
ASK_TIME = "What time on that day would suit you?"
ASK_MIDNIGHT = "Do you mean midnight at the start or at the end of that day?"
ASK_ZONE = "In which time zone is that, for example Eastern or Pacific?"


class Unclear(Exception):
    """The words leave the moment open. `question` is one sentence that asks for it."""

    def __init__(self, question: str) -> None:
        super().__init__(question)
        self.question = question


def which_half(hour: int, minute: int) -> str:
    """Ask about an hour on the clock (0 to 11) that may be before or after noon."""
    if hour == 0:
        return "Do you mean noon or midnight?" if not minute else "Do you mean just after noon or just after midnight?"
    said = f"{hour}:{minute:02d}" if minute else str(hour)
    return f"Do you mean {said} in the morning or in the {'evening' if hour > 5 else 'afternoon'}?"


def which_day(one: date, other: date) -> str:
    return f"Do you mean {_said(one)}, or {_said(other)}?"


def _said(day: date) -> str:
    return f"{DAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}"
