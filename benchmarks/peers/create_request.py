"""The create-phone-call request of the peers. They get it whole from their queue, so they read no table for it."""

from typing import Any

PROVIDER_KEY = "key_benchmark_of_no_value"
IN_FLIGHT = 200
TIMEOUT_S = 30.0


def create_request(number: int) -> dict[str, Any]:
    marks = {"ringback_call_id": f"call-{number}", "ringback_attempt_id": f"attempt-{number}"}
    return {
        "from_number": "+14155550199",
        "to_number": f"+1212555{number % 100 + 100:04}",
        "override_agent_id": "agent_benchmark",
        "retell_llm_dynamic_variables": {"first_name": "Ada", "product": "home insurance", **marks},
        "metadata": {"campaign": "benchmark", "ringback_instance": "benchmark", **marks},
    }
