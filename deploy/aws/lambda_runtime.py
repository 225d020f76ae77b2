"""The webhook function in Lambda's own runtime client, behind the Runtime API that AWS's emulator serves."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: The environment with aws-sam-cli, awslambdaric and botocore; `make` builds it from requirements/aws-tools.txt.
TOOLS = ROOT / ".venv-aws"
FUNCTION = "ringback.services.webhook_lambda.handler"
START_LIMIT_S = 20.0
INVOKE_LIMIT_S = 15.0


def tool(name: str) -> Path:
    """Return a program of the tools' environment. Raises FileNotFoundError with the command that makes it."""
    path = TOOLS / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `make .venv-aws/.ready`")
    return path


def free_ports(count: int) -> list[int]:
    """Return free ports of the loopback address. All are held until all are chosen, so no two are the same."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]


class LambdaRuntime:
    """A running function. `log` has what it wrote, a line each."""

    def __init__(self, port: int, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        self.log = log

    def invoke(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the function's response to an event. Its error is a dictionary with `errorType`."""
        request = urllib.request.Request(self._url, json.dumps(event).encode())
        with urllib.request.urlopen(request, timeout=INVOKE_LIMIT_S) as response:
            answer: dict[str, Any] = json.loads(response.read())
        return answer

    def lines(self) -> list[dict[str, Any]]:
        """Return the function's own log lines, without those of the emulator."""
        found = [line for line in self.log.read_text().splitlines() if line.startswith('{"timestamp"')]
        return [json.loads(line) for line in found]


@contextmanager
def run_function(
    folder: Path, environment: Mapping[str, str], log: Path, handler: str = FUNCTION
) -> Iterator[LambdaRuntime]:
    """Run the function in `folder` until the end of the block. Its environment is `environment` alone."""
    python = tool("python")
    emulator = next(python.parents[1].glob("lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64"))
    invocations, runtime_api = free_ports(2)
    command = [
        *(str(emulator), "--runtime-interface-emulator-address", f"127.0.0.1:{invocations}"),
        *("--runtime-api-address", f"127.0.0.1:{runtime_api}"),
        *(str(python.absolute()), "-m", "awslambdaric", handler),
    ]
    own = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(folder),
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_FUNCTION_NAME": "webhook",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "10",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=own | dict(environment), stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_for(invocations, process, log)
        yield LambdaRuntime(invocations, log)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the function did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)
