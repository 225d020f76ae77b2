"""One lane: a database, three ports, a clock; it plays one trial after the other, from the first life to the oracle."""

import asyncio
import random
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from proof.crashes import database
from proof.crashes.acts import ACTS
from proof.crashes.case import Case, Played
from proof.crashes.forks import Child, Forks
from proof.crashes.judgement import Judgement
from proof.crashes.ledgers import WorldLedger
from proof.crashes.modes import product_settings
from proof.crashes.oracle import judge, read_evidence
from proof.crashes.settling import Sight, Watch, leap
from proof.crashes.shared_page import SharedPage
from proof.crashes.stage import Doors, NeverAnswered, Stage

SETTLE_WITHIN_S = 240.0
#: How long a dead product stays dead, as its own clock will see it.
LONGEST_OUTAGE_S = 90.0
API_KEY = "rb_proof"
RETELL_KEY, WEBHOOK_KEY = "key_proof_api", "key_proof_webhook"
ENGAGE_SECRET = "whsec_" + "cHJvb2Ytb2YtdGhlLWNyYXNoZXM="


class Reserved:
    """A port that nobody else is given, and on which nobody listens but who is meant to."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._socket.close()


class Lane:
    """Open it with `open`, close it with `close`. Trials of one lane follow each other; lanes run side by side."""

    def __init__(self, forks: Forks, home: Path, database_url: str) -> None:
        home.mkdir(parents=True)
        self._forks = forks
        self._home = home
        self._database_url = database_url
        self._ports = {name: Reserved() for name in ("product", "retell", "engage")}
        self._page = SharedPage(home / "page")
        self._trials = 0
        self._life_began: datetime | None = None
        product, retell, engage = (reserved.url for reserved in self._ports.values())
        self.doors = Doors(product, retell, engage, API_KEY, WEBHOOK_KEY)

    async def open(self) -> None:
        self._pool = await database.watching(self._database_url)

    async def close(self) -> None:
        self._pool.terminate()
        for reserved in self._ports.values():
            reserved.close()

    async def play(self, case: Case) -> Played:
        """The whole trial; everything that it started is gone afterwards, its ledgers and rows are still there."""
        self._trials += 1
        state = self._home / f"trial-{self._trials}"
        self._page.forget()
        await database.empty(self._pool)
        children: list[Child] = []
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:
            stage = Stage(self.doors, session, self._pool, self._page, random.Random(f"stage {case.seed}"))
            played = Played(case, stage, WorldLedger(state))
            try:
                async with asyncio.timeout(SETTLE_WITHIN_S):
                    await self._play(played, state, children)
            except TimeoutError:
                played.problem = f"within {SETTLE_WITHIN_S:g} s {played.problem or 'the world was not ready'}"
            except (LifeEndedByItself, NeverAnswered) as problem:
                played.problem = str(problem)
            finally:
                for child in children:
                    await self._forks.kill(child)
            return played

    async def judge(self, played: Played) -> Judgement:
        """Before the next trial of this lane is played."""
        return judge(played, await read_evidence(self._pool, played))

    async def _play(self, played: Played, state: Path, children: list[Child]) -> None:
        case = played.case
        world = self._forks.fork("world", self._world_spec(case, state), self._home / "world.log")
        children.append(world)
        await world.ready.wait()
        lives = asyncio.create_task(self._keep_alive(played, children))
        acts = [asyncio.create_task(_act(name, played.stage)) for name in case.acts]
        settling = asyncio.create_task(self._settle(played, acts))
        try:
            await asyncio.wait([lives, settling], return_when=asyncio.FIRST_COMPLETED)
            if lives.done():
                lives.result()
            settling.result()
        finally:
            for task in (lives, settling, *acts):
                task.cancel()
            await asyncio.wait([lives, settling, *acts])
        played.hits.append(self._page.hits())

    async def _keep_alive(self, played: Played, children: list[Child]) -> None:
        """One life after the other. Ends only by an exception: a life that ended without having been told to."""
        rng = random.Random(f"lives {played.case.seed}")
        kills = list(played.case.kills)
        while True:
            began = self._page.now()
            kill = [str(kills[0][0]), kills[0][1]] if kills else None
            child = self._forks.fork("product", self._product_spec(played.case, kill), self._home / "product.log")
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
            kills.pop(0)
            played.killed += 1
            played.hits.append(self._page.hits())
            self._page.forget_life()
            # Dead for a moment of real time, and for anything between that moment and a minute and a half of its own.
            await asyncio.sleep(rng.uniform(0.0, 0.05))
            await leap(self._pool, self._page, rng.choice((0.0, rng.uniform(0.0, LONGEST_OUTAGE_S))))

    async def _settle(self, played: Played, acts: "list[asyncio.Task[None]]") -> None:
        watch = Watch(self._pool, self._page, played.ledger, lambda: self._life_began)
        sight: Sight | None = None
        try:
            while True:
                await asyncio.sleep(watch.pause_s())
                # Asked before the look: what the last act did must have been there to be seen.
                ended = [act for act in acts if act.done()]
                sight = await watch.look()
                for act in ended:
                    act.result()
                if len(ended) == len(acts) and self._life_began is not None:
                    for call_id in sight.far_calls:
                        await played.stage.until_taken("POST", f"/v1/calls/{call_id}/cancel")
                        played.stage.stopped("cancel", call_id)
                    if sight.is_final:
                        return
                await watch.pass_time(sight)
        except asyncio.CancelledError:
            # Only when the trial's time is over, or a life ended by itself.
            played.problem = f"not settled: {sight.what_is_left() if sight else 'never seen'}"
            raise

    def _product_spec(self, case: Case, kill: list[Any] | None) -> dict[str, Any]:
        environment = {
            **product_settings(case.mode),
            "RINGBACK_DATABASE_URL": self._database_url,
            "RINGBACK_API_KEY": API_KEY,
            "RETELL_API_KEY": RETELL_KEY,
            "RETELL_WEBHOOK_KEY": WEBHOOK_KEY,
            "RETELL_BASE_URL": self.doors.retell,
            "RINGBACK_ENGAGE_URL": self.doors.engage,
            "RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET,
        }
        page = str(self._home / "page")
        port = self._ports["product"].port
        return {"page": page, "port": port, "environment": environment, "kill": kill, "bug": case.bug}

    def _world_spec(self, case: Case, state: Path) -> dict[str, Any]:
        product = self.doors.product
        retell = {
            "port": self._ports["retell"].port,
            "api_key": RETELL_KEY,
            "webhook_key": WEBHOOK_KEY,
            "control_key": API_KEY,
            "webhook_url": f"{product}/retell/webhook",
            "functions_url": f"{product}/v1/retell/functions",
            "inbound_url": f"{product}/v1/retell/inbound",
            "speed": random.Random(f"world {case.seed}").choice((100.0, 200.0, 400.0)),
            "idempotency": case.mode.provider_remembers,
            "seed": case.seed,
        }
        engage = {"port": self._ports["engage"].port, "secret": ENGAGE_SECRET, "control_key": API_KEY}
        return {
            "page": str(self._home / "page"),
            "state": str(state),
            "database_url": self._database_url,
            "retell": retell,
            "engage": engage,
        }


class LifeEndedByItself(Exception):
    """A bug of the product or of the suite: nobody killed it."""


async def _act(name: str, stage: Stage) -> None:
    await ACTS[name](stage)
