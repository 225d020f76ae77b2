"""Long-running loops: errors, pauses, readiness."""

import asyncio

import httpx
import pytest
from structlog.testing import capture_logs

from ringback import loops
from ringback.config import read_settings
from ringback.domain.errors import StoreUnavailable
from ringback.loops import Loop, Loops, rest
from ringback.process import Service, run_services
from ringback.web.server import listen
from ringback.wiring import open_dependencies

PHONE = "+14155550123"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(loops, "LONGEST_PAUSE_S", 0.04)


class Passes:
    """Raises each of the errors once, then sets `stop`."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.stop = asyncio.Event()
        self.at: list[float] = []

    async def __call__(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        self.stop.set()


async def test_an_unforeseen_error_is_logged_by_type_counted_and_followed_by_a_pause():
    loop, passes = Loop("scheduler", "release_due_calls"), Passes(*(ValueError(PHONE) for _ in range(4)))
    with capture_logs() as lines:
        ended = await asyncio.gather(loop.run(passes, passes.stop), return_exceptions=True)
    assert ended == [None]
    assert [(line["event"], line["loop"], line["error"]) for line in lines] == [
        ("scheduler.failed", "release_due_calls", "ValueError")
    ] * 4
    assert lines[0]["at"].startswith("test_loops.py:")
    assert PHONE not in repr(lines)
    assert (loop.failures, loop.failures_in_a_row) == (4, 0)
    pauses = [later - earlier for earlier, later in zip(passes.at, passes.at[1:], strict=False)]
    assert pauses[0] >= 0.005
    assert pauses[3] >= 0.02


async def test_an_expected_error_pauses_the_loop_and_is_not_counted():
    loop, passes = Loop("outbox", "engage"), Passes(*(StoreUnavailable("gone") for _ in range(3)))
    with capture_logs() as lines:
        await loop.run(passes, passes.stop)
    assert [(line["event"], line["dependency"]) for line in lines] == [("dependency.unavailable", "database")]
    assert loop.failures == 0


async def test_a_cancellation_ends_the_loop():
    loop, begun = Loop("outbox", "engage"), asyncio.Event()

    async def one_pass() -> None:
        begun.set()
        await asyncio.sleep(60)

    running = asyncio.create_task(loop.run(one_pass, asyncio.Event()))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert loop.failures == 0


async def test_an_error_within_a_group_of_tasks_is_named_by_its_own_type():
    loop, passes = Loop("consumer", "calls"), Passes(ExceptionGroup("tasks", [KeyError("Body")]))
    with capture_logs() as lines:
        await loop.run(passes, passes.stop)
    assert lines[0]["error"] == "KeyError"


async def test_a_loop_is_failing_after_three_failures_in_a_row_until_a_pass_works():
    all_loops = Loops()
    loop = all_loops.named("outbox", "engage")
    assert all_loops.named("outbox", "engage") is loop
    for _ in range(2):
        loop.failed(ValueError())
    assert all_loops.failing() == []
    loop.failed(ValueError())
    assert all_loops.failing() == ["outbox.engage"]
    loop.worked()
    assert all_loops.failing() == []
    assert dict(all_loops.failures()) == {"outbox.engage": 3}


async def test_a_rest_ends_at_stop():
    stop = asyncio.Event()
    resting = asyncio.create_task(rest(60, stop))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(resting, 1)


async def test_a_service_loop_is_run_again_after_an_error_and_the_process_stays(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    settings = read_settings({"RINGBACK_DATABASE_URL": database_url}, emulated=False)
    begun, works, stop, ready = 0, asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def breaks(_: asyncio.Event) -> None:
        nonlocal begun
        begun += 1
        if not works.is_set():
            raise KeyError(PHONE)
        await stop.wait()

    bound = listen("127.0.0.1", 0)
    async with open_dependencies(settings) as deps:
        service = Service("broken", loops=[breaks])
        process = asyncio.create_task(run_services(deps, [service], bound, stop, ready))
        await ready.wait()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}", trust_env=False) as client:
            async with asyncio.timeout(10):
                while (answer := await client.get("/readyz")).status_code == 200:
                    await asyncio.sleep(0.01)
            check = answer.json()["checks"]["loops"]
            assert check == {"ok": False, "detail": "failing again and again: service.broken"}
            metrics = (await client.get("/metrics")).text
            assert 'ringback_loop_failures_total{loop="service.broken"}' in metrics
            works.set()
            seen = begun
            async with asyncio.timeout(10):
                while begun == seen:
                    await asyncio.sleep(0.01)
            # A loop that has run for a while counts as working, although its pass does not end.
            monkeypatch.setattr(loops, "FAILING_FOR_S", 0.05)
            await asyncio.sleep(0.1)
            assert (await client.get("/readyz")).status_code == 200
        assert not process.done()
        stop.set()
        await asyncio.wait_for(process, 10)
