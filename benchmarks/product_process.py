"""One of the product's processes as `ringback serve` runs it, with its queue calls counted, and profiled if asked."""

import argparse
import cProfile
import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ringback import wiring
from ringback.config import process_environment, read_settings
from ringback.logs import configure_logs
from ringback.ports import MessageQueue

COUNTED = ("send", "receive", "delete", "change_visibility", "dead_letter")

P = ParamSpec("P")
R = TypeVar("R")
Call = Callable[P, Coroutine[Any, Any, R]]


def counting(open_queue: Call[P, MessageQueue], calls: Counter[str]) -> Call[P, MessageQueue]:
    """The same, for queues whose calls are counted; on the object itself, so that it stays the queue it is."""

    async def open_counted(*args: P.args, **kwargs: P.kwargs) -> MessageQueue:
        queue = await open_queue(*args, **kwargs)
        for name in COUNTED:
            setattr(queue, name, _counted(getattr(queue, name), name, calls))
        return queue

    return open_counted


def _counted(call: Call[P, R], name: str, calls: Counter[str]) -> Call[P, R]:
    async def counted(*args: P.args, **kwargs: P.kwargs) -> R:
        calls[name] += 1
        return await call(*args, **kwargs)

    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--profile", type=Path)
    asked = parser.parse_args()
    calls: Counter[str] = Counter()
    wiring.open_queue = counting(wiring.open_queue, calls)
    settings = read_settings(process_environment(), emulated=False)
    configure_logs("json", sys.stderr)
    service = importlib.import_module(f"ringback.services.{asked.service}")
    profile = cProfile.Profile()
    if asked.profile is not None:
        profile.enable()
    service.run(settings, "127.0.0.1", asked.port)
    if asked.profile is not None:
        profile.disable()
        profile.dump_stats(asked.profile)
    asked.counts.write_text(json.dumps(calls))


if __name__ == "__main__":
    main()
