"""A restored backup, in which calls that were dialed after it are due again. The page's steps prevent a second ring."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringback.embedded.binaries import find_binaries
from tests.deploy.units import ROOT
from tests.postgresql import execute, named

from .running_system import Answer, Json, RunningSystem, SystemClient, new_call, wait_until

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "production.md").read_text()
SQL_STEPS = [
    one for one in re.findall(r"^ {4}(\S.*)$", PAGE, re.MULTILINE) if one.startswith(("pg_dump", "psql -q", 'psql "'))
]
API_KEY = "rbk_for_the_restore"
DUE_AFTER_S = 40


def in_s(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def place(client: SystemClient, body: Json) -> str:
    """Request a call as Engage does: again, with the same key, while a busy machine answers 503."""
    key = {"Idempotency-Key": f"restore-{body['contact']['phone']}"}
    answer = wait_until(lambda: _accepted(client.ask("POST", "/v1/calls", body, key)), 120, "the call is accepted")
    call_id: str = answer.body["call_id"]
    return call_id


def _accepted(answer: Answer) -> Answer | None:
    assert answer.status in (202, 503), answer.body
    return answer if answer.status == 202 else None


def run_steps(steps: list[str], urls: dict[str, str], home: Path) -> None:
    path = f"{find_binaries().postgres.parent}:{os.environ['PATH']}"
    for step in steps:
        subprocess.run(["sh", "-ec", step], env={**os.environ, **urls, "PATH": path}, cwd=home, check=True)


def test_a_restore_to_an_earlier_point_dials_no_person_twice(server_url: str, tmp_path: Path) -> None:
    urls = {
        "RINGBACK_DATABASE_URL": named(server_url, "before_the_loss"),
        "RESTORED_URL": named(server_url, "after_the_restore"),
    }
    asyncio.run(execute(server_url, "CREATE DATABASE before_the_loss", "CREATE DATABASE after_the_restore"))
    settings = {"RINGBACK_API_KEY": API_KEY, "RINGBACK_EMULATOR_SPEED": "40", **urls}
    settings.pop("RESTORED_URL")
    system = RunningSystem(tmp_path, settings)
    try:
        system.start()
        client = system.client
        done = place(client, new_call("+14155550100"))
        client.wait_final(done, 120)
        retry = {"max_attempts": 2, "rules": {"no_answer": [DUE_AFTER_S]}}
        retried = place(client, new_call("+14155550101", retry=retry))
        client.wait_for(retried, lambda call: call["status"] == "scheduled" and call["attempts"] != [], 120)
        planned = place(client, new_call("+12125550100", not_before=in_s(DUE_AFTER_S)))
        much_later = place(client, new_call("+13105550100", not_before=in_s(3600)))
        backup_at = datetime.now(UTC)
        run_steps(SQL_STEPS[:1], urls, tmp_path)
        assert (len(client.rings_of(retried)), len(client.rings_of(planned))) == (1, 0), "the backup was in time"
        accepted_later = place(client, new_call("+13035550100"))
        for call_id in (retried, planned, accepted_later):
            client.wait_final(call_id, 120)
        rang = Counter(ring["metadata"]["ringback_call_id"] for ring in client.rings())
        assert rang == {done: 1, retried: 2, planned: 1, accepted_later: 1}
        assert system.stop() == 0

        run_steps(SQL_STEPS[1:], urls, tmp_path)
        system.settings = {**settings, "RINGBACK_DATABASE_URL": urls["RESTORED_URL"]}
        system.start()
        client = system.client
        # Both are due again, and only the pause holds them.
        assert [client.call(call_id)["final"] for call_id in (retried, planned)] == [False, False]
        output = run_the_program(system, urls, backup_at)
        assert "2 cancelled" in output
        assert "1 unknown here" in output
        assert [client.call(call_id)["status"] for call_id in (retried, planned)] == ["cancelled", "cancelled"]
        assert client.ask("POST", "/v1/dialing/resume").status == 200
        after = place(client, new_call("+16175550100"))
        client.wait_final(after, 120)
        assert client.call(much_later)["status"] == "scheduled"
        time.sleep(2)  # longer than a task that is due waits for its release
        assert Counter(ring["metadata"]["ringback_call_id"] for ring in client.rings()) == {**rang, after: 1}
        assert system.stop() == 0
    finally:
        system.discard()


def run_the_program(system: RunningSystem, urls: dict[str, str], backup_at: datetime) -> str:
    """Run the page's program. Return what it printed."""
    [step] = [one for one in re.findall(r"^ {4}(\S.*)$", PAGE, re.MULTILINE) if "after_restore.py" in one]
    state = json.loads((system.home / "data" / "up.json").read_text())
    env = {
        **os.environ,
        **urls,
        "PATH": f"{find_binaries().postgres.parent}:{os.environ['PATH']}",
        "BACKUP_AT": backup_at.isoformat(),
        "RINGBACK_URL": system.ready["url"],
        "RINGBACK_API_KEY": API_KEY,
        "RETELL_API_KEY": state["retell_api_key"],
        "RETELL_BASE_URL": system.ready["retell_base_url"],
    }
    here = step.replace("/opt/ringback/current/bin/python", sys.executable)
    run = subprocess.run(["sh", "-ec", here], env=env, cwd=ROOT, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
