"""call_analysed: apply a finished analysis, Retell's or another analyzer's, like a call_analyzed webhook."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.errors import Permanent
from ringback.domain.provider_report import Analysis, ProviderReport, ReportKind
from ringback.flows.business_operations.action import (
    ActionDeclaration,
    ActionError,
    ActionRequest,
    Reply,
    Subject,
    Target,
)
from ringback.flows.business_operations.arguments import arguments, read_texts, refuse_if_any, text
from ringback.flows.business_operations.arguments import unknown_arguments as unknown
from ringback.flows.business_operations.target import NOT_FOUND_SAY, find_target, person_of_target
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.event_processing import apply_evidence
from ringback.storage import Part, Store, UnitOfWork

#: Limit of the analyzer's own findings as JSON. They go to Engage with the verdict.
MAX_CUSTOM_BYTES = 16 * 1024

_OF_ANALYSIS = {
    "successful": {"type": "boolean", "description": "Whether the call met its goal."},
    "summary": text(20_000, "What happened, in a few sentences."),
    "sentiment": text(40, "The person's: Positive, Neutral, Negative or Unknown."),
    "in_voicemail": {"type": "boolean", "description": "Whether a voicemail answered."},
    "custom": {"type": "object", "description": "The analyzer's own findings."},
}
_ANALYSIS = arguments(_OF_ANALYSIS)

DECLARATION = ActionDeclaration(
    name="call_analysed",
    description="Hand in a finished analysis: Retell's call object as get-call gives it, or another analyzer's word.",
    arguments=arguments(
        {
            "call": {"type": "object", "description": "Retell's call object with its `call_analysis`."},
            "analysis": {**_ANALYSIS, "description": "Instead of `call`: of the named call's last attempt."},
            "source": text(64, "Who analysed; with `analysis`."),
            "version": text(64, "Which version of the analyzer; with `analysis`."),
        }
    ),
    codes={
        "analysis_applied": "It was new; a verdict that it changes is corrected.",
        "already_known": "This very analysis was applied before; nothing was changed.",
        "not_analysed": "The call object has no `call_analysis` yet.",
        "no_attempt": "The call was never placed, so there is nothing to analyse.",
        "not_found": "No attempt of ours is meant.",
    },
    result={
        "attempt_id": "The attempt.",
        "verdict": "The type of its terminal event, null while that is still open.",
        "revision": "How often the verdict was corrected.",
    },
    for_agents=False,
    needs_target=False,
)


@dataclass(frozen=True, slots=True)
class CallAnalysed:
    """The action. `read_call` makes a report of the provider's call object and raises Permanent.

    `identify` returns the identity and the text of a webhook with this content.
    """

    read_call: Callable[[object, ReportKind], ProviderReport]
    identify: Callable[[dict[str, Any]], tuple[bytes, str]]
    rules: OutcomeRules
    locks_every_phone: bool = True  # the call object may report an opt-out
    reads: Part | None = None
    declaration: ActionDeclaration = DECLARATION

    async def find(self, request: ActionRequest, store: Store) -> Target:
        _check(request.args)
        if "call" not in request.args:
            if (request.call_id, request.contact_id, request.task_id) == (None, None, None):
                raise _invalid("analysis", "needs the call_id of the call it is about")
            named = await find_target(request, store)
            if named.call_id is None:
                raise ActionError("not_found", NOT_FOUND_SAY)
            await person_of_target(named, store)
            async with store.reading() as tx:
                attempt = await tx.attempts.latest_for(named.call_id)
            if attempt is None or attempt.is_erased or attempt.provider_call_id is None:
                raise ActionError("no_attempt", "This call was never placed.")
            return Target(attempt.call_id, attempt=attempt)
        report = self._report_of_call(request.args["call"])
        is_ours = report.instance == await store.instance()
        attempt = await store.attempt_of(report.attempt_id if is_ours else None, report.provider_call_id)
        if (
            attempt is None
            or attempt.is_erased
            # Nothing in the request may name another call: neither its target, nor the call object beside its marks.
            or request.call_id not in (None, attempt.call_id)
            or request.contact_id not in (None, attempt.contact_id)
            or attempt.provider_call_id not in (None, report.provider_call_id)
        ):
            raise ActionError("not_found", "There is no attempt with this call.")
        return Target(attempt.call_id, attempt=attempt, report=report)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        attempt = subject.attempt
        assert attempt is not None, "found before"
        report = subject.report
        if report is not None:
            # In the form of the webhook, so that the second of the two is a repeat.
            content = {"event": "call_analyzed", "call": args["call"]}
        else:
            provider_call_id, given = attempt.provider_call_id, args["analysis"]
            assert provider_call_id is not None, "checked before"
            source = f"{args['source']} {args.get('version') or ''}".strip()
            analysis = Analysis(**{**given, "custom": given.get("custom") or {}}, source=source)
            name = f"call_analysed by {source}"
            report = ProviderReport(ReportKind.ANALYZED, provider_call_id, name, analysis=analysis)
            content = {"analysis": given, "source": source}
        is_new = await apply_evidence(tx, attempt, report, self.rules, lambda: now, inbox=self.identify(content))
        result = {"attempt_id": attempt.attempt_id, "verdict": attempt.verdict_type, "revision": attempt.revision}
        code = "analysis_applied" if is_new else "already_known"
        return Reply(True, code, "The analysis is kept.", result)

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        _check(args)
        return Reply(True, "rehearsed", "The analysis is kept.")

    def _report_of_call(self, call: object) -> ProviderReport:
        try:
            report = self.read_call(call, ReportKind.ANALYZED)
        except Permanent:
            raise _invalid("call", "must be a call object with a call_id") from None
        if report.analysis is None or report.analysis == Analysis():
            raise ActionError("not_analysed", "This call has no analysis yet.")
        return report


def _check(args: Mapping[str, Any]) -> None:
    errors = unknown(args, DECLARATION.arguments)
    texts = read_texts({name: args[name] for name in ("source", "version") if name in args}, DECLARATION.arguments)
    if "call" in args:
        errors |= {name: "goes with `analysis`, not with `call`" for name in args if name != "call"}
    else:
        if "source" not in texts:
            errors["source"] = "is required with `analysis`"
        problem = _problem_with_analysis(args.get("analysis"))
        errors |= {"analysis": problem} if problem else {}
    refuse_if_any(errors, "The analysis cannot be read.")


def _problem_with_analysis(analysis: object) -> str | None:
    if not isinstance(analysis, dict) or not analysis:
        return f"must be an object with at least one of: {', '.join(_OF_ANALYSIS)}"
    types = {"boolean": bool, "string": str, "object": dict}
    for name, value in analysis.items():
        declared = _OF_ANALYSIS.get(name)
        if declared is None:
            return f"{name} is unknown; allowed: {', '.join(_OF_ANALYSIS)}"
        if value is not None and not isinstance(value, types[declared["type"]]):
            return f"{name} must be: {declared['type']}"
        if isinstance(value, str) and len(value) > declared["maxLength"]:
            return f"{name} is longer than {declared['maxLength']} characters"
        if isinstance(value, dict) and len(json.dumps(value)) > MAX_CUSTOM_BYTES:
            return f"{name} is longer than {MAX_CUSTOM_BYTES} bytes"
    return None


def _invalid(argument: str, why: str) -> ActionError:
    return ActionError("invalid_args", "The analysis cannot be read.", {"errors": {argument: why}})
