"""The campaigns of the week, and the shares that its outcomes are drawn from. All of it is imagined."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Area codes by the zone of their people. The numbers are of the fictional range, +1 NXX 555 0100 to 0199.
AREA_CODES = {
    "America/New_York": ("212", "646", "404", "617", "202", "215", "704", "407", "919", "412"),
    "America/Chicago": ("312", "214", "713", "512", "612", "504", "414", "816"),
    "America/Denver": ("303", "801", "505", "406"),
    "America/Phoenix": ("602",),
    "America/Los_Angeles": ("415", "213", "206", "503", "702", "619"),
}
NUMBERS_PER_CODE = 100
FIRST_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Iris", "Jon", "Kim", "Lena", "Max", "Nora")

#: How likely a person answers in each local hour, beside the best one. Mornings and evenings are best.
ANSWERS_BY_HOUR = {
    9: 0.75, 10: 0.95, 11: 1.0, 12: 0.7, 13: 0.65, 14: 0.72, 15: 0.78, 16: 0.85, 17: 0.95, 18: 1.0, 19: 0.9,
}  # fmt: skip
#: Monday first. Nothing is called on Sundays.
ANSWERS_BY_WEEKDAY = (0.95, 1.05, 1.05, 1.0, 0.9, 0.75, 0.7)
#: How many requests come in each hour in New York, where the campaigns are run.
REQUESTS_BY_HOUR = {9: 9, 10: 13, 11: 12, 12: 8, 13: 9, 14: 11, 15: 10, 16: 9, 17: 7, 18: 5, 19: 3, 20: 2}
REQUESTS_BY_WEEKDAY = (1.0, 1.1, 1.1, 1.0, 0.85, 0.3, 0.05)


@dataclass(frozen=True, slots=True)
class Campaign:
    """Requests of one purpose. `human` and `goal` are shares: of answers in the best hour, and of goals among them."""

    name: str
    agent_id: str
    from_numbers: tuple[str, ...]
    share: float
    human: float
    goal: float
    talk_s: float
    retry: Mapping[str, Any] | None


_THREE_TRIES = {"max_attempts": 3, "delay_s": [3600, 14400], "on": ["no_answer", "busy"]}
_TWO_TRIES = {"max_attempts": 2, "delay_s": [7200], "on": ["no_answer", "busy"]}
CAMPAIGNS = (
    Campaign(
        "contract-renewal", "agent_renewals", ("+14155550199", "+12125550199"), 0.36, 0.42, 0.46, 165, _THREE_TRIES
    ),
    Campaign("appointment-reminder", "agent_reminders", ("+13125550199",), 0.26, 0.55, 0.74, 55, _TWO_TRIES),
    Campaign("spring-offer", "agent_offers", ("+14155550199", "+17025550199"), 0.24, 0.31, 0.17, 120, _THREE_TRIES),
    Campaign("payment-reminder", "agent_payments_hangup", ("+12125550199",), 0.14, 0.36, 0.38, 80, None),
)
#: People answer this number less often than the others.
DISTRUSTED = {"+17025550199": 0.55}

#: The emulator's scenarios of a person who speaks and does not meet the goal, by weight.
TALKS_WITHOUT_GOAL = {"05": 62, "07": 20, "08": 7, "21": 3, "20": 3, "25": 5}
#: Of a person who meets it. From 09 on the platform or a webhook has a fault, and the outcome is the same.
TALKS_WITH_GOAL = {
    "00": 600, "15": 80, "17": 90, "18": 60, "19": 60, "24": 40, "09": 8, "10": 14, "11": 7, "13": 9, "16": 8,
}  # fmt: skip
#: Of a phone that no person answers. 26: Retell's answer is unclear and nothing rings.
NOT_ANSWERED = {"01": 470, "03": 300, "04": 90, "02": 65, "14": 55, "06": 12, "26": 4}
#: Seconds from the first ring to the end or to the answer, where it is not that of a person.
RINGS_S = {"01": (26.0, 34.0), "03": (18.0, 27.0), "04": (18.0, 27.0)}
#: The middle length of a conversation in seconds, where it is not that of its campaign.
TALKS_S = {"03": 24.0, "04": 6.0, "05": 16.0, "07": 52.0, "08": 31.0, "20": 64.0, "21": 70.0, "25": 66.0}
