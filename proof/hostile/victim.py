"""The system under attack: the real one over HTTP, every secret of it a canary, and what it wrote down."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import asyncpg

from proof.hostile.canaries import Canaries
from proof.hostile.wire import Reply, Request, send
from proof.hostile.world import World
from ringback.embedded.server import PostgresServer
from tests.stories.running_system import RunningSystem

T = TypeVar("T")
WAIT_S = 60.0
#: What the product reports as an incident on purpose.
FORESEEN = frozenset({"attempt.second_provider_call", "outbox.dead"})
TABLES = (
    *("calls", "tasks", "attempts", "provider_events", "outbox", "queue_messages", "suppressions", "contacts"),
    *("action_results", "dispositions", "notes", "field_writes", "inbound_calls", "gate_decisions"),
)
#: What a request must leave alone if it is refused: the number of rows of each table, the messages ever sent to a
#: queue, and the attempts as they stand.
_STATE = ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES if table != "queue_messages") + (
    ", coalesce(pg_sequence_last_value(pg_get_serial_sequence('queue_messages', 'id')::regclass), 0) AS messages_ever"
    ", (SELECT md5(coalesce(string_agg(a::text, ',' ORDER BY attempt_id), '')) FROM attempts a) AS attempts_are"
)

State = Mapping[str, object]


@dataclass
class Victim:
    """`ringback up` on a PostgreSQL of its own, before a world that repeats all it hears."""

    home: Path
    canaries: Canaries
    log_format: str = "json"
    more_settings: Mapping[str, str] = field(default_factory=dict)
    world: World = field(default_factory=World)
    postgres: PostgresServer | None = None
    system: RunningSystem | None = None
    #: Every refusal that was answered, for the search.
    refusals: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        assert self.system is not None, "started"
        return str(self.system.ready["url"])

    @property
    def database_url(self) -> str:
        assert self.system is not None, "started"
        return str(self.system.ready["database_url"])

    @property
    def webhook_key(self) -> str:
        return self.canaries.secrets["webhook"]

    def settings(self) -> dict[str, str]:
        secrets = self.canaries.secrets
        return {
            "RINGBACK_API_KEY": secrets["api"],
            "RETELL_API_KEY": secrets["retell"],
            "RETELL_WEBHOOK_KEY": secrets["webhook"],
            "RETELL_BASE_URL": self.world.url,
            "RINGBACK_ENGAGE_URL": f"{self.world.url}/engage",
            "RINGBACK_ENGAGE_SECRET": f"whsec_{secrets['engage']}",
            "RINGBACK_CALLING_HOURS": "always",
            "RINGBACK_CALLS_PER_SECOND": "100",
            "RINGBACK_MAX_LIVE_CALLS": "400",
            "RINGBACK_ATTEMPTS_PER_DAY": "0",
            "RINGBACK_ATTEMPT_GAP_S": "0",
            "RINGBACK_CREATE_TIMEOUT_S": "3",
            "RINGBACK_LOG_FORMAT": self.log_format,
            # What an operator might set to see more of the libraries.
            "RETELL_LOG": "debug",
            **self.more_settings,
        }

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.world.start()
        self.postgres = PostgresServer(self.home / "database")
        plain = self.postgres.start()
        url = plain.replace("ringback@", f"ringback:{self.canaries.secrets['database']}@", 1)
        self.system = RunningSystem(self.home / "up", {**self.settings(), "RINGBACK_DATABASE_URL": url})
        self.system.start()

    def stop(self) -> int:
        """The exit code of `up`."""
        assert self.system is not None and self.postgres is not None, "started"
        code = self.system.stop()
        self.postgres.stop()
        self.world.stop()
        return code

    def discard(self) -> None:
        """Whatever failed before: nothing of it goes on running."""
        if self.system is not None:
            self.system.discard()
        if self.postgres is not None:
            self.postgres.stop()
        self.world.stop()

    async def ask(self, request: Request) -> Reply:
        reply = await send(self.url, request)
        if reply.status >= 400:
            self.refusals.append(f"{reply.status} {reply.headers} {reply.text}")
        return reply

    async def query(self, statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database_url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return rows
        finally:
            await connection.close()

    async def state(self) -> State:
        return dict((await self.query(f"SELECT {_STATE}"))[0])

    async def drained(self) -> None:
        """Until every webhook taken has been applied, or is dead, or waits for its attempt."""

        async def probe() -> bool:
            waiting = "SELECT count(*) FROM queue_messages WHERE queue = 'events' AND dead_at IS NULL"
            return bool((await self.query(waiting))[0][0] == 0)

        await until(probe, "the event queue is empty")

    def logs(self) -> dict[str, str]:
        """The text of every log, by the file's name."""
        paths = [path for path in self.home.rglob("*.log")]
        return {path.name: path.read_text(errors="replace") for path in paths}

    def unforeseen(self) -> list[str]:
        """The lines of the level ERROR that hostile input must never cause: event, error and place."""
        assert self.system is not None, "started"
        lines = [entry for entry in self.system.logged("error") if entry["event"] not in FORESEEN]
        return [f"{entry['event'].strip()} {entry.get('error', '')} {entry.get('at', '')}" for entry in lines]


async def until(probe: Callable[[], Awaitable[T | None]], what: str, timeout_s: float = WAIT_S) -> T:
    """What the probe found, as soon as it is true."""
    give_up_at = time.monotonic() + timeout_s
    while True:
        found = await probe()
        if found:
            return found
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        await asyncio.sleep(0.05)
