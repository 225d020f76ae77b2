"""A function call out of a conversation, as the provider's edge has read it, and the request it makes."""

import re
from typing import Any, Protocol

from ringback.domain.provider_report import ProviderReport
from ringback.flows.business_operations.action import ActionRequest, Door


class ToolCall(Protocol):
    """Without `provider_call_id` and `attempt_id` nobody knows whose conversation it is, and `key` gives None."""

    @property
    def args(self) -> dict[str, Any]: ...
    @property
    def provider_call_id(self) -> str | None: ...
    @property
    def attempt_id(self) -> str | None: ...
    @property
    def name(self) -> str | None:
        """The function that the body says is called."""
        ...

    @property
    def tool_call_id(self) -> str | None:
        """The provider's own id of this invocation; without one the key says only what was asked."""
        ...

    @property
    def playground(self) -> bool:
        """Tried out in the provider's dashboard: there is no conversation."""
        ...

    @property
    def report(self) -> ProviderReport | None: ...
    def key(self, action: str) -> str | None: ...


def request_of(call: ToolCall, action: str) -> ActionRequest | None:
    """None if the call belongs to no conversation."""
    key = call.key(action)
    if key is None:
        return None
    return ActionRequest(
        action=action,
        door=Door.RETELL,
        key=key,
        args=call.args,
        attempt_id=call.attempt_id,
        provider_call_id=call.provider_call_id,
        report=call.report,
        key_is_content=call.tool_call_id is None,
    )


def is_for(call: ToolCall, action: str) -> bool:
    """Whether the body names the function that its path does: a signed body does nothing at another function's path."""
    return call.name is None or re.sub(r"[\W_]+", "_", call.name.lower()).strip("_") == action
