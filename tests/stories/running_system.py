"""A running `ringback up`: a client of its APIs, the emulators' ledgers, its processes."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.event_schemas import checked_event

Json = dict[str, Any]
T = TypeVar("T")

FROM_NUMBER = "+14155550199"
#: A quiet machine takes 4 s; one that proves other things at the same time takes minutes.
START_WITHIN_S = 300.0
POLL_S = 0.1
_PRODUCT_PREFIXES = ("RINGBACK_", "RETELL_", "AWS_")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


def ask(method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request and return the response of any status. Raises OSError without a response within 20 s."""
    content = None if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, content, given, method=method)
    try:
        with _OPENER.open(request, timeout=20) as answer:
            return _answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return _answer(refused.code, refused.headers, refused.read())


def _answer(status: int, headers: Any, content: bytes) -> Answer:
    return Answer(status, {name.lower(): text for name, text in headers.items()}, json.loads(content or b"null"))


def wait_until(probe: Callable[[], T | None], timeout_s: float, what: str) -> T:
    """Return the first true result of the probe."""
    give_up_at = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(POLL_S)


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of this process with only the given settings of the product."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_PRODUCT_PREFIXES)}
    return {**kept, "RINGBACK_LOG_FORMAT": "json", **settings}


@dataclass
class SystemClient:
    """A client of the Voice API and of the emulators' ledgers."""

    url: str
    api_key: str
    retell_url: str
    engage_url: str

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return ask(method, self.url + path, body, {"Authorization": f"Bearer {self.api_key}", **(headers or {})})

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.body

    def place(self, body: Json, key: str | None = None) -> str:
        answer = self.ask("POST", "/v1/calls", body, {"Idempotency-Key": key} if key else None)
        assert answer.status == 202, (answer.status, answer.body)
        call_id: str = answer.body["call_id"]
        return call_id

    def call(self, call_id: str) -> Json:
        found: Json = self.get(f"/v1/calls/{call_id}")
        return found

    def timeline(self, call_id: str) -> list[Json]:
        entries: list[Json] = self.get(f"/v1/calls/{call_id}/timeline")["entries"]
        return entries

    def deliveries(self) -> list[Json]:
        """Return all that Engage received, repeats too, in order of arrival."""
        items: list[Json] = ask("GET", f"{self.engage_url}/emulator/engage/events").body["items"]
        for item in items:
            checked_event(item["event"])
        return items

    def deliveries_of(self, call_id: str) -> list[Json]:
        return [item for item in self.deliveries() if item["event"]["subject"] == call_id]

    def rings(self) -> list[Json]:
        items: list[Json] = ask("GET", f"{self.retell_url}/emulator/retell/rings").body["items"]
        return items

    def rings_of(self, call_id: str) -> list[Json]:
        return [ring for ring in self.rings() if ring["metadata"]["ringback_call_id"] == call_id]

    def change_retell_faults(self, **faults: Any) -> None:
        assert self.control(f"{self.retell_url}/emulator/retell/faults", faults).status == 204

    def control(self, url: str, body: Json) -> Answer:
        """Send a request to an emulator's control path, with the API key of `up`."""
        return ask("POST", url, body, {"Authorization": f"Bearer {self.api_key}"})

    def wait_for(self, call_id: str, is_so: Callable[[Json], bool], timeout_s: float = 20.0) -> Json:
        """Return the call once the condition holds."""

        def probe() -> Json | None:
            call = self.call(call_id)
            return call if is_so(call) else None

        return wait_until(probe, timeout_s, f"call {call_id}")

    def wait_final(self, call_id: str, timeout_s: float = 20.0) -> Json:
        return self.wait_for(call_id, lambda call: call["final"], timeout_s)

    def wait_delivered(self, call_id: str, timeout_s: float = 20.0) -> None:
        """Wait until Engage has received every event of the call so far."""

        def probe() -> bool:
            events = [entry for entry in self.timeline(call_id) if entry["kind"] == "abt_event"]
            return all("delivered_at" in event for event in events)

        wait_until(probe, timeout_s, f"delivery of the events of {call_id}")


@dataclass
class RunningSystem:
    """A data directory on which `up` may be started repeatedly. Port 0 is any free one."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    ready: Json = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None
    port: int = 0

    @property
    def log_file(self) -> Path:
        return self.home / "up.log"

    @property
    def client(self) -> SystemClient:
        return SystemClient(
            self.ready["url"], self.ready["api_key"], self.ready["retell_base_url"], self.ready["engage_url"]
        )

    def start(self) -> None:
        """Start `up` and wait for its ready line."""
        self.home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "ringback.cli", "up", "--json"]
        command += ["--data-dir", str(self.home / "data"), "--port", str(self.port)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=clean_environment(self.settings),
                cwd=self.home,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], START_WITHIN_S)
        line = self.process.stdout.readline() if readable else ""
        assert line, f"up did not start:\n{self.log_file.read_text()[-3000:]}"
        self.ready = json.loads(line)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=40)
        self.process.stdout.close()
        return code

    def discard(self) -> None:
        """Kill every process of the system, after a test that may have failed anywhere."""
        if self.process is not None and self.process.poll() is None:
            kill([psutil.Process(self.process.pid), *self._descendants()])
        kill(self._emulators())

    def kill_postgres(self) -> None:
        """Send SIGKILL to the postmaster and to every backend at the same moment."""
        doomed = [process for process in self._descendants() if _is_postgres(process)]
        assert doomed, "PostgreSQL is among the descendants"
        kill(doomed)

    def kill_all_but_emulators(self) -> None:
        """Send SIGKILL to `up`, to the postmaster and to every backend at the same moment."""
        assert self.process is not None and self.process.stdout is not None
        emulators = {process.pid for process in self._emulators()}
        doomed = [process for process in self._descendants() if process.pid not in emulators]
        assert any(_is_postgres(process) for process in doomed), "PostgreSQL is among the descendants"
        kill([psutil.Process(self.process.pid), *doomed])
        self.process.wait(timeout=10)
        self.process.stdout.close()

    def logged(self, level: str) -> list[Json]:
        lines = self.log_file.read_text().splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry["level"] == level]

    def _descendants(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def _emulators(self) -> list[psutil.Process]:
        """Find the emulators by their command line, because they outlive the `up` that started them."""
        return list(_running_with(str(self.home / "data"), "emulate"))


@contextmanager
def system_without_errors(home: Path, settings: Mapping[str, str]) -> Iterator[RunningSystem]:
    """Start a system and stop it with SIGTERM at the end. It must exit with 0 and have logged no error."""
    running = RunningSystem(home, settings)
    try:
        running.start()
        yield running
        assert running.stop() == 0
        assert running.logged("error") == []
    finally:
        running.discard()


def _running_with(*words: str) -> Iterable[psutil.Process]:
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if all(word in command for word in words):
            yield process


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.NoSuchProcess:
        return False  # backends come and go


def kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def new_call(phone: str, **more: Any) -> Json:
    """Return a body for POST /v1/calls. The contact's id is made from the number."""
    contact = {"contact_id": f"crm-{phone[1:]}", "phone": phone, "time_zone": "America/Los_Angeles"}
    return {"contact": contact, "agent_id": "agent_sales", "from_number": FROM_NUMBER, **more}
