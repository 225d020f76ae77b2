"""One testbed: a database, three ports, a clock; it plays trial after trial, from the first life to the oracle."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from proof.crashes import emulated, product
from proof.crashes.acts import ACTS
from proof.crashes.cases import Case, Kill, product_settings
from proof.crashes.finishing import Snapshot, Watch, leap
from proof.crashes.ledgers import Ledger
from proof.crashes.on_sqs import TrialQueues
from proof.crashes.oracle import Judgement, Played, judge_trial, read_evidence
from proof.crashes.scenario import Addresses, Scenario
from proof.crashes.shared_page import SharedPage
from proof.harness.clients import NeverAnswered
from proof.harness.forks import Child
from proof.harness.ports import ReservedPort
from proof.harness.processes import API_KEY, EMULATOR_KEYS, ENGAGE_SECRET, RETELL_KEYS
from ringback.adapters.postgres.pool import keep_session, open_pool
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.failpoints import Failpoint

FINISH_WITHIN_S = 240.0
#: A dead product stays dead at most so long by its own clock.
LONGEST_OUTAGE_S = 90.0
_EMPTY = """
SET LOCAL session_replication_role = replica;
DELETE FROM queue_messages; DELETE FROM outbox; DELETE FROM gate_decisions; DELETE FROM provider_events;
DELETE FROM action_results; DELETE FROM dispositions; DELETE FROM notes; DELETE FROM field_writes;
DELETE FROM inbound_calls; DELETE FROM suppressions; DELETE FROM attempts; DELETE FROM tasks; DELETE FROM calls;
DELETE FROM contacts; DELETE FROM api_keys; DELETE FROM rollup_deltas; DELETE FROM rollup_hour;
DELETE FROM rollup_day; DELETE FROM rollup_number; DELETE FROM rollup_local; DELETE FROM rollup_hist;
DELETE FROM rollup_reason; DELETE FROM rollup_person;
UPDATE installation SET paused_at = NULL, pause_reason = NULL, breaker_until = NULL, breaker_reason = NULL,
    breaker_trips = 0;
"""
_END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> 'coordinator'
"""


class Testbed:
    """Open it with `open`, close it with `close`. Its trials follow each other; testbeds run side by side."""

    def __init__(self, home: Path, database_url: str, queues: TrialQueues | None = None) -> None:
        """Without `queues` they are in the database."""
        home.mkdir(parents=True)
        self._queues = queues
        self._home = home
        self._database_url = database_url
        self._ports = {name: ReservedPort() for name in ("product", "retell", "engage")}
        self._page = SharedPage(home / "page")
        self._trials = 0
        self._life_began: datetime | None = None
        urls = {name: reserved.url for name, reserved in self._ports.items()}
        self.addresses = Addresses(**urls, api_key=API_KEY, webhook_key=EMULATOR_KEYS["webhook_key"])

    async def open(self) -> None:
        own = {"application_name": "coordinator"}
        self._pool = await asyncpg.create_pool(
            self._database_url, min_size=1, max_size=4, server_settings=own, reset=keep_session
        )
        # For the product's own check of the statistics. A new connection for each trial would plan it anew.
        self._products_pool = await open_pool(self._database_url, max_size=1)
        await self._products_pool.execute("SET application_name = 'coordinator'")

    async def close(self) -> None:
        self._pool.terminate()
        self._products_pool.terminate()
        for reserved in self._ports.values():
            reserved.close()

    async def _empty(self) -> None:
        """Makes the database as it was migrated, in a tenth of the time of TRUNCATE or of a new copy. It waits for the
        backends of killed processes, whose commits may come after their death."""
        async with self._pool.acquire() as connection:
            while await connection.fetchval(_END_OTHERS):
                await asyncio.sleep(0.005)
            async with connection.transaction():
                await connection.execute(_EMPTY)

    async def play(self, case: Case) -> Played:
        """The whole trial; everything that it started is gone afterwards, its ledgers and rows are still there."""
        self._trials += 1
        state = self._home / f"trial-{self._trials}"
        self._page.forget()
        await self._empty()
        if self._queues is not None:
            await asyncio.to_thread(self._queues.renew)
        children: list[Child] = []
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
            scenario = Scenario(self.addresses, session, self._pool, self._page, random.Random(f"stage {case.seed}"))
            scenario.queues = self._queues
            played = Played(case, scenario, Ledger(state))
            try:
                async with asyncio.timeout(FINISH_WITHIN_S):
                    await self._play(played, state, children)
            except TimeoutError:
                played.problem = f"within {FINISH_WITHIN_S:g} s {played.problem or 'the emulators were not ready'}"
            except (LifeEndedByItself, NeverAnswered) as problem:
                played.problem = str(problem)
            finally:
                for child in children:
                    await child.kill()
            return played

    async def judge(self, played: Played) -> Judgement:
        """Before the next trial of this testbed is played."""
        differing = len(await PostgresRollupRows(self._products_pool, UTC).check())
        return judge_trial(played, await read_evidence(self._pool, played, differing))

    async def _play(self, played: Played, state: Path, children: list[Child]) -> None:
        case = played.case
        emulators = Child(emulated.live, self._emulators_spec(case, state), self._home / "emulators.log")
        children.append(emulators)
        await emulators.ready.wait()
        lives = asyncio.create_task(self._keep_alive(played, children))
        acts = [asyncio.ensure_future(ACTS[name](played.scenario)) for name in case.acts]
        finishing = asyncio.create_task(self._finish(played, acts))
        try:
            await asyncio.wait([lives, finishing], return_when=asyncio.FIRST_COMPLETED)
            if lives.done():
                lives.result()
            finishing.result()
        finally:
            for task in (lives, finishing, *acts):
                task.cancel()
            await asyncio.wait([lives, finishing, *acts])
        played.hits.append(self._page.hits())

    async def _keep_alive(self, played: Played, children: list[Child]) -> None:
        """One life after the other. Ends only by an exception: a life that ended without a kill."""
        rng = random.Random(f"lives {played.case.seed}")
        due = [(kill,) for kill in played.case.kills] + list(played.case.further)
        while True:
            began = self._page.now()
            kills = due.pop(0) if due else ()
            child = Child(product.live, self._product_spec(played.case, kills), self._home / "product.log")
            children.append(child)
            ready = asyncio.create_task(child.ready.wait())
            ended = asyncio.create_task(child.ended.wait())
            try:
                await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
                self._life_began = began
                await ended
            finally:
                self._life_began = None
                ready.cancel()
                ended.cancel()
            if child.reached is None:
                raise LifeEndedByItself(f"a life ended by itself with {child.status}: see {self._home}/product.log")
            played.hits.append(self._page.hits())
            point = Failpoint(child.reached)
            played.killed.append((point, played.hits[-1][point]))
            self._page.forget_life()
            # Dead for a moment of real time, and for up to a minute and a half of its own.
            await asyncio.sleep(rng.uniform(0.0, 0.05))
            await leap(self._pool, self._page, rng.choice((0.0, rng.uniform(0.0, LONGEST_OUTAGE_S))))

    async def _finish(self, played: Played, acts: "list[asyncio.Task[object]]") -> None:
        watch = Watch(self._pool, self._page, played.ledger, lambda: self._life_began, self._queues)
        snapshot: Snapshot | None = None
        try:
            while True:
                await asyncio.sleep(watch.pause_s())
                # Read before the look, which must see all that the last act did.
                ended = [act for act in acts if act.done()]
                snapshot = await watch.look()
                for act in ended:
                    act.result()
                if len(ended) == len(acts) and self._life_began is not None:
                    for call_id in snapshot.far_calls:
                        await played.scenario.until_accepted("POST", f"/v1/calls/{call_id}/cancel")
                        played.scenario.stopped("cancel", call_id)
                    if snapshot.is_finished:
                        return
                await watch.pass_time(snapshot)
        except asyncio.CancelledError:
            # Only when the trial's time is over, or a life ended by itself.
            played.problem = f"not finished: {snapshot.what_is_left() if snapshot else 'never seen'}"
            raise

    def _product_spec(self, case: Case, kills: Sequence[Kill]) -> dict[str, Any]:
        environment = {
            **product_settings(case.mode),
            "RINGBACK_DATABASE_URL": self._database_url,
            "RINGBACK_API_KEY": API_KEY,
            **RETELL_KEYS,
            "RETELL_BASE_URL": self.addresses.retell,
            "RINGBACK_ENGAGE_URL": self.addresses.engage,
            "RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET,
            **(self._queues.settings if self._queues is not None else {}),
        }
        page = str(self._home / "page")
        port = self._ports["product"].number
        grouping = case.mode.grouping.name
        return {
            "page": page,
            "port": port,
            "environment": environment,
            "grouping": grouping,
            "kills": [(str(point), hit) for point, hit in kills],
            "bug": case.bug,
        }

    def _emulators_spec(self, case: Case, state: Path) -> dict[str, Any]:
        url = self.addresses.product
        retell = {
            "port": self._ports["retell"].number,
            **EMULATOR_KEYS,
            "control_key": API_KEY,
            "webhook_url": f"{url}/retell/webhook",
            "functions_url": f"{url}/v1/retell/functions",
            "inbound_url": f"{url}/v1/retell/inbound",
            "speed": random.Random(f"world {case.seed}").choice((100.0, 200.0, 400.0)),
            "idempotency": case.mode.remembers,
            "seed": case.seed,
        }
        engage = {"port": self._ports["engage"].number, "secret": ENGAGE_SECRET, "control_key": API_KEY}
        return {
            "page": str(self._home / "page"),
            "state": str(state),
            "database_url": self._database_url,
            "retell": retell,
            "engage": engage,
        }


class LifeEndedByItself(Exception):
    """A bug of the product or of the suite: no kill was due."""
