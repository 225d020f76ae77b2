"""The webhook keys in Secrets Manager, against a server that speaks its protocol."""

import os
import signal
import subprocess
import time

import botocore.session
import pytest

from ringback.adapters.webhook_keys import REMEMBERED_S, RETRY_S, KeysUnavailable, make_key_reader
from tests.loopback import answers, free_ports
from tests.sqs_server import AWS, health_of, sqs_server


class Server:
    """The server as a process, a secret in it, and a clock that the test moves."""

    def __init__(self, home, monkeypatch):
        (port,) = free_ports(1)
        self.url, self.now_s = f"http://127.0.0.1:{port}", 1000.0
        command, environment = sqs_server(port, home, "secretsmanager")
        log = (home / "server.log").open("wb")
        self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not answers(health_of(self.url)):
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        for name, value in (AWS | {"AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url}).items():
            monkeypatch.setenv(name, value)
        self.client = botocore.session.get_session().create_client("secretsmanager", region_name="us-east-1")
        self.arn = self.client.create_secret(Name="webhook-key", SecretString="key_one")["ARN"]
        self.read = make_key_reader(self.arn, lambda: self.now_s)

    def put(self, text):
        self.client.put_secret_value(SecretId=self.arn, SecretString=text)


@pytest.fixture
def server(tmp_path, monkeypatch):
    running = Server(tmp_path, monkeypatch)
    yield running
    os.kill(running.process.pid, signal.SIGCONT)
    running.process.kill()
    running.process.wait()


def test_a_rotated_secret_is_in_force_after_five_minutes(server):
    assert server.read() == ("key_one",)
    server.put("key_two, key_one,")
    server.now_s += REMEMBERED_S - 1
    assert server.read() == ("key_one",)
    server.now_s += 1
    assert server.read() == ("key_two", "key_one")


def test_the_keys_stay_in_force_while_the_secret_is_unavailable_or_empty(server, caplog):
    assert server.read() == ("key_one",)
    server.put(" , ")
    server.now_s += REMEMBERED_S
    assert server.read() == ("key_one",)
    server.put("key_two")
    os.kill(server.process.pid, signal.SIGSTOP)
    server.now_s += RETRY_S
    started = time.monotonic()
    assert server.read() == ("key_one",)
    assert time.monotonic() - started < 3
    os.kill(server.process.pid, signal.SIGCONT)
    server.now_s += RETRY_S
    assert server.read() == ("key_two",)
    problems = [(one.message, one.problem) for one in caplog.records if one.levelname == "ERROR"]
    assert problems == [
        ("webhook_keys.unavailable", "the secret is empty"),
        ("webhook_keys.unavailable", "TimeoutError"),
    ]


def test_without_any_key_no_webhook_can_be_verified(server):
    with pytest.raises(KeysUnavailable, match="ResourceNotFoundException"):
        make_key_reader(server.arn.replace("webhook-key", "another"), lambda: 0.0)()
