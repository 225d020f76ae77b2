"""Access to the emulators, and the end of their processes."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from ringback_emulator.server import stop_without_owner
from tests.emulator.conftest import CREATE_BODY
from tests.loopback import answers, free_ports


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"host": "rebound.evil.example"},
    ],
)
async def test_a_request_of_a_web_page_is_rejected_and_nothing_rings(emulator, headers):
    answer = await emulator.post(CREATE_BODY, headers=headers)
    assert answer.status_code in (400, 403)
    assert (await emulator.http.get("/emulator/retell/rings", headers=headers)).status_code in (400, 403)
    assert await emulator.rings() == []


@pytest.mark.parametrize("path", ["faults", "inbound", "stop"])
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Bearer key_webhook_badge"])
async def test_a_control_path_needs_the_control_key(emulator, path, authorization):
    answer = await emulator.http.post(f"/emulator/retell/{path}", json={}, headers={"authorization": authorization})
    assert answer.status_code == 401
    assert "key" in answer.json()["message"]


async def test_without_a_control_key_the_control_paths_are_closed(settings, open_emulator):
    async with open_emulator(replace(settings, control_key=None)) as emulator:
        for authorization in ("Bearer None", "Bearer", ""):
            headers = {"authorization": authorization}
            assert (await emulator.http.post("/emulator/retell/faults", json={}, headers=headers)).status_code == 401


def start_emulator(home: Path, *options: str) -> tuple["subprocess.Popen[bytes]", str]:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "ringback.cli", "emulate", "retell", "--port", str(port)]
    environment = {"PATH": "/usr/bin:/bin", "RETELL_API_KEY": "key_rest", "RETELL_WEBHOOK_KEY": "key_badge"}
    process = subprocess.Popen([*command, "--state", str(home), *options], env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    give_up_at = time.monotonic() + 30
    while not answers(f"{url}/healthz"):
        assert process.poll() is None and time.monotonic() < give_up_at
        time.sleep(0.05)
    return process, url


def test_it_listens_on_loopback_alone_and_ends_when_it_is_told_to(tmp_path):
    process, url = start_emulator(tmp_path)
    try:
        listening = [one.laddr.ip for one in psutil.Process(process.pid).net_connections() if one.status == "LISTEN"]
        assert set(listening) == {"127.0.0.1"}
        stopped = httpx.post(f"{url}/emulator/retell/stop", headers={"authorization": "Bearer key_rest"})
        assert stopped.status_code == 202
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()


def test_the_command_has_no_option_for_another_address(tmp_path):
    command = [sys.executable, "-m", "ringback.cli", "emulate", "retell", "--host", "0.0.0.0"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert told.returncode == 2 and "--host" in told.stderr


def test_it_ends_some_time_after_its_owner_and_not_before_the_next_owner_may_come(tmp_path):
    owner = subprocess.Popen(["sleep", "60"])
    owner_file, stopped = tmp_path / "lock", []
    owner_file.write_text(f"{owner.pid}\n")
    try:
        began = time.monotonic()

        # Two grace times with a living owner, then none.
        def stop() -> None:
            stopped.append(time.monotonic() - began)

        watching = threading.Thread(target=stop_without_owner, args=(owner_file, stop, 0.4))
        watching.start()
        time.sleep(0.9)
        assert stopped == []
        owner.kill()
        owner.wait()
        watching.join(timeout=5)
        assert len(stopped) == 1 and stopped[0] >= 1.2
    finally:
        owner.kill()
        owner.wait()


@pytest.mark.parametrize("text", ["", "no number", None])
def test_an_owner_file_without_a_living_process_is_no_owner(tmp_path, text):
    owner_file, stopped = tmp_path / "lock", []
    if text is not None:
        owner_file.write_text(text)
    stop_without_owner(owner_file, lambda: stopped.append(True), 0.05)
    assert stopped == [True]
