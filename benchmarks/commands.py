"""Time short commands, beside a Python that does nothing.

`why` asks a small server that responds at once with a recorded explanation, so the time is the command's own.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from benchmarks.child import ROOT
from benchmarks.ground import Ground
from benchmarks.report import number, table
from benchmarks.results import Section
from benchmarks.running import Plan
from ringback.web.response_models import Explanation

NAME = "commands"
RUNS_EACH = 5
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
        self.wfile.write(json.dumps(Explanation.EXAMPLE).encode())

    def log_message(self, *_: object) -> None: ...


def seconds(arguments: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


async def run_commands(_: Ground, plan: Plan) -> Section:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RecordedApi)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    env = {"PATH": "/usr/bin", "PYTHONPATH": str(ROOT / "src"), "RINGBACK_URL": url, "RINGBACK_API_KEY": "rbk_1"}
    rows, slowest_s = [], 0.0
    try:
        for name, arguments in COMMANDS.items():
            took_s = [await asyncio.to_thread(seconds, arguments, env) for _ in range(RUNS_EACH * plan.rounds)]
            slowest_s = max(slowest_s, statistics.median(took_s))
            rows.append((f"`{name}`", number(statistics.median(took_s)), number(max(took_s))))
    finally:
        server.shutdown()
    text = table(rows, ("command", "median s", "longest s"), 1)
    return Section("Short commands", f"{text}\n", {"commands.slowest_s": slowest_s})
