"""The Lambda's sender: the message is in SQS when it returns, or it raises within its limit."""

import json
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from botocore.session import get_session

from ringback.adapters.sqs.sender import make_sender, region_of
from ringback.domain.errors import QueueUnavailable
from ringback.messages import MAX_MESSAGE_BYTES


@pytest.fixture
def client(sqs_endpoint, aws_settings, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs_endpoint)
    return get_session().create_client("sqs")


@pytest.fixture
def queue_url(client) -> str:
    return client.create_queue(QueueName=f"events-{uuid.uuid4().hex[:12]}")["QueueUrl"]


def test_a_body_is_in_the_queue_when_the_sender_returns(client, queue_url):
    body = json.dumps({"name": "Zoë \U0001f600", "text": "x" * 20_000}, ensure_ascii=False)
    make_sender(queue_url)(body)
    [message] = client.receive_message(QueueUrl=queue_url)["Messages"]
    assert message["Body"] == body


@pytest.mark.parametrize("body", ["", "x" * (MAX_MESSAGE_BYTES + 1), "nul \0"])
def test_a_body_that_the_queue_rejects_is_not_sent(queue_url, body):
    with pytest.raises(QueueUnavailable, match="would reject"):
        make_sender(queue_url)(body)


def test_a_queue_that_does_not_exist_is_unavailable(queue_url):
    with pytest.raises(QueueUnavailable, match=r"QueueDoesNotExist|NonExistentQueue"):
        make_sender(f"{queue_url}-other")("x")


def test_missing_credentials_are_unavailable(queue_url, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(QueueUnavailable, match="NoCredentials"):
        make_sender(queue_url)("x")


def test_a_missing_region_is_unavailable(queue_url, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(QueueUnavailable, match="NoRegion"):
        make_sender(queue_url)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/calls", "eu-central-1"),
        ("https://us-west-2.queue.amazonaws.com/123456789012/calls", "us-west-2"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/calls", "cn-north-1"),
        ("http://127.0.0.1:4566/000000000000/calls", None),
        ("https://sqs.eu-central-1.amazonaws.com.example/123456789012/calls", None),
    ],
)
def test_the_region_is_read_from_an_aws_queue_url(url, region):
    assert region_of(url) == region


@pytest.fixture
def listener(aws_settings, monkeypatch) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield server


def test_a_refused_connection_raises_at_once(listener):
    send = make_sender("http://127.0.0.1/000000000000/events")
    listener.close()
    started = time.monotonic()
    with pytest.raises(QueueUnavailable, match="unavailable"):
        send("x")
    assert time.monotonic() - started < 0.5


def test_a_silent_server_is_given_up_within_three_seconds(listener):
    send = make_sender("http://127.0.0.1/000000000000/events")
    started = time.monotonic()
    with pytest.raises(QueueUnavailable):
        send("x")
    assert time.monotonic() - started < 2.6


def test_an_answer_that_trickles_does_not_outlast_the_limit(listener):
    over = threading.Event()

    def trickle() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not over.wait(0.05):
                connection.sendall(b" ")

    thread = threading.Thread(target=trickle)
    thread.start()
    send = make_sender("http://127.0.0.1/000000000000/events", limit_s=0.4)
    started = time.monotonic()
    with pytest.raises(QueueUnavailable, match="within"):
        send("x")
    assert 0.3 < time.monotonic() - started < 0.8
    over.set()
    thread.join()


def test_importing_the_sender_loads_neither_botocore_nor_aiohttp():
    code = "import sys, ringback.adapters.sqs.sender as s; print({'botocore', 'aiohttp', 'asyncpg'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
