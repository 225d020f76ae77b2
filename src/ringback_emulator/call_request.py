"""The body of create-phone-call, checked as Retell checks it."""

import json
import re
from dataclasses import dataclass
from typing import Any

DEFAULT_AGENT_ID = "agent_emulator"
#: Retell's message for each status.
MESSAGES = {
    400: "Invalid request format, please check API reference.",
    401: "API key is missing or invalid.",
    402: "Trial has ended, please add payment method.",
    403: "Forbidden",
    404: "The requested resource was not found.",
    422: "Cannot find requested asset under given api key.",
    429: "Account rate limited, please throttle your requests.",
    500: "An unexpected server error occurred.",
}
_METADATA_LIMIT_BYTES = 50_000
_DEFAULT_EVENTS = ("call_started", "call_ended", "call_analyzed")
_STORAGE_SETTINGS = ("everything", "everything_except_pii", "basic_attributes_only")
_E164 = re.compile(r"\+[1-9]\d{6,14}")


class RequestRejected(Exception):
    """A request that is answered with this status and message, by default Retell's message for the status."""

    def __init__(self, status: int, message: str = "") -> None:
        self.status = status
        self.message = message or MESSAGES[status]
        super().__init__(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """A request for a call. Every field was checked."""

    to_number: str
    from_number: str
    agent_id: str
    agent_version: int
    metadata: dict[str, Any] | None
    dynamic_variables: dict[str, str] | None
    custom_sip_headers: dict[str, str] | None
    idempotency_key: str | None
    honor_internal_dnc: bool
    webhook_url: str | None
    webhook_events: tuple[str, ...]
    data_storage_setting: str


def read_call_request(body: dict[str, Any], account_webhook_url: str | None) -> CallRequest:
    """Check the body. Unknown fields are ignored, as by Retell.

    Raises RequestRejected: 400 for an invalid field, 422 for an agent that does not exist.
    """
    version = body.get("override_agent_version")
    override = _object(_object(body, "agent_override") or {}, "agent") or {}
    to_number = _number(body, "to_number", any_format=False)
    from_number = _number(body, "from_number", any_format=body.get("ignore_e164_validation") is True)
    agent_id = body.get("override_agent_id", DEFAULT_AGENT_ID)
    if not isinstance(agent_id, str):
        raise RequestRejected(400, "`override_agent_id` must be string")
    if not agent_exists(agent_id):
        raise RequestRejected(422)
    metadata = _object(body, "metadata")
    if metadata is not None and len(json.dumps(metadata, ensure_ascii=False).encode()) > _METADATA_LIMIT_BYTES:
        raise RequestRejected(400, "`metadata` must not exceed 50kB")
    events = override.get("webhook_events")
    if events is not None and not isinstance(events, list):
        raise RequestRejected(400, "`webhook_events` must be array")
    storage_setting = override.get("data_storage_setting") or "everything"
    if not isinstance(storage_setting, str) or storage_setting not in _STORAGE_SETTINGS:
        raise RequestRejected(400, "`data_storage_setting` must be equal to one of the allowed values")
    return CallRequest(
        to_number=to_number,
        from_number=from_number,
        agent_id=agent_id,
        agent_version=version if isinstance(version, int) else 0,
        metadata=metadata,
        dynamic_variables=string_values(body, "retell_llm_dynamic_variables"),
        custom_sip_headers=string_values(body, "custom_sip_headers"),
        idempotency_key=_string(body, "idempotency_key"),
        honor_internal_dnc=body.get("honor_internal_dnc") is True,
        webhook_url=_string(override, "webhook_url") or account_webhook_url,
        webhook_events=_DEFAULT_EVENTS if events is None else tuple(events),
        data_storage_setting=storage_setting,
    )


def is_e164(number: str) -> bool:
    return _E164.fullmatch(number) is not None


def agent_exists(agent_id: str) -> bool:
    return agent_id.startswith("agent_") and agent_id != "agent_unknown"


def string_values(body: dict[str, Any], name: str) -> dict[str, str] | None:
    """Return the field's object of strings, None if it is absent. Raises RequestRejected (400)."""
    values = _object(body, name)
    for key, value in (values or {}).items():
        if not isinstance(value, str):
            raise RequestRejected(400, f"`{key}` must be string")
    return values


def _number(body: dict[str, Any], name: str, *, any_format: bool) -> str:
    number = body.get(name)
    if not isinstance(number, str):
        raise RequestRejected(400, f"`{name}` must be string")
    if not (any_format or is_e164(number)):
        raise RequestRejected(400, f"`{name}` must be in E.164 format")
    return number


def _string(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestRejected(400, f"`{name}` must be string")
    return value


def _object(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise RequestRejected(400, f"`{name}` must be object")
    return value
