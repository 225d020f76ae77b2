"""One of the product's processes as `ringback serve` runs it, its queue calls and large decodes counted."""

import argparse
import cProfile
import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import msgspec
import pydantic_core

if TYPE_CHECKING:
    from ringback.ports import MessageQueue

#: A JSON text is large from so many characters on: the bodies of webhooks and tool calls, and no other.
LARGE = 10_000
COUNTED = ("send", "receive", "delete", "change_visibility", "dead_letter")

P = ParamSpec("P")
R = TypeVar("R")
Call = Callable[P, Coroutine[Any, Any, R]]


def counting(open_queue: Call[P, "MessageQueue"], calls: Counter[str]) -> Call[P, "MessageQueue"]:
    """The same, for queues whose calls are counted; on the object itself, so that it stays the queue it is."""

    async def open_counted(*args: P.args, **kwargs: P.kwargs) -> "MessageQueue":
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


def count_decodes(calls: Counter[str]) -> None:
    """Count decodes of large texts from now on. The product's modules are imported after this: they bind the names."""

    def counted(decode: Callable[..., Any]) -> Callable[..., Any]:
        def decode_counted(text: Any, *args: Any, **kwargs: Any) -> Any:
            calls["decodes"] += len(text) >= LARGE
            return decode(text, *args, **kwargs)

        return decode_counted

    class CountedDecoder:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.decode = counted(decoder(*args, **kwargs).decode)

        def __class_getitem__(cls, item: object) -> type:
            return cls

    decoder = msgspec.json.Decoder
    setattr(msgspec.json, "Decoder", CountedDecoder)  # noqa: B010 a type cannot be assigned
    json.loads = counted(json.loads)
    msgspec.json.decode = counted(msgspec.json.decode)
    pydantic_core.from_json = counted(pydantic_core.from_json)


def count_nothing() -> None:
    """Leave the statistics out of every unit of work from now on."""
    from ringback.adapters.postgres import unit_of_work

    def no_rows(*_: object) -> list[Any]:
        return []

    vars(unit_of_work).update(count_attempt=no_rows, count_call=no_rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--without-statistics", action="store_true")
    asked = parser.parse_args()
    calls: Counter[str] = Counter()
    count_decodes(calls)
    from ringback import wiring
    from ringback.config import process_environment, read_settings
    from ringback.logs import configure_logs

    wiring.open_queue = counting(wiring.open_queue, calls)
    settings = read_settings(process_environment(), emulated=False)
    if asked.without_statistics:
        count_nothing()
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
