"""Logs: one line per decision to stderr, keys instead of prose, as console text or JSON."""

import logging
import traceback
from collections.abc import Iterator
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from ringback.log_text import LogFormat, redact

#: Libraries that log requests, with their URLs or bodies, at the level that Ringback uses for decisions.
_VERBOSE_LIBRARIES = (
    "aiobotocore",
    "alembic",
    "asyncio",
    "botocore",
    "httpx",
    "httpx2",
    "retell",
    "uvicorn.access",
    "urllib3",
)


def choose_format(setting: LogFormat | None, stream: TextIO) -> LogFormat:
    """Return the format of the setting, else console for a terminal and JSON for anything else."""
    if setting is not None:
        return setting
    return "console" if stream.isatty() else "json"


def configure_logs(log_format: LogFormat, stream: TextIO) -> None:
    """Send the records of structlog and of the standard library to `stream`.

    Rendered lines are redacted, which covers nested values and exception texts.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Processor]
    if log_format == "json":
        exceptions = structlog.processors.ExceptionRenderer(exception_formatter=format_traceback)
        renderers = [exceptions, _redacting(structlog.processors.JSONRenderer(ensure_ascii=False))]
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=_write_traceback, pad_event_to=28
        )
        renderers = [_redacting(console)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_first_line_of_asyncio, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _VERBOSE_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # A cached logger would keep the stream of an earlier configuration.
        cache_logger_on_first_use=False,
    )


def format_traceback(exc_info: ExcInfo) -> str:
    """Format a traceback without the texts of errors and without local variables.

    The texts of PostgreSQL's errors quote whole rows with names, and no pattern can find names.
    """
    return "\n".join(_traceback_lines(exc_info[1], set())).rstrip()


def _write_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    stream.write("\n" + format_traceback(exc_info))


def _traceback_lines(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    yield from _traceback_lines(before, seen)
    yield "".join(traceback.format_tb(error.__traceback__)) + f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _traceback_lines(each, seen)


def _first_line_of_asyncio(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Keep the first line of a lost task's report. The other lines are reprs of the task and its exception."""
    record = event.get("_record")
    if record is not None and record.name == "asyncio":
        event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _redacting(render: Processor) -> Processor:
    def redacted(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return redact(str(render(logger, method, event)))

    return redacted
