"""The bundle in Lambda's runtime client, with real HTTP events, against a server of SQS and Secrets Manager."""

import json
import os
import signal
import subprocess
import time
import zipfile
from io import BytesIO

import botocore.session
import pytest

from deploy.aws.bundle import zipped
from deploy.aws.lambda_runtime import run_function
from ringback.adapters.retell.signature import sign
from ringback.messages import decode_webhook_received
from tests.http_api import http_event
from tests.loopback import answers, free_ports
from tests.sqs_server import AWS, health_of, sqs_server
from tests.stories.running_system import wait_until

BODY = '{"event":"call_ended","event_timestamp":1760000000000,"call":{"call_id":"call_ü","call_status":"ended"}}'


def signed_event(signature, body=BODY):
    """Return the event of a POST with this header. None: it has no signature."""
    headers = {"content-type": "application/json", "host": "7e9e0392.execute-api.us-east-1.amazonaws.com"}
    return http_event(body, headers | ({"x-retell-signature": signature} if signature else {}))


class Rig:
    """The running function, its queue and its secret."""

    def __init__(self, function, process, clients, url, arn):
        self.function, self.process = function, process
        self.sqs, self.secrets = clients
        self.url, self.arn = url, arn

    def post(self, key, body=BODY, join=""):
        raw = body if isinstance(body, bytes) else body.encode()
        now_ms = time.time_ns() // 1_000_000
        return self.function.invoke(signed_event(sign(raw, key, now_ms) + join, body))["statusCode"]

    def received(self):
        found = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
        return [decode_webhook_received(one["Body"]).body for one in found]


@pytest.fixture(scope="module")
def rig(bundle, tmp_path_factory):
    home = tmp_path_factory.mktemp("function")
    (port,) = free_ports(1)
    command, environment = sqs_server(port, home, "sqs,secretsmanager")
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(health_of(endpoint)), 60, "the server answers")
        session = botocore.session.get_session()
        session.set_credentials(AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"])
        sqs, secrets = (
            session.create_client(one, region_name="us-east-1", endpoint_url=endpoint)
            for one in ("sqs", "secretsmanager")
        )
        url = sqs.create_queue(QueueName="events")["QueueUrl"]
        arn = secrets.create_secret(Name="webhook-key", SecretString="key_new, key_old")["ARN"]
        settings = AWS | {
            "AWS_ENDPOINT_URL": endpoint,
            "RINGBACK_EVENT_QUEUE": url,
            "RETELL_WEBHOOK_KEY_SECRET": arn,
        }
        with run_function(bundle, settings, home / "function.log") as function:
            yield Rig(function, process, (sqs, secrets), url, arn)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.kill()
        process.wait()


@pytest.mark.parametrize("body", [BODY, BODY.encode()], ids=["text", "base64"])
def test_a_genuine_webhook_is_in_the_queue_as_it_was_signed(rig, body):
    assert rig.post("key_new", body) == 204
    assert rig.received() == [BODY]


def test_both_keys_of_the_secret_are_accepted_while_they_rotate(rig):
    assert (rig.post("key_old"), rig.post("key_new"), rig.post("key_of_someone_else")) == (204, 204, 401)
    assert rig.received() == [BODY, BODY]


def test_two_signature_headers_are_a_forgery(rig):
    again = sign(BODY.encode(), "key_new", time.time_ns() // 1_000_000)
    assert rig.post("key_new", join=f",{again}") == 401
    assert rig.function.invoke(signed_event(None))["statusCode"] == 401
    assert rig.received() == []


def test_a_queue_that_does_not_answer_is_a_503_within_three_seconds(rig):
    os.kill(rig.process.pid, signal.SIGSTOP)
    started = time.monotonic()
    status = rig.post("key_new")
    took_s = time.monotonic() - started
    os.kill(rig.process.pid, signal.SIGCONT)
    assert (status, took_s < 3) == (503, True)


def test_every_outcome_is_a_json_line_that_the_metric_filter_reads(rig):
    before = len(rig.function.lines())
    assert (rig.post("key_new"), rig.post("wrong")) == (204, 401)
    enqueued, refused = rig.function.lines()[before:]
    assert {"level": "INFO", "message": "webhook.enqueued", "provider_call_id": "call_ü"}.items() <= enqueued.items()
    # The filter pattern of template.yaml is { $.message = "webhook.refused" && $.reason = "forged" }.
    assert {"level": "WARNING", "message": "webhook.refused", "reason": "forged"}.items() <= refused.items()
    assert "call_status" not in rig.function.log.read_text()
    rig.received()


def test_the_archive_is_the_same_for_the_same_files_and_has_no_library(bundle):
    archive = zipped(bundle)
    assert archive == zipped(bundle)
    names = zipfile.ZipFile(BytesIO(archive)).namelist()
    assert "ringback/services/webhook_lambda.py" in names
    assert {name.partition("/")[0] for name in names} == {"ringback"}
    assert len(archive) < 64 * 1024, json.dumps(names)
