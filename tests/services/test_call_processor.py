"""The call processor before it receives its first message."""

import asyncio
from types import SimpleNamespace

from ringback.loops import Loops
from ringback.services.call_processor import build_service, call_consumer


async def test_the_provider_is_warmed_up_before_the_first_receive():
    """The import of its SDK takes seconds, on a busy machine more than a lease."""
    done, stop = [], asyncio.Event()

    async def warm_up():
        done.append("warm")

    async def is_emulated():
        return True

    async def free_slots(*_):
        done.append("asks")
        stop.set()
        return 0

    deps = SimpleNamespace(
        settings=SimpleNamespace(dial_policy=SimpleNamespace(max_live_calls=5, calls_per_second=5)),
        provider=SimpleNamespace(warm_up=warm_up),
        store=SimpleNamespace(free_slots=free_slots),
        clock=SimpleNamespace(now=lambda: None),
        call_queue=None,
        call_processing=lambda: SimpleNamespace(provider=SimpleNamespace(is_emulated=is_emulated)),
        loops=Loops(),
    )
    (loop,) = build_service(deps).loops
    await asyncio.wait_for(loop(stop), 10)
    assert done == ["warm", "asks"]


async def test_no_message_is_received_while_the_provider_is_unknown():
    """Another process may know the provider and place the call."""
    asked, stop, answers = [], asyncio.Event(), iter([None, None, True])

    async def is_emulated():
        asked.append("provider")
        return next(answers)

    async def free_slots(*_):
        asked.append("slots")
        stop.set()
        return 0

    store, clock = SimpleNamespace(free_slots=free_slots), SimpleNamespace(now=lambda: None)
    processing = SimpleNamespace(provider=SimpleNamespace(is_emulated=is_emulated))
    policy = SimpleNamespace(max_live_calls=5, calls_per_second=5)
    loop = Loops().named("consumer", "call_processor")
    await asyncio.wait_for(call_consumer(None, processing, store, clock, policy, loop).run(stop), 10)
    assert asked == ["provider", "provider", "provider", "slots"]
