"""Logs: one line per decision to stderr, keys instead of prose, for a person at a terminal or for a machine."""

import logging
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

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
        foreign_pre_chain=_shared(),
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
        return [structlog.processors.format_exc_info, _redacting(structlog.processors.JSONRenderer(ensure_ascii=False))]
    # The plain traceback: the rich one prints local variables, which hold phone numbers.
    console = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=28
    )
    return [_redacting(console)]


def _redacting(render: Processor) -> Processor:
    def redacted(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return redact(str(render(logger, method, event)))

    return redacted
