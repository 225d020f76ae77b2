"""What the Voice API's operations need of a key, and what they take and answer, for /docs."""

from typing import Any

from ringback.domain.access import Permission
from ringback.web import answers, requests
from ringback.web.auth import needs
from ringback.web.openapi import answers as answered
from ringback.web.openapi import body_of, query_of, with_idempotency_key


def voice_operations() -> dict[str, dict[str, Any]]:
    """What is told of each route beside its path, by the name of its handler."""
    call, found = with_idempotency_key(body_of(requests.CallBody)), query_of(requests.CallsQuery)
    suppression, suppressed = body_of(requests.SuppressionBody), query_of(requests.SuppressionsQuery)
    lift = body_of(requests.LiftBody)
    return {
        "post_call": _told(Permission.PLACE_CALLS, answered(202, answers.AcceptedAnswer, 409), call, status_code=202),
        "get_calls": _told(Permission.READ_CALLS, answered(200, answers.CallsPage), found),
        "get_call": _told(Permission.READ_CALLS, answered(200, answers.CallAnswer, 404)),
        "get_timeline": _told(Permission.READ_CALLS, answered(200, answers.TimelineAnswer, 404)),
        "post_cancel": _told(Permission.CANCEL_CALLS, answered(200, answers.CancelAnswer, 404)),
        "post_suppression": _told(
            Permission.SUPPRESS, answered(201, answers.SuppressedAnswer), suppression, status_code=201
        ),
        "get_suppressions": _told(Permission.READ_SUPPRESSIONS, answered(200, answers.SuppressionsPage), suppressed),
        "delete_suppression": _told(Permission.SUPPRESS, answered(204, None, 404), lift, status_code=204),
    }


def _told(
    needed: Permission, responses: dict[int | str, Any], given: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {"dependencies": [needs(needed)], "responses": responses, "openapi_extra": given, **more}
