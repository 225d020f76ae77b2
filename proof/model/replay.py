"""A trace of the model, walked by the product's own flows on PostgreSQL; after each step both must say the same."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from proof.model.driver import ProductDriver
from proof.model.offer import Kind, Step
from proof.model.rules import Rules
from proof.model.state import Attempt, Bounds, Call, Situation
from proof.model.steps import steps
from ringback.domain.abt_event import FailReason

MOST_STEPS = 60
STUCK_S = 120.0

Way = list[tuple[Situation, Step]]
Row = dict[str, Any]
Label = tuple[object, ...]


class Different(AssertionError):
    """The product did something else than the model."""


def walk(bounds: Bounds, rng: random.Random, walked: Counter[str]) -> Way:
    """A way through the model: each step with the situation after it. Few steps are faults and wishes."""
    situation = bounds.start()
    way: Way = []
    while len(way) < MOST_STEPS:
        possible = [step for step in steps(situation, bounds, Rules()) if step.tx.situation() != situation]
        if not possible:
            break
        by_itself = [step for step in possible if step.kind is Kind.SYSTEM]
        if by_itself and rng.random() < 0.8:
            possible = by_itself
        if rng.random() < 0.5:
            least = min(walked[str(step.label[0])] for step in possible)
            possible = [step for step in possible if walked[str(step.label[0])] == least]
        step = rng.choice(possible)
        walked[str(step.label[0])] += 1
        way.append((situation, step))
        situation = step.tx.situation()
    return way


def way_of(bounds: Bounds, labels: Sequence[Label], rules: Rules | None = None) -> Way:
    """The way with these labels, by the product's rules or by others."""
    rules = rules or Rules()
    situation = bounds.start()
    way: Way = []
    for label in labels:
        step = next(step for step in steps(situation, bounds, rules) if step.label == label)
        way.append((situation, step))
        situation = step.tx.situation()
    return way


async def replay(way: Way, driver: ProductDriver) -> None:
    """Raises Different, with the labels up to the step in which they part."""
    told: list[list[str]] = [[] for _ in range(driver.bounds.calls)]
    try:
        await driver.accept_calls()
        for number, (situation, step) in enumerate(way):
            await asyncio.wait_for(driver.take(situation, step), STUCK_S)
            for c, type_ in step.tx.events:
                told[c].append(type_.removeprefix("voice_ai_call_"))
            differences = await _differences(step.tx.situation(), told, driver)
            if differences:
                labels = "; ".join(" ".join(map(str, taken.label)) for _, taken in way[: number + 1])
                raise Different("\n".join([labels, *differences]))
    finally:
        await driver.let_go()


async def _differences(situation: Situation, told: list[list[str]], driver: ProductDriver) -> list[str]:
    differences = []
    for c, call in enumerate(situation.calls):
        name, stack = driver.call_id(c), driver.stack
        tasks = await stack.all(
            "SELECT kind, status FROM tasks WHERE call_id = $1 ORDER BY task_id NOT LIKE 'task-%', task_id", name
        )
        seen = {
            **_seen_of_call(await stack.call(name)),
            "tasks": [(task["kind"], task["status"]) for task in tasks],
            "events": await stack.event_types(name),
        } | {f"attempt {a}": _seen_of(row, driver.bounds) for a, row in enumerate(await stack.attempts(name))}
        meant = {
            **_meant_by_call(call),
            "tasks": [(str(task.kind), str(task.status)) for task in call.tasks],
            "events": told[c],
        } | {f"attempt {a}": _meant_by(attempt) for a, attempt in enumerate(call.attempts)}
        differences += [
            f"call {c}, {what}: the model says {meant.get(what)}, the product {seen.get(what)}"
            for what in sorted(seen.keys() | meant.keys())
            if seen.get(what) != meant.get(what)
        ]
    return differences


def _seen_of_call(row: Row) -> Row:
    return {"final": row["final"], **_stops(row["no_more_retries"])}


def _meant_by_call(call: Call) -> Row:
    return {"final": call.final, **_stops(call.no_more)}


def _stops(no_more: str | None) -> Row:
    return {"stopped": bool(no_more), "cancelled": no_more == FailReason.CANCELLED}


#: The compared facts of an attempt: its column, the row's value, and the model's own value.
_COMPARED: tuple[tuple[str, Callable[[Any], object], Callable[[Attempt], object]], ...] = (
    ("state", str, lambda attempt: str(attempt.state)),
    ("provider_call_id", lambda value: value is not None, lambda attempt: attempt.is_bound),
    ("resent", bool, lambda attempt: attempt.resent),
    ("holds_person", bool, lambda attempt: attempt.holds_person),
    ("holds_slot", bool, lambda attempt: attempt.holds_slot),
    ("initiated_event", bool, lambda attempt: attempt.initiated),
    ("started_event", bool, lambda attempt: attempt.started),
    ("verdict_type", lambda value: value, lambda attempt: attempt.verdict and str(attempt.verdict)),
    ("verdict_digest", lambda value: value, lambda attempt: attempt.digest),
    ("analysis_source", lambda value: value is not None, lambda attempt: attempt.facts.has_analysis),
)


def _seen_of(row: Row, bounds: Bounds) -> Row:
    """The model counts no further than to the last look-up."""
    looked = {name: min(row[name], bounds.lookups) for name in ("lookups", "clean_lookups")}
    return {name: seen(row[name]) for name, seen, _ in _COMPARED} | looked


def _meant_by(attempt: Attempt) -> Row:
    looked = {"lookups": attempt.lookups, "clean_lookups": attempt.clean}
    return {name: meant(attempt) for name, _, meant in _COMPARED} | looked
