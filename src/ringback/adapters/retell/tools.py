"""The tool definitions to paste into a Retell agent: GeneralToolCustomTool of retell-sdk 6.2.13,
types/llm_create_params.py."""

from collections.abc import Mapping
from typing import Any

from ringback.adapters.retell.events import ATTEMPT_KEY

#: The door answers within 10 s, "not now" included; Retell's own default would leave a person in silence for minutes.
TIMEOUT_MS = 12_000
#: A repeat finds the reply that is stored under the tool call's own identity.
MAX_RETRY = 2


def tool_definition(
    name: str, description: str, arguments: Mapping[str, Any], functions_url: str, *, args_at_root: bool = False
) -> dict[str, Any]:
    """`arguments` is a JSON schema of an object. With `args_at_root` the body carries no call object, so a constant
    that Retell fills in, and the model cannot change, says whose conversation it is."""
    parameters = dict(arguments)
    if args_at_root:
        mark = {"type": "string", "const": f"{{{{{ATTEMPT_KEY}}}}}", "description": "Filled in by the platform."}
        parameters["properties"] = {**arguments["properties"], ATTEMPT_KEY: mark}
        parameters["required"] = [*arguments.get("required", ()), ATTEMPT_KEY]
    return {
        "type": "custom",
        "name": name,
        "description": description,
        "url": f"{functions_url.rstrip('/')}/{name}",
        "method": "POST",
        "args_at_root": args_at_root,
        "parameters": parameters,
        # The answer is there before a filler sentence would be, and `say` in it is what the agent is to say.
        "speak_during_execution": False,
        "speak_after_execution": True,
        "timeout_ms": TIMEOUT_MS,
        "max_retry": MAX_RETRY,
    }
