"""The system under load: a whole `up` with calls in progress, and the client as a process of its own."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg

from benchmarks.payloads import API_KEY, INSTANCE
from benchmarks.seeding import Seeding
from proof.evidence import ROOT
from proof.harness.databases import rows
from proof.load.traffic import ANSWER_AT_MOST_S, Answered, Load, Requests, read
from tests.stories.running_system import RunningSystem

#: After the seconds of a load: starting Python, the last answers, and writing the end of the file.
CLIENT_ENDS_WITHIN_S = ANSWER_AT_MOST_S + 30.0
POLL_S = 0.5
#: A webhook that was refused three times is not sent again: then the product asks the provider. The emulator does not
#: know the seeded calls, and its 404 ends nothing.
_DEADLINE_S = "30"
_SETTINGS = {
    "RINGBACK_API_KEY": API_KEY,
    "RINGBACK_INSTANCE": INSTANCE,
    # Every seeded call holds a slot until its webhooks are applied.
    "RINGBACK_MAX_LIVE_CALLS": "100000",
    "RINGBACK_SILENCE_DEADLINE_S": _DEADLINE_S,
    "RINGBACK_NOT_CONNECTED_DEADLINE_S": _DEADLINE_S,
    "RINGBACK_ANALYSIS_DEADLINE_S": _DEADLINE_S,
    "RINGBACK_ANALYSIS_GIVE_UP_S": "7200",
    "RINGBACK_EMULATOR_SPEED": "50",
}
# Seeded calls are in progress until their webhooks are applied, so they do not count.
_LEFT = """
SELECT (SELECT count(*) FROM queue_messages WHERE dead_at IS NULL) AS messages,
       (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL) AS outbox_rows,
       (SELECT count(*) FROM tasks WHERE status = 'dispatched' OR status IN ('pending', 'held') AND due_at <= now())
           AS due,
       (SELECT count(*) FROM attempts
        WHERE state IN ('waiting', 'dialing', 'unknown', 'placed', 'ongoing', 'ended') AND contact_id NOT LIKE 'crm-%')
           AS in_progress
"""


@dataclass(frozen=True, slots=True)
class LoadedSystem:
    system: RunningSystem
    requests: Requests
    home: Path

    @property
    def port(self) -> int:
        return int(self.system.client.url.rpartition(":")[2])

    @property
    def up_pid(self) -> int:
        assert self.system.process is not None, "started"
        return self.system.process.pid

    @property
    def database_url(self) -> str:
        url: str = self.system.ready["database_url"]
        return url

    def load(self, rates: dict[str, float], first: dict[str, int], seconds: float, connections: int) -> Load:
        """An open loop; `dataclasses.replace` closes it."""
        made = self.requests
        shared = (made.seed, made.webhook_key, made.seeded_calls, made.began_ms)
        return Load(
            self.port, seconds, connections, False, rates, {kind: first.get(kind, 0) for kind in rates}, *shared
        )

    def drive(self, load: Load, name: str) -> list[Answered]:
        """Runs the client; raises if it does not end by itself in time."""
        plan, out = self.home / f"{name}.json", self.home / f"{name}.jsonl"
        plan.write_text(json.dumps(asdict(load)))
        command = [sys.executable, "-m", "proof.load.client", str(plan), str(out)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=load.seconds + CLIENT_ENDS_WITHIN_S)
        return read(out)

    def drain(self, within_s: float) -> dict[str, int]:
        """Waits until nothing is left to do; returns what is left when the time is over."""
        give_up_at = time.monotonic() + within_s
        while any((left := rows(self.database_url, _LEFT)[0]).values()) and time.monotonic() < give_up_at:
            time.sleep(POLL_S)
        return left


@contextmanager
def loaded_system(seed: int, seeded_calls: int) -> Iterator[LoadedSystem]:
    """A started system; nothing of it is left running afterwards."""
    with tempfile.TemporaryDirectory(prefix="ringback-load-") as folder:
        home = Path(folder)
        system = RunningSystem(home / "system", _SETTINGS)
        try:
            system.start()
            asyncio.run(_seed(system.ready["database_url"], seed, seeded_calls))
            keys = json.loads((system.home / "data" / "up.json").read_text())
            requests = Requests(seed, keys["retell_webhook_key"], seeded_calls, time.time_ns() // 1_000_000)
            yield LoadedSystem(system, requests, home)
            system.stop()
        finally:
            system.discard()


async def _seed(database_url: str, seed: int, calls: int) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            # One more than the webhooks are about: the call of the agent's tool calls.
            await Seeding(seed).calls_in_progress(connection, calls + 1)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
