"""An SQS-compatible server as a process: how it is started, a client of it, and queues as the deployment has them."""

import json
from pathlib import Path
from typing import Any

import botocore.session

MINISTACK = Path(__file__).parents[1] / ".venv-sqs" / "bin" / "ministack"
#: What the AWS SDKs want to know, although this server does not ask.
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def sqs_server(port: int, home: Path, services: str = "sqs") -> tuple[list[str], dict[str, str]]:
    """Its command and environment. It keeps its messages in memory: after a kill they are gone."""
    assert MINISTACK.exists(), f"{MINISTACK} is missing: `make test` builds the environment of the SQS server"
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": services, "LOG_LEVEL": "WARNING"}
    return [str(MINISTACK)], {"PATH": "/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home), **own}


def health_of(endpoint: str) -> str:
    return f"{endpoint}/_ministack/health"


def sqs_client(endpoint: str) -> Any:
    session = botocore.session.get_session()
    session.set_credentials(AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"])
    return session.create_client("sqs", region_name=AWS["AWS_REGION"], endpoint_url=endpoint)


def create_queue(sqs: Any, name: str, most_receives: int = 5) -> str:
    """Its URL; with a dead-letter queue behind it."""
    dead_url = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]
    policy = json.dumps({"deadLetterTargetArn": attributes["QueueArn"], "maxReceiveCount": most_receives})
    url: str = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    return url
