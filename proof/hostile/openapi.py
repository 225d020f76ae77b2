"""Schemathesis checks the promises of /openapi.json: examples, edges, random requests and their sequences."""

import json
import logging
from collections import Counter
from typing import Any

import schemathesis
from schemathesis import engine
from schemathesis.engine import events

from proof.findings import Findings, Say, Size
from proof.hostile.target import Target
from proof.invariants import Invariant

#: Of a positive kind of check there is none: whether a well-formed request is welcome is no matter of its form.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "ignored_auth", "unsupported_method", "use_after_free"),
)
MAX_EXAMPLES = {Size.SMALL: 2, Size.FULL: 100}
STEPS = 6


def attack(found: Findings, target: Target, size: Size, say: Say) -> None:
    """Blocks: schemathesis brings its own loop. Every operation, with a key; `ignored_auth` asks without one."""
    logging.getLogger("schemathesis").setLevel(logging.ERROR)
    schema = schemathesis.openapi.from_url(f"{target.url}/openapi.json", config=_config(found, target, size))
    seen: Counter[str] = Counter()
    operations: set[str] = set()
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            operations.add(str(event.label))
            _look(found, target, event, seen)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            error = event.value if isinstance(event, events.NonFatalError) else event.exception
            found.broke(Invariant.I18, f"schemathesis could not go on: {error}", f"seed {found.seed}")
    found.tried(Invariant.I18, cases=seen["cases"])
    found.counts["openapi_cases"] = seen["cases"]
    found.counts["openapi_checks"] = seen["checks"]
    say(f"openapi: {seen['cases']} cases, {seen['checks']} checks")


def planted(found: Findings, target: Target) -> None:
    """An operation whose refusals are not written down must not go unnoticed."""
    config = _config(found, target, Size.SMALL)
    written = schemathesis.openapi.from_url(f"{target.url}/openapi.json", config=config).raw_schema
    silent = json.loads(json.dumps(written))
    silent["paths"] = {"/v1/why": silent["paths"]["/v1/why"]}
    for status in ("404", "422"):
        del silent["paths"]["/v1/why"]["get"]["responses"][status]
    config = _config(found, target, Size.SMALL, base_url=target.url)
    seen = Findings("planted", found.seed)
    for event in engine.from_schema(schemathesis.openapi.from_dict(silent, config=config)).execute():
        if isinstance(event, events.ScenarioFinished):
            _look(seen, target, event, Counter())
    found.plant("an operation answers what /openapi.json does not say", bool(seen.violations), Invariant.I18)


def _config(found: Findings, target: Target, size: Size, **more: Any) -> schemathesis.Config:
    phases: dict[str, Any] = {
        "examples": {"enabled": True},
        "coverage": {"enabled": size is Size.FULL},
        "fuzzing": {"enabled": True},
        "stateful": {"enabled": size is Size.FULL, "max-steps": STEPS},
    }
    return schemathesis.Config.from_dict(
        {
            "seed": found.seed,
            "headers": {"Authorization": f"Bearer {target.canaries.secrets['api']}"},
            "checks": {"enabled": False} | {name: {"enabled": True} for name in CHECKS},
            "phases": phases,
            "generation": {"max-examples": MAX_EXAMPLES[size], "no-shrink": True, "database": "none"},
            "suppress-health-check": ["all"],
            "request-timeout": 30,
            **{name.replace("_", "-"): value for name, value in more.items()},
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
