"""The parts a scenario is written from: the tools its agent calls, the verdict on the talk, and the course of both."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A custom function the agent calls in the middle of the talk, before the dialogue's next `{say}`.

    A `{{name}}` in the arguments is filled from the call's dynamic variables. With `args_at_root` the body is the
    arguments alone. With `first_answer_lost` the first try counts as timed out whatever became of it.
    """

    name: str
    args: dict[str, Any]
    args_at_root: bool = False
    first_answer_lost: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the analysis of a connected call says."""

    successful: bool
    sentiment: Literal["Negative", "Positive", "Neutral", "Unknown"]
    summary: str
    in_voicemail: bool = False
    custom: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One scenario; times are emulated seconds. `title` is its line in docs/emulator.md, `reason` Retell's
    disconnection reason; the tools are called in order, evenly spread over the talk."""

    title: str
    reason: str
    connects: bool = True
    rings: bool = True
    ring_s: float = 4.0
    talk_s: float = 20.0
    analysis_s: float = 2.0
    dialogue: str = "goal_met"
    verdict: Verdict | None = None
    tools: tuple[Tool, ...] = ()
    create: Literal["answers", "fails_after_ring", "hangs_after_ring", "throttles_twice"] = "answers"
    webhooks: Literal["once", "never", "twice_reversed"] = "once"
