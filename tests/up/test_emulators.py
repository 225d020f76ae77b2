"""The emulators under `up`: take-over by the next `up`, and an end without a signal to a foreign process."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringback.domain.errors import StartRefused
from ringback.up import emulators
from ringback.up.emulators import Emulator
from ringback.up.state import load_state, new_state, save_state
from tests.loopback import answers, free_ports
from tests.stories.running_system import wait_until

KEYS = {"RETELL_API_KEY": "key_rest", "RETELL_WEBHOOK_KEY": "key_badge"}


def emulator_in(home: Path, port: int) -> Emulator:
    return Emulator("retell", port, home, "rbk_control", KEYS)


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


async def test_the_next_up_takes_an_emulator_over_and_ends_it_over_http(tmp_path):
    port = free_ports(1)[0]
    first, second = emulator_in(tmp_path, port), emulator_in(tmp_path, port)
    await first.start()
    try:
        await second.start()
        assert not second.is_dead()
        await second.stop()
        assert not answers(f"{first.url}/healthz")
        wait_until(first.is_dead, 5, "the process ended")
    finally:
        await first.stop()


async def test_a_slow_start_is_one_sentence_that_names_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(emulators, "START_WITHIN_S", 0.01)
    slow = emulator_in(tmp_path, free_ports(1)[0])
    try:
        with pytest.raises(
            StartRefused, match=r"^the retell emulator did not respond within 0\.01 s: see .+emulator\.log$"
        ):
            await slow.start()
    finally:
        await slow.stop()
    assert slow.is_dead()


async def test_a_process_with_the_former_id_of_an_emulator_gets_no_signal(tmp_path, bystander):
    save_state(tmp_path, new_state("127.0.0.1", 8080))
    text = (tmp_path / "up.json").read_text()
    (tmp_path / "up.json").write_text(text[:-1] + f', "retell_pid": {bystander.pid}}}')
    state = load_state(tmp_path)
    assert state is not None
    port = free_ports(1)[0]
    running = emulator_in(tmp_path / "retell", port)
    await running.start()
    try:
        await emulator_in(tmp_path / "retell", port).stop()
        assert bystander.poll() is None
        wait_until(running.is_dead, 5, "the process ended")
    finally:
        await running.stop()
