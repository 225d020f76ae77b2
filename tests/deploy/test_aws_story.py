"""The template is deployed into an emulated AWS, and calls live their whole lives through what came out."""

import io
import json
import os
import subprocess
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from deploy.aws.lambda_runtime import ROOT, run_function, tool
from ringback.adapters.retell.signature import sign
from tests.loopback import answers, free_ports
from tests.sqs_server import AWS, health_of, sqs_server
from tests.stories.running_system import SystemClient, ask, clean_environment, new_call, wait_until
from tests.stories.separate_processes import (
    API_KEY,
    ENDS,
    ENGAGE,
    RETELL,
    Processes,
    check_end,
    ringback,
    settings_between,
    start_emulators,
    waiting,
)

from .gateway import serve_function

PROCESSES = ("internal-api", "business-api", "call-processor", "webhook-processor", "scheduler")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path)
    yield running
    running.discard()


def _deploy(session: Any, endpoint: str, home: Path, engage_url: str) -> dict[str, str]:
    """Make the secrets and the stack as docs/operations.md says. Returns the stack's outputs."""
    secrets = session.create_client("secretsmanager", endpoint_url=endpoint)
    values = {"RetellApiKey": RETELL["RETELL_API_KEY"], "RetellWebhookKey": RETELL["RETELL_WEBHOOK_KEY"]}
    values["Engage"] = ENGAGE["RINGBACK_ENGAGE_SECRET"]
    arns = {name: secrets.create_secret(Name=name, SecretString=text)["ARN"] for name, text in values.items()}
    session.create_client("s3", endpoint_url=endpoint).create_bucket(Bucket="deployments")
    subprocess.run(
        [
            *(str(tool("sam")), "deploy", "--template-file", str(ROOT / "deploy" / "aws" / "template.yaml")),
            *("--stack-name", "ringback", "--s3-bucket", "deployments", "--no-confirm-changeset", "--no-progressbar"),
            *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameter-overrides"),
            *("Processes=elsewhere", f"EngageUrl={engage_url.replace('http:', 'https:')}"),
            *(f"{name}SecretArn={arn}" for name, arn in arns.items()),
        ],
        env={**os.environ, **AWS, "AWS_ENDPOINT_URL": endpoint, "SAM_CLI_TELEMETRY": "0", "HOME": str(home)},
        check=True,
        timeout=180,
    )
    stack = session.create_client("cloudformation", endpoint_url=endpoint).describe_stacks(StackName="ringback")
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Stacks"][0]["Outputs"]}


def _post_through_the_emulated_api(endpoint: str, webhook_url: str, key: str) -> int:
    """Send a signed webhook about an unknown call to the deployed HTTP API, which runs the function by itself."""
    body = json.dumps({"event": "call_ended", "call": {"call_id": "call_of_another_installation"}})
    headers = {"x-retell-signature": sign(body.encode(), key, time.time_ns() // 1_000_000)}
    host = webhook_url.removeprefix("https://").partition(".")[0] + ".execute-api.localhost"
    request = urllib.request.Request(
        f"{endpoint}/retell/webhook", body.encode(), headers | {"Host": host, "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


@pytest.mark.slow
def test_calls_live_through_the_deployed_queues_and_the_deployed_function(
    processes: Processes, database_url: str, tmp_path: Path
) -> None:
    names = ("aws", "retell", "engage", "webhook", *PROCESSES)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    command, environment = sqs_server(ports["aws"], tmp_path, "")
    processes.start("aws", command, {name: text for name, text in environment.items() if name != "SERVICES"})
    wait_until(lambda: answers(health_of(urls["aws"])), 60, "the emulated AWS answers")
    session = botocore.session.get_session()
    session.set_credentials(AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"])
    session.set_config_variable("region", AWS["AWS_REGION"])
    subprocess.run(["make", "-C", str(ROOT), "bundle"], check=True)
    outputs = _deploy(session, urls["aws"], tmp_path, urls["engage"])
    assert _post_through_the_emulated_api(urls["aws"], outputs["WebhookUrl"], RETELL["RETELL_WEBHOOK_KEY"]) == 204

    # The function that was deployed, its code and its settings, in Lambda's own runtime client.
    functions = session.create_client("lambda", endpoint_url=urls["aws"])
    deployed = functions.get_function(FunctionName=outputs["FunctionName"])
    with urllib.request.urlopen(deployed["Code"]["Location"].replace("localhost", "127.0.0.1"), timeout=30) as code:
        zipfile.ZipFile(io.BytesIO(code.read())).extractall(tmp_path / "function")
    settings = AWS | {"AWS_ENDPOINT_URL": urls["aws"]} | deployed["Configuration"]["Environment"]["Variables"]
    handler, log = deployed["Configuration"]["Handler"], tmp_path / "function.log"
    with (
        run_function(tmp_path / "function", settings, log, handler) as function,
        serve_function(function, ports["webhook"]),
    ):
        _run_calls(processes, urls, ports, outputs, database_url)
        lines = [line for line in function.lines() if line["message"].startswith("webhook.")]
        assert {line["message"] for line in lines} == {"webhook.enqueued"}
        refused = ask("POST", f"{urls['webhook']}/retell/webhook", {"event": "call_ended"})
        assert (refused.status, refused.body["code"]) == (401, "forged")
    sqs = session.create_client("sqs", endpoint_url=urls["aws"])
    for url in (outputs["CallQueueUrl"], outputs["EventQueueUrl"]):
        wait_until(lambda url=url: waiting(sqs, url) == 0, 20, "every message acknowledged")
    assert processes.stop(PROCESSES) == dict.fromkeys(PROCESSES, 0)
    print(f"\n{len(lines)} webhooks through the deployed function; outputs of the stack: {', '.join(sorted(outputs))}")  # noqa: T201


def _run_calls(
    processes: Processes, urls: dict[str, str], ports: dict[str, int], outputs: dict[str, str], database_url: str
) -> None:
    """Run the processes on the stack's outputs, and calls from the trigger to their last event."""
    start_emulators(processes, ports, urls, "webhook", speed=20)
    queues = outputs["CallQueueUrl"], outputs["EventQueueUrl"]
    settings = settings_between(urls, urls["aws"], database_url, *queues)
    for name in PROCESSES:
        processes.start(name, ringback("serve", name, "--port", str(ports[name])), clean_environment(settings))
    for name in PROCESSES:
        wait_until(lambda name=name: answers(f"{urls[name]}/readyz"), 90, f"{name} answers")
    client = SystemClient(urls["internal-api"], API_KEY, urls["retell"], urls["engage"])
    placed = {code: client.place(new_call(f"+141555501{code}")) for code in ENDS}
    for code, call_id in placed.items():
        check_end(client, call_id, code, 60)
        status, types = ENDS[code]
        print(f"{code}: {status}, {' -> '.join(types)}, one ring")  # noqa: T201
