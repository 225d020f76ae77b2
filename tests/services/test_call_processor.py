"""The call processor as a service: what it does before it takes its first message."""

import asyncio
from types import SimpleNamespace

from ringback.loops import Loops
from ringback.services.call_processor import assemble


async def test_the_provider_is_warm_before_a_message_is_asked_for():
    """Its SDK takes seconds to import, on a busy machine more than a lease."""
    done, stop = [], asyncio.Event()

    async def warm_up():
        done.append("warm")

    async def free_slots(*_):
        done.append("asks")
        stop.set()
        return 0

    parts = SimpleNamespace(
        settings=SimpleNamespace(dial_policy=SimpleNamespace(max_live_calls=5, calls_per_second=5)),
        provider=SimpleNamespace(warm_up=warm_up),
        store=SimpleNamespace(free_slots=free_slots),
        clock=SimpleNamespace(now=lambda: None),
        call_queue=None,
        call_processing=lambda: None,
        loops=Loops(),
    )
    (loop,) = assemble(parts).loops
    await asyncio.wait_for(loop(stop), 10)
    assert done == ["warm", "asks"]
