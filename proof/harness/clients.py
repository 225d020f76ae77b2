"""A client as the API asks for: it repeats a request that was not acknowledged, under the same key."""

import time
import uuid
from typing import Any

from tests.stories.running_system import SystemClient

GIVE_UP_S = 300.0


def place(client: SystemClient, body: dict[str, Any]) -> str:
    """Returns the call's id. A busy machine answers 503 to some requests, which says nothing about the product."""
    key, give_up_at = {"Idempotency-Key": uuid.uuid4().hex}, time.monotonic() + GIVE_UP_S
    while (answer := client.ask("POST", "/v1/calls", body, key)).status == 503 and time.monotonic() < give_up_at:
        time.sleep(1.0)
    assert answer.status == 202, (answer.status, answer.body)
    call_id: str = answer.body["call_id"]
    return call_id
