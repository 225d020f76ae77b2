"""The Lambda: HTTP events of API Gateway, and the response to Retell."""

import json
import random
import subprocess
import sys

import pytest

from ringback.adapters.retell.signature import identify, sign
from ringback.domain.errors import QueueUnavailable
from ringback.messages import MAX_BODY_BYTES, decode_webhook_received
from ringback.services.webhook_lambda import MissingSetting, _from_environment, handler, make_handler
from tests import http_api

KEY = "key_webhook"
NOW_MS = 1_760_000_000_000
BODY = '{"event":"call_ended","event_timestamp":1760000000000,"call":{"call_id":"call_ü","call_status":"ended"}}'


def http_event(body, *, key=KEY, signed_ms=NOW_MS, **changes):
    """Return a signed event."""
    raw = body if isinstance(body, bytes) else body.encode()
    headers = {
        "accept": "application/json, text/plain, */*",
        "content-type": "application/json",
        "user-agent": "axios/1.15.2",
        "x-retell-signature": sign(raw, key, signed_ms),
    }
    return {**http_api.http_event(body, headers), **changes}


def handled(event, send=None, keys=(KEY,)):
    """Handle an event. Returns the status and the sent messages."""
    sent = []
    answer = make_handler(send or sent.append, keys, lambda: NOW_MS)(event, None)
    return answer["statusCode"], [decode_webhook_received(message) for message in sent]


@pytest.mark.parametrize("body", [BODY, BODY.encode()], ids=["text", "base64"])
def test_a_genuine_webhook_is_answered_204_once_it_is_in_the_queue(body):
    status, sent = handled(http_event(body))
    assert (status, [message.body for message in sent]) == (204, [BODY])


def test_the_header_of_the_signature_is_found_in_any_case():
    event = http_event(BODY)
    event["headers"] = {key.title(): value for key, value in event["headers"].items()}
    assert "X-Retell-Signature" in event["headers"]
    assert handled(event)[0] == 204


@pytest.mark.parametrize(
    "event",
    [
        http_event(BODY, key="key_of_someone_else"),
        http_event(BODY, signed_ms=NOW_MS - 300_001),
        http_event(BODY, signed_ms=NOW_MS + 300_001),
        http_event(BODY) | {"body": BODY + " "},
        http_event(BODY, headers={}),
        http_event(BODY, headers=None),
        http_event(BODY) | {"body": None},
        {},
    ],
    ids=["wrong key", "replayed", "from the future", "altered", "unsigned", "no headers", "no body", "empty event"],
)
def test_a_forged_webhook_is_answered_401_and_nothing_is_written(event):
    assert handled(event) == (401, [])


def test_both_keys_are_accepted_during_a_rotation():
    assert handled(http_event(BODY, key="key_new"), keys=(KEY, "key_new"))[0] == 204
    assert handled(http_event(BODY), keys=(KEY, "key_new"))[0] == 204


@pytest.mark.parametrize(
    "event",
    [http_event("[]"), http_event(b"\xff\xfe"), http_event("%%%", isBase64Encoded=True), http_event("")],
    ids=["no object", "no text", "bad base64", "empty"],
)
def test_a_signed_body_that_cannot_be_a_webhook_is_answered_400(event):
    assert handled(event) == (400, [])


@pytest.mark.parametrize("body", ["x" * (MAX_BODY_BYTES + 1), b"x" * (MAX_BODY_BYTES + 1)], ids=["text", "base64"])
def test_a_body_over_six_mebibytes_is_answered_413(body):
    assert handled(http_event(body)) == (413, [])


def test_a_body_that_is_too_large_even_compressed_is_enqueued_without_it():
    noise = random.Random(20261129).randbytes(300_000).hex()
    body = json.dumps({"event": "call_analyzed", "call": {"call_id": "call_1", "transcript": noise}})
    status, sent = handled(http_event(body))
    assert status == 204
    assert [(m.body, m.provider_call_id, m.event) for m in sent] == [(None, "call_1", "call_analyzed")]


def test_while_the_queue_is_down_retell_is_told_to_come_again():
    def send(message):
        raise QueueUnavailable("unavailable")

    answer = make_handler(send, [KEY], lambda: NOW_MS)(http_event(BODY), None)
    assert answer["statusCode"] == 503
    assert answer["headers"]["retry-after"] == "1"


def test_a_refusal_is_a_problem_without_any_text_of_the_request():
    answer = make_handler(lambda message: None, [KEY], lambda: NOW_MS)(http_event(BODY, headers={}), None)
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert json.loads(answer["body"]) == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "code": "forged",
        "errors": [],
    }


def test_every_outcome_is_one_log_line_with_the_call_and_without_the_body(caplog):
    caplog.set_level("INFO", logger="ringback")

    def unavailable(message):
        raise QueueUnavailable("the queue refused: ServiceUnavailable")

    handled(http_event(BODY))
    handled(http_event(BODY, key="wrong"))
    handled(http_event(BODY, headers={}))
    handled(http_event(BODY), send=unavailable)
    own = ("event", "provider_call_id", "bytes", "reason", "dependency", "problem")
    lines = [
        {"message": one.message} | {key: value for key, value in vars(one).items() if key in own}
        for one in caplog.records
    ]
    length = len(BODY.encode())
    assert lines == [
        {"message": "webhook.enqueued", "event": "call_ended", "provider_call_id": "call_ü", "bytes": length},
        {"message": "webhook.refused", "reason": "forged", "bytes": length},
        {"message": "webhook.refused", "reason": "forged", "bytes": 0},
        {
            "message": "dependency.unavailable",
            "dependency": "event_queue",
            "problem": "the queue refused: ServiceUnavailable",
        },
        {"message": "webhook.refused", "reason": "queue_down", "bytes": length},
    ]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"event":"e"}', '{"event":1,"call":{"call_id":"c"}}', "[" * 100_000])
def test_identify_returns_none_for_a_body_without_usable_ids(body):
    assert identify(body) is None


@pytest.fixture
def deployed(monkeypatch):
    """Return a function that sets the environment of the Lambda. The handler is built anew."""
    for name in ("RINGBACK_EVENT_QUEUE", "RETELL_WEBHOOK_KEY", "RETELL_WEBHOOK_KEY_SECRET", "RETELL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    _from_environment.cache_clear()
    yield lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]
    _from_environment.cache_clear()


def test_a_lambda_without_its_queue_raises_missing_setting(deployed):
    deployed(RETELL_WEBHOOK_KEY=KEY)
    with pytest.raises(MissingSetting, match="RINGBACK_EVENT_QUEUE"):
        handler(http_event(BODY), None)
    deployed(RINGBACK_EVENT_QUEUE="events")
    with pytest.raises(MissingSetting, match="RINGBACK_EVENT_QUEUE"):
        handler(http_event(BODY), None)


def test_a_lambda_without_its_key_raises_missing_setting(deployed):
    deployed(RINGBACK_EVENT_QUEUE="http://127.0.0.1:9/1/events", RETELL_WEBHOOK_KEY=" , ")
    with pytest.raises(MissingSetting, match="RETELL_WEBHOOK_KEY"):
        handler(http_event(BODY), None)


def test_a_lambda_with_a_wrong_secret_raises_missing_setting(deployed):
    deployed(RINGBACK_EVENT_QUEUE="http://127.0.0.1:9/1/events", RETELL_WEBHOOK_KEY_SECRET="webhook-key")
    with pytest.raises(MissingSetting, match="RETELL_WEBHOOK_KEY_SECRET must be the ARN"):
        handler(http_event(BODY), None)


@pytest.mark.parametrize("limit", ["1 MiB", "12", "-1024", "99999999"])
def test_a_lambda_with_a_wrong_limit_raises_missing_setting(deployed, limit):
    deployed(RINGBACK_EVENT_QUEUE="http://127.0.0.1:9/1/events", RETELL_WEBHOOK_KEY=KEY)
    deployed(RINGBACK_MAX_MESSAGE_BYTES=limit)
    with pytest.raises(MissingSetting, match="MaximumMessageSize of the event queue"):
        handler(http_event(BODY), None)


def test_the_lambda_responds_503_within_three_seconds_while_its_queue_is_unavailable(deployed):
    import time

    deployed(RINGBACK_EVENT_QUEUE="http://127.0.0.1:9/1/events", RETELL_API_KEY=f"key_old, {KEY}")
    deployed(AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1", AWS_ENDPOINT_URL_SQS="http://127.0.0.1:9")
    _from_environment()
    started = time.monotonic()
    now_ms = time.time_ns() // 1_000_000
    assert handler(http_event(BODY, signed_ms=now_ms), None)["statusCode"] == 503
    assert handler(http_event(BODY, key="wrong", signed_ms=now_ms), None)["statusCode"] == 401
    assert time.monotonic() - started < 3


# The Lambda must not include the database, web frameworks, the SDK or the composition root of the processes.
FORBIDDEN = {
    *("asyncpg", "alembic", "sqlalchemy", "fastapi", "starlette", "uvicorn", "anyio", "retell", "httpx", "aiohttp"),
    *("pydantic", "msgspec", "structlog", "botocore", "aiobotocore", "asyncio"),
}
PROBE = """
import importlib, sys, time
before = time.perf_counter()
for name in sys.argv[1:]:
    importlib.import_module(name)
took_ms = (time.perf_counter() - before) * 1000
import json
print(json.dumps([sorted(sys.modules), took_ms]))
"""


def imported(*names):
    """Import modules in a new interpreter. Returns all loaded modules and the duration in ms."""
    run = subprocess.run([sys.executable, "-c", PROBE, *names], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_the_lambda_with_its_sender_adds_only_botocore():
    modules, took_ms = imported(
        "ringback.services.webhook_lambda", "ringback.adapters.sqs.sender", "botocore.session", "botocore.config"
    )
    sys.stdout.write(f"with botocore in {took_ms:.0f} ms\n")
    assert not (FORBIDDEN - {"botocore", "asyncio"}) & set(modules)


def test_the_lambda_imports_only_its_own_modules():
    modules, took_ms = imported("ringback.services.webhook_lambda")
    sys.stdout.write(f"webhook_lambda imported in {took_ms:.0f} ms\n")
    assert not FORBIDDEN & set(modules)
    assert {name for name in modules if name.startswith("ringback.")} == {
        "ringback.adapters",
        "ringback.adapters.retell",
        "ringback.adapters.retell.signature",
        "ringback.adapters.webhook_keys",
        "ringback.domain",
        "ringback.domain.errors",
        "ringback.failpoints",
        "ringback.flows",
        "ringback.flows.webhook_intake",
        "ringback.messages",
        "ringback.services",
        "ringback.services.webhook_lambda",
        "ringback.services.lambda_event",
    }
