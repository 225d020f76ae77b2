"""`python -m benchmarks.commands`: how long short commands take, beside a Python that does nothing.

`why` asks a small server that responds at once with a recorded explanation, so the time is the command's own.
"""

import json
import statistics
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from ringback.web.response_models import WhyAnswer

RUNS = 15
GOAL_S = 0.4
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "ringback --version": ["-m", "ringback.cli", "--version"],
    "ringback --help": ["-m", "ringback.cli", "--help"],
    "ringback why +14155550100": ["-m", "ringback.cli", "why", "+14155550100"],
}


class RecordedApi(BaseHTTPRequestHandler):
    """Responds to every GET with the example of the API's description."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(WhyAnswer.EXAMPLE).encode())

    def log_message(self, *_: object) -> None: ...


def seconds(arguments: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RecordedApi)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    env = {"PATH": "/usr/bin", "RINGBACK_URL": url, "RINGBACK_API_KEY": "rbk_1"}
    is_fast = True
    sys.stdout.write(f"{'command':<28}{'median s':>9}{'slowest s':>11}\n")
    for name, arguments in COMMANDS.items():
        took = [seconds(arguments, env) for _ in range(RUNS)]
        is_fast = is_fast and statistics.median(took) < GOAL_S
        sys.stdout.write(f"{name:<28}{statistics.median(took):>9.3f}{max(took):>11.3f}\n")
    server.shutdown()
    sys.exit(0 if is_fast else 1)


if __name__ == "__main__":
    main()
