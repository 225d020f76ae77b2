"""PostgreSQL is stopped in every way, and started again, under load; nobody restarts anything by hand."""

import json
import os
import signal
import tempfile
import time
from pathlib import Path
from random import Random

from proof.findings import Findings, Say
from proof.invariants import Invariant
from proof.surroundings.load import Load
from proof.surroundings.settled import judge_all, judge_load, judge_one_ring_each, wait_settled
from ringback.embedded.server import PostgresServer
from tests.stories.running_system import RunningSystem

#: What a PostgreSQL is sent: a fast shutdown, an immediate one, a kill of its postmaster.
ENDS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill -9": signal.SIGKILL}
SETTINGS = {
    "RINGBACK_EMULATOR_SPEED": "20",
    "RINGBACK_SILENCE_DEADLINE_S": "3",
    "RINGBACK_MAX_CALL_S": "20",
    "RINGBACK_ANALYSIS_DEADLINE_S": "3",
}


def run_postgres(found: Findings, say: Say, stops: int, seed: int) -> None:
    rng = Random(f"{seed} postgres")
    reproduce = f"seed {seed}, {stops} stops of PostgreSQL"
    with tempfile.TemporaryDirectory(prefix="ringback-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(Path(directory) / "db")
        system = RunningSystem(Path(directory) / "up", {**SETTINGS, "RINGBACK_DATABASE_URL": server.start()})
        try:
            system.start()
            load = _load(system, rng)
            with load:
                for number in range(stops):
                    _stop_and_start(server, list(ENDS)[number % len(ENDS)], rng, say)
                time.sleep(1)
            took_s = wait_settled(server.start(), load.accepted.values())
            say(f"{len(load.accepted)} calls settled {took_s:.0f} s after the last start of PostgreSQL")
            call_ids = list(load.accepted.values())
            judge_all(found, system.client, server.start(), call_ids, reproduce)
            judge_one_ring_each(found, system.client, call_ids, reproduce)
            judge_load(found, load, server.start(), reproduce)
            assert system.process is not None
            if system.process.poll() is not None:
                found.broke(Invariant.I1, "`up` ended with its database", reproduce)
            found.counts |= {
                "postgres_stops": stops,
                "postgres_calls": len(call_ids),
                "postgres_refused_meanwhile": load.unavailable,
                "postgres_settled_after_s": round(took_s, 1),
            }
        finally:
            system.discard()
            server.stop()


def _load(system: RunningSystem, rng: Random) -> Load:
    state = json.loads((system.home / "data" / "up.json").read_text())
    receiver_url = f"{system.client.url}/retell/webhook"
    return Load(system.client, receiver_url, state["retell_webhook_key"], rng)


def _stop_and_start(server: PostgresServer, end: str, rng: Random, say: Say) -> None:
    time.sleep(rng.uniform(1.5, 4.0))
    assert server.pid is not None, "it runs between the stops"
    os.kill(server.pid, ENDS[end])
    while server.is_alive():
        time.sleep(0.05)
    away_s = rng.uniform(0.2, 4.0)
    time.sleep(away_s)
    server.start()
    say(f"PostgreSQL: {end}, {away_s:.1f} s away")
