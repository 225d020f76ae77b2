"""The API key that `up` makes for its directory is listed, can be revoked, and then stays revoked."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .running_system import RunningSystem, clean_environment, wait_until

pytestmark = pytest.mark.slow

ANOTHER = "rbk_another_key_for_the_story"


def ringback(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli", *words, "--data-dir", str(home / "data")],
        env=clean_environment({}),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_revoked_key_ends_within_seconds_and_stays_revoked(make_system: Callable[..., RunningSystem]) -> None:
    system = make_system()
    system.start()
    client = system.client
    assert client.ask("GET", "/v1/calls").status == 200
    (key,) = json.loads(ringback(system.home, "keys", "list", "--json").stdout)
    assert (key["name"].startswith("ringback up "), key["role"], key["revoked_at"]) == (True, "admin", None)
    assert key["last_used_at"] is not None
    assert ringback(system.home, "keys", "revoke", key["name"]).stdout == "revoked\n"
    wait_until(lambda: client.ask("GET", "/v1/calls").status == 401, 8, "the key is refused")
    assert system.stop() == 0

    refused = ringback(system.home, "up", "--json", "--port", "0")
    lines = [line for line in refused.stderr.splitlines() if line.startswith("the ")]
    sentence = "the API key of this data directory was revoked: set RINGBACK_API_KEY to another one"
    assert (refused.returncode, refused.stdout, lines) == (2, "", [sentence])

    system.settings = {**system.settings, "RINGBACK_API_KEY": ANOTHER}
    system.start()
    assert system.ready["api_key"] == ANOTHER
    assert system.client.ask("GET", "/v1/calls").status == 200
    assert client.ask("GET", "/v1/calls", headers={"Authorization": f"Bearer {client.api_key}"}).status == 401
    assert system.stop() == 0
