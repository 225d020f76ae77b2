"""The body of create-phone-call, checked the way Retell checks it."""

import json
import re
from dataclasses import dataclass
from typing import Any

METADATA_LIMIT_BYTES = 50_000
DEFAULT_AGENT_ID = "agent_emulator"
DEFAULT_EVENTS = ("call_started", "call_ended", "call_analyzed")
STORAGE_SETTINGS = ("everything", "everything_except_pii", "basic_attributes_only")
_E164 = re.compile(r"\+[1-9]\d{6,14}")


class RequestRefused(Exception):
    """The platform answers with this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """A call somebody asked for; every field was checked."""

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


def read_order(body: dict[str, Any], account_webhook_url: str | None) -> CallOrder:
    """Raises RequestRefused: 400, or 422 for an agent that does not exist. Unknown fields are ignored, as by Retell."""
    version = body.get("override_agent_version")
    override = _dict(_dict(body, "agent_override") or {}, "agent") or {}
    return CallOrder(
        to_number=_number(body, "to_number", any_format=False),
        from_number=_number(body, "from_number", any_format=body.get("ignore_e164_validation") is True),
        agent_id=_agent_id(body),
        agent_version=version if isinstance(version, int) else 0,
        metadata=checked_metadata(_dict(body, "metadata")),
        dynamic_variables=string_values(body, "retell_llm_dynamic_variables"),
        custom_sip_headers=string_values(body, "custom_sip_headers"),
        idempotency_key=_idempotency_key(body),
        honor_internal_dnc=body.get("honor_internal_dnc") is True,
        webhook_url=_webhook_url(override) or account_webhook_url,
        webhook_events=_webhook_events(override),
        data_storage_setting=checked_storage(override.get("data_storage_setting") or "everything"),
    )


def is_e164(number: str) -> bool:
    return _E164.fullmatch(number) is not None


def agent_exists(agent_id: str) -> bool:
    return agent_id.startswith("agent_") and agent_id != "agent_unknown"


def checked_metadata(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    if metadata is not None and len(json.dumps(metadata, ensure_ascii=False).encode()) > METADATA_LIMIT_BYTES:
        raise RequestRefused(400, "`metadata` must not exceed 50kB")
    return metadata


def checked_storage(setting: object) -> str:
    if not isinstance(setting, str) or setting not in STORAGE_SETTINGS:
        raise RequestRefused(400, "`data_storage_setting` must be equal to one of the allowed values")
    return setting


def string_values(body: dict[str, Any], name: str) -> dict[str, str] | None:
    """Raises RequestRefused (400) unless the field is absent or an object of strings."""
    values = _dict(body, name)
    for key, value in (values or {}).items():
        if not isinstance(value, str):
            raise RequestRefused(400, f"`{key}` must be string")
    return values


def _number(body: dict[str, Any], name: str, *, any_format: bool) -> str:
    number = body.get(name)
    if not isinstance(number, str):
        raise RequestRefused(400, f"`{name}` must be string")
    if not (any_format or is_e164(number)):
        raise RequestRefused(400, f"`{name}` must be in E.164 format")
    return number


def _agent_id(body: dict[str, Any]) -> str:
    agent_id = body.get("override_agent_id", DEFAULT_AGENT_ID)
    if not isinstance(agent_id, str):
        raise RequestRefused(400, "`override_agent_id` must be string")
    if not agent_exists(agent_id):
        raise RequestRefused(422, "Cannot find requested asset under given api key.")
    return agent_id


def _webhook_url(override: dict[str, Any]) -> str | None:
    url = override.get("webhook_url")
    if url is not None and not isinstance(url, str):
        raise RequestRefused(400, "`webhook_url` must be string")
    return url


def _webhook_events(override: dict[str, Any]) -> tuple[str, ...]:
    events = override.get("webhook_events")
    if events is not None and not isinstance(events, list):
        raise RequestRefused(400, "`webhook_events` must be array")
    return DEFAULT_EVENTS if events is None else tuple(events)


def _idempotency_key(body: dict[str, Any]) -> str | None:
    key = body.get("idempotency_key")
    if key is not None and not isinstance(key, str):
        raise RequestRefused(400, "`idempotency_key` must be string")
    return key


def _dict(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise RequestRefused(400, f"`{name}` must be object")
    return value
