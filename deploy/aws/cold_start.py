"""Time the function's cold start beside an empty handler's: `python -m deploy.aws.cold_start BUNDLE [--rounds N]`.

Both run in Lambda's runtime client. The time is from the first request, which starts the process, to its answer. The
empty handler makes a client of SQS and responds. Ours also reads its key from a secret, as template.yaml has it, which
a stub on this machine serves.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from deploy.aws.lambda_runtime import FUNCTION, run_function

EMPTY = """
from botocore.config import Config
from botocore.session import get_session

client = get_session().create_client("sqs", config=Config(connect_timeout=1, read_timeout=1))


def handler(event, context):
    return {"statusCode": 401}
"""
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "RINGBACK_EVENT_QUEUE": "https://sqs.us-east-1.amazonaws.com/000000000000/events",
    "RETELL_WEBHOOK_KEY_SECRET": "arn:aws:secretsmanager:us-east-1:000000000000:secret:webhook-key-000000",
}
GOAL = 1.3


class _Secret(BaseHTTPRequestHandler):
    """Answers GetSecretValue."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.end_headers()
        self.wfile.write(b'{"SecretString": "key"}')

    def log_message(self, format: str, *args: object) -> None:
        pass


def first_answer_ms(folder: Path, handler: str, log: Path, secrets_url: str) -> float:
    """Start the function, send it one unsigned webhook, and return the time until it refused it."""
    environment = ENVIRONMENT | {"AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets_url}
    with run_function(folder, environment, log, handler) as function:
        started = time.perf_counter()
        answer = function.invoke({"version": "2.0", "headers": {}, "body": "{}", "isBase64Encoded": False})
        took_ms = (time.perf_counter() - started) * 1000
    if answer.get("statusCode") != 401:
        raise RuntimeError(f"{handler} answered {answer}: {log.read_text()[-1000:]}")
    return took_ms


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the function's cold start.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    secrets = HTTPServer(("127.0.0.1", 0), _Secret)
    threading.Thread(target=secrets.serve_forever, daemon=True).start()
    secrets_url = f"http://127.0.0.1:{secrets.server_port}"
    with tempfile.TemporaryDirectory() as scratch:
        empty, log = Path(scratch) / "empty", Path(scratch) / "log"
        empty.mkdir()
        (empty / "empty.py").write_text(EMPTY)
        sides = {"ringback": (options.bundle.absolute(), FUNCTION), "empty": (empty, "empty.handler")}
        took: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(options.rounds + 1):
            for name, (folder, handler) in sides.items():
                took_ms = first_answer_ms(folder, handler, log, secrets_url)
                if number:  # the first round compiles the modules
                    took[name].append(took_ms)
    ratios = [ours / theirs for ours, theirs in zip(took["ringback"], took["empty"], strict=True)]
    size = sum(path.stat().st_size for path in options.bundle.rglob("*.py"))
    for name, times in took.items():
        print(f"{name:9} {statistics.median(times):7.0f} ms (from {min(times):.0f} to {max(times):.0f})")  # noqa: T201
    ratio = statistics.median(ratios)
    print(f"ratio {ratio:.2f} (goal {GOAL}), bundle {size / 1024:.0f} KiB unpacked")  # noqa: T201
    sys.exit(0 if ratio <= GOAL else 1)


if __name__ == "__main__":
    main()
