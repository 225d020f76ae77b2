"""Schemathesis checks the promises of /openapi.json: examples, edges, random requests and their sequences."""

import logging
from collections import Counter
from typing import Any

import schemathesis
from schemathesis import engine
from schemathesis.engine import events

from proof.findings import Findings, Say, Size
from proof.hostile.target import Target
from proof.invariants import Invariant
from tests.stories.running_system import ask

#: Of a positive kind of check there is none: whether a well-formed request is welcome is no matter of its form.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "ignored_auth", "unsupported_method", "use_after_free"),
)
MAX_EXAMPLES = {Size.SMALL: 2, Size.FULL: 100}
STEPS = 6
#: Hypothesis ends early where it has to reject many draws, so that one seed alone gives few sequences of requests.
ROUNDS = {Size.SMALL: 1, Size.FULL: 3}
#: The operations that take what another one has made, and where they find it. Schemathesis infers a link only where
#: both sides name one schema, and the receipt of what was made has a schema of its own.
LINKS = (
    ("/v1/calls", "202", "call_id", ("get_call", "get_call_timeline", "cancel_call")),
    ("/v1/suppressions", "201", "suppression_id", ("lift_suppression",)),
)


def attack(found: Findings, target: Target, size: Size, say: Say) -> None:
    """Blocks: schemathesis brings its own loop. Every operation, with a key; `ignored_auth` asks without one."""
    logging.getLogger("schemathesis").setLevel(logging.ERROR)
    described, seen = _linked(target), Counter[str]()
    for number in range(ROUNDS[size]):
        _execute(found, target, described, _config(found, target, size, number), seen)
    found.tried(Invariant.I18, cases=seen["cases"])
    found.counts["openapi_cases"] = seen["cases"]
    found.counts["openapi_checks"] = seen["checks"]
    say(f"openapi: {seen['cases']} cases, {seen['checks']} checks")


def planted(found: Findings, target: Target) -> None:
    """An operation whose refusals are not written down must not go unnoticed."""
    silent = _written(target)
    silent["paths"] = {"/v1/why": silent["paths"]["/v1/why"]}
    for status in ("404", "422"):
        del silent["paths"]["/v1/why"]["get"]["responses"][status]
    with found.planting("an operation answers what /openapi.json does not say", Invariant.I18) as seen:
        _execute(seen, target, silent, _config(found, target, Size.SMALL), Counter())


def _written(target: Target) -> dict[str, Any]:
    described: dict[str, Any] = ask("GET", f"{target.url}/openapi.json").body
    return described


def _linked(target: Target) -> dict[str, Any]:
    described = _written(target)
    for path, status, name, operations in LINKS:
        links = {one: {"operationId": one, "parameters": {name: f"$response.body#/{name}"}} for one in operations}
        described["paths"][path]["post"]["responses"][status]["links"] = links
    return described


def _execute(
    found: Findings, target: Target, described: dict[str, Any], config: schemathesis.Config, seen: Counter[str]
) -> None:
    for event in engine.from_schema(schemathesis.openapi.from_dict(described, config=config)).execute():
        if isinstance(event, events.ScenarioFinished):
            _look(found, target, event, seen)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            error = event.value if isinstance(event, events.NonFatalError) else event.exception
            found.broke(Invariant.I18, f"schemathesis could not go on: {error}", f"seed {found.seed}")


def _config(found: Findings, target: Target, size: Size, number: int = 0) -> schemathesis.Config:
    """Of a round. Examples and edges are the same in each, so only the first has them."""
    phases: dict[str, Any] = {
        "examples": {"enabled": number == 0},
        "coverage": {"enabled": size is Size.FULL and number == 0},
        "fuzzing": {"enabled": True},
        "stateful": {"enabled": size is Size.FULL, "max-steps": STEPS},
    }
    return schemathesis.Config.from_dict(
        {
            "seed": found.seed + number,
            "headers": {"Authorization": f"Bearer {target.canaries.secrets['api']}"},
            "checks": {"enabled": False} | {name: {"enabled": True} for name in CHECKS},
            "phases": phases,
            "generation": {"max-examples": MAX_EXAMPLES[size], "no-shrink": True, "database": "none"},
            "suppress-health-check": ["all"],
            "request-timeout": 30,
            "base-url": target.url,
        }
    )


def _look(found: Findings, target: Target, event: events.ScenarioFinished, seen: Counter[str]) -> None:
    recorder = event.recorder
    seen["cases"] += len(recorder.cases)
    for interaction in recorder.interactions.values():
        if interaction.response is not None and interaction.response.status_code >= 400:
            target.refusals.append(f"{event.label}: {interaction.response.content.decode('utf-8', 'replace')}")
    for nodes in recorder.checks.values():
        for node in nodes:
            seen["checks"] += 1
            if node.failure_info is not None:
                failure = node.failure_info.failure
                what = f"{event.label}: {node.name}: {failure.title}: {failure.message}"[:600]
                found.broke(Invariant.I18, what, f"seed {found.seed}: {node.failure_info.code_sample}"[:1000])
