"""Logs: one line per decision to stderr, keys instead of prose, for a person at a terminal or for a machine."""

import logging
import traceback
from collections.abc import Iterator
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from ringback.telemetry import LogFormat, redact

#: Libraries that log requests, with their URLs or bodies, at a level that is ours for decisions.
_TALKATIVE = ("aiobotocore", "alembic", "asyncio", "botocore", "httpx", "httpx2", "retell", "uvicorn.access", "urllib3")


def choose_format(asked: LogFormat | None, stream: TextIO) -> LogFormat:
    """What was asked for, else by whether a person reads along."""
    if asked is not None:
        return asked
    return "console" if stream.isatty() else "json"


def configure_logs(log_format: LogFormat, stream: TextIO) -> None:
    """Sends structlog's and the standard library's records to `stream`.

    They are redacted after they were rendered, so that nested values and exception texts are covered too.
    """
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_first_line_of_asyncio, *_shared()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_endings(log_format, stream)],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # A cached logger would keep the stream of an earlier configuration.
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _endings(log_format: LogFormat, stream: TextIO) -> list[Processor]:
    if log_format == "json":
        exceptions = structlog.processors.ExceptionRenderer(exception_formatter=places)
        return [exceptions, _redacting(structlog.processors.JSONRenderer(ensure_ascii=False))]
    console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=_write_places, pad_event_to=28)
    return [_redacting(console)]


def places(exc_info: ExcInfo) -> str:
    """What was raised and where, as Python writes it, but without the errors' own words and without local variables:
    PostgreSQL's quote whole rows, names and variables among them, and no pattern can find those."""
    return "\n".join(_raised(exc_info[1], set())).rstrip()


def _write_places(stream: TextIO, exc_info: ExcInfo) -> None:
    stream.write("\n" + places(exc_info))


def _raised(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    yield from _raised(before, seen)
    yield "".join(traceback.format_tb(error.__traceback__)) + f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _raised(each, seen)


def _first_line_of_asyncio(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The further lines of a lost task's obituary are reprs of the task and its exception."""
    record = event.get("_record")
    if record is not None and record.name == "asyncio":
        event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _redacting(render: Processor) -> Processor:
    def redacted(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return redact(str(render(logger, method, event)))

    return redacted
