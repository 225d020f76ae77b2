"""Logs and metrics: one line per decision, without private data."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from ringback.log_text import redact
from ringback.logs import choose_format, configure_logs
from ringback.telemetry import make_metrics

PHONE = "+14155550100"
SECRETS = ("key_0123456789abcdef", "whsec_aGVsbG8gd29ybGQ=", "rbk_0123456789abcdef", "hunter22")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def logged(log_format, write) -> str:
    stream = io.StringIO()
    configure_logs(log_format, stream)
    write()
    return stream.getvalue()


def test_a_json_line_has_the_event_its_keys_level_and_time():
    text = logged("json", lambda: structlog.get_logger().info("call.dialed", call_id="c-1", attempt=2))
    line = json.loads(text)
    assert (line["event"], line["call_id"], line["attempt"], line["level"]) == ("call.dialed", "c-1", 2, "info")
    assert line["timestamp"].endswith("Z")
    assert text.count("\n") == 1


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_whatever_is_logged_no_number_and_no_secret_comes_out(log_format):
    def write():
        log = structlog.get_logger()
        log.info("a", nested={"to": [PHONE]}, url=f"/v1/why?phone=%2B{PHONE[1:]}", key=SECRETS[0])
        log.warning(f"text {PHONE} {SECRETS[1]}", header=f"Bearer {SECRETS[2]}")
        log.error("url", url=f"postgresql://app:{SECRETS[3]}@db/ringback")
        logging.getLogger("some.library").warning("dialing %s with %s", PHONE, SECRETS[2])
        try:
            local_number = PHONE
            raise ValueError(f"cannot dial {local_number}")
        except ValueError:
            log.exception("failed")
            logging.getLogger("other").exception("failed too")

    text = logged(log_format, write)
    assert text.count("hidden") >= 6
    assert "ValueError" in text and "test_logs.py" in text
    for private in (PHONE, PHONE[1:], *SECRETS):
        assert private not in text


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_an_exception_is_logged_with_types_and_lines_and_without_its_text(log_format):
    """The errors of PostgreSQL quote the row that failed, with its names."""
    name = "".join(["Quen", "tina"])  # a traceback shows source lines, so the name is whole in none

    def refuse(text: str) -> None:
        raise LookupError(text)

    def write():
        try:
            try:
                refuse(f"Failing row contains ({name}).")
            except LookupError as error:
                raise ExceptionGroup(f"of {name}", [RuntimeError(name), error]) from error
        except ExceptionGroup:
            structlog.get_logger().exception("failed")
            logging.getLogger("some.server").exception("Exception in ASGI application")
        report = f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{name}')>"
        logging.getLogger("asyncio").error(report)

    text = logged(log_format, write)
    assert name not in text
    assert text.count("builtins.LookupError") >= 2 and text.count("builtins.RuntimeError") == 2
    assert text.count("in refuse") >= 2
    assert "Task exception was never retrieved" in text


def test_redact_keeps_times_ids_and_offsets():
    text = "2026-12-01T17:00:00+00:00 +0100 019ab123-4567-7890-abcd-0123456789ab 1796428800000 key_name +5"
    assert redact(text) == text


def test_the_format_follows_the_terminal_unless_it_is_set():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert choose_format(None, Terminal()) == "console"
    assert choose_format(None, io.StringIO()) == "json"
    assert choose_format("json", Terminal()) == "json"


def test_metrics_start_at_zero_and_publish_counts_of_other_objects():
    from prometheus_client import generate_latest

    first, second = make_metrics(), make_metrics()
    first.http_requests.labels("GET", "/v1/calls", 200).inc()
    first.watch("consumer_messages", "fate", lambda: [("acked", 3)])
    text = generate_latest(first.registry).decode()
    assert 'ringback_http_requests_total{method="GET",route="/v1/calls",status="200"} 1.0' in text
    assert 'ringback_consumer_messages_total{fate="acked"} 3.0' in text
    assert "/v1/calls" not in generate_latest(second.registry).decode()


def test_lines_on_a_terminal_are_aligned_pairs_of_key_and_value():
    def write():
        structlog.get_logger().info("call.dialed", call_id="c-1", attempt_id="a-1")
        structlog.get_logger().warning("dependency.unavailable", dependency="database")

    lines = logged("console", write).splitlines()
    assert "call_id=c-1" in lines[0] and "attempt_id=a-1" in lines[0]
    assert lines[0].index("attempt_id=") == lines[1].index("dependency=")
