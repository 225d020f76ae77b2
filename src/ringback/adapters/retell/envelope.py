"""The two names that stand for a webhook whose body does not fit the queue; standard library only, for the Lambda."""

import json


def identify(body: str) -> tuple[str, str] | None:
    """The event's name and the call id of a webhook body; None if it has no usable ones."""
    try:
        envelope = json.loads(body)
        event, call_id = envelope["event"], envelope["call"]["call_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if isinstance(event, str) and isinstance(call_id, str) and event and call_id:
        return event, call_id
    return None
