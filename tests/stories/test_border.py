"""Starts that would mix emulated and real calls: one sentence, exit code 2, and no request to either side."""

import asyncio
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asyncpg
import pytest

from ringback.up.state import free_port
from tests.postgresql import execute

from .running_system import RunningSystem, clean_environment, new_call, wait_until

pytestmark = pytest.mark.slow

ENGAGE_SECRET = "whsec_c3Rvcnktb2YtdGhlLWJvcmRlcg=="
FOR_REAL, FOR_EMULATOR = "used with the emulator", "the calls in this database are real"


class Outside(BaseHTTPRequestHandler):
    """A foreign Retell and Engage in one server. It records every request, and responds 402 to create-phone-call."""

    requests: list[str]

    def respond(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.requests.append(f"{self.command} {self.path}")
        self.send_response({"/healthz": 404, "/v2/create-phone-call": 402}.get(self.path, 204))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PATCH = respond

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def outside() -> Iterator[tuple[str, list[str]]]:
    class OneServer(Outside):
        requests: list[str] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), OneServer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", OneServer.requests
    server.shutdown()
    server.server_close()


def real(url: str) -> dict[str, str]:
    """Return the settings of an installation whose Retell and Engage are both at `url`."""
    return {
        "RETELL_BASE_URL": url,
        "RETELL_API_KEY": "key_real",
        "RINGBACK_ENGAGE_URL": url,
        "RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET,
        "RINGBACK_CALLING_HOURS": "always",
    }


def refused(home: Path, settings: dict[str, str], *command: str) -> str:
    """Run a command that must end with one sentence and exit code 2. Return the sentence."""
    ended = subprocess.run(
        [sys.executable, "-m", "ringback.cli", *command],
        env=clean_environment({**settings, "RINGBACK_LOG_FORMAT": "json"}),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert (ended.returncode, ended.stdout, len(lines)) == (2, "", 1), (ended.returncode, ended.stdout, ended.stderr)
    return lines[0]


def up(data: Path) -> tuple[str, ...]:
    return ("up", "--json", "--data-dir", str(data), "--port", "0")


def fingerprint(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_up_with_the_emulator_refuses_a_directory_of_real_calls(
    make_system: Callable[..., RunningSystem], outside: tuple[str, list[str]]
) -> None:
    url, requests = outside
    system = make_system(**real(url))
    system.start()
    call_id = system.client.place(new_call("+14155550100"))
    wait_until(lambda: "POST /v2/create-phone-call" in requests, 20, "the call is dialed for real")
    assert system.stop() == 0
    data, before = system.home / "data", list(requests)
    kept = fingerprint(data / "up.json")

    without_retell = {name: text for name, text in real(url).items() if name != "RETELL_BASE_URL"}
    assert FOR_EMULATOR in refused(system.home, without_retell, *up(data))
    assert requests == before
    assert not (data / "retell").exists() and not (data / "engage").exists()
    assert fingerprint(data / "up.json") == kept

    system.start()
    assert system.client.call(call_id)["status"] in ("scheduled", "queued", "dialing")
    assert system.stop() == 0


def test_up_with_a_real_retell_refuses_a_directory_of_the_emulator(
    make_system: Callable[..., RunningSystem], outside: tuple[str, list[str]], database_url: str
) -> None:
    url, requests = outside
    system = make_system()
    system.start()
    # RETELL_BASE_URL alone proves nothing: at this address is the emulator, in another process.
    asyncio.run(execute(database_url, "UPDATE installation SET emulated = false"))
    lent = {
        "RETELL_API_KEY": "key_of_nobody",
        "RETELL_BASE_URL": system.ready["retell_base_url"],
        "RINGBACK_DATABASE_URL": database_url,
    }
    assert FOR_EMULATOR in refused(system.home, lent, "serve", "call-processor", "--port", "0")
    assert system.client.rings() == []
    callback = system.client.place(
        {**new_call("+14155550100"), "not_before": "2031-01-01T00:00:00Z", "expires_at": "2031-02-01T00:00:00Z"}
    )
    assert system.stop() == 0
    data = system.home / "data"
    kept = fingerprint(data / "up.json")
    assert FOR_REAL in refused(system.home, real(url), *up(data))
    assert requests == ["GET /healthz"]
    assert fingerprint(data / "up.json") == kept
    # With its own provider it starts, even with an Engage that is not emulated, because the setting asks for it.
    system.settings = {name: text for name, text in real(url).items() if "RETELL" not in name}
    system.start()
    assert system.client.call(callback)["status"] == "scheduled"
    ended = system.client.place(new_call("+14155550100"))
    system.client.wait_final(ended)
    system.client.wait_delivered(ended)
    assert "POST /abt-events" in requests
    assert system.stop() == 0


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    async def ask() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_up_does_not_change_the_database_of_another_installation(tmp_path: Path, database_url: str) -> None:
    asyncio.run(execute(database_url, "UPDATE installation SET emulated = false"))
    settings = {"RINGBACK_DATABASE_URL": database_url}
    assert FOR_EMULATOR in refused(tmp_path, settings, *up(tmp_path / "data"))
    assert rows(database_url, "SELECT name FROM api_keys") == []
    assert not (tmp_path / "data" / "up.json").exists()


def test_a_process_with_the_wrong_provider_does_not_start_and_adds_no_key(
    tmp_path: Path, database_url: str, outside: tuple[str, list[str]]
) -> None:
    url, requests = outside
    settings = {"RINGBACK_DATABASE_URL": database_url, "RETELL_API_KEY": "key_real", "RINGBACK_API_KEY": "rbk_added"}
    assert FOR_REAL in refused(tmp_path, settings, "serve", "internal-api", "--port", "0")
    assert requests == []
    assert FOR_REAL in refused(tmp_path, {**settings, "RETELL_BASE_URL": url}, "serve", "call-processor", "--port", "0")
    assert requests == ["GET /healthz"]
    assert rows(database_url, "SELECT name FROM api_keys") == []
    assert rows(database_url, "SELECT emulated FROM installation") == [(True,)]


def test_up_starts_again_while_retell_is_unavailable(
    make_system: Callable[..., RunningSystem], outside: tuple[str, list[str]]
) -> None:
    url, requests = outside
    system = make_system(**real(url))
    system.start()
    assert system.stop() == 0
    system.settings = {**real(url), "RETELL_BASE_URL": f"http://127.0.0.1:{free_port()}"}
    system.start()
    call_id = system.client.place(new_call("+14155550100"))
    assert system.client.call(call_id)["status"] in ("scheduled", "queued")
    assert system.stop() == 0
    assert "POST /v2/create-phone-call" not in requests
