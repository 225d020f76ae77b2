"""The primary becomes read-only and its standby is promoted, and back: the system moves over by itself."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from ringback.embedded.server import PostgresServer
from tests.postgresql import execute, programs

from .running_system import RunningSystem, SystemClient, new_call, wait_until

pytestmark = pytest.mark.slow

#: The longest pause of a loop is 5 s, and the listening connection is checked every 5 s.
MOVED_WITHIN_S = 15.0
ENDED_WITHIN_S = 66.0
SETTINGS = {
    "RINGBACK_EMULATOR_SPEED": "5",
    "RINGBACK_SILENCE_DEADLINE_S": "3",
    "RINGBACK_MAX_CALL_S": "6",
    "RINGBACK_ANALYSIS_DEADLINE_S": "3",
}
#: A line before the others of the file, which the server rewrites at every start.
REPLICATION = "local replication all trust\n"


@dataclass
class Pair:
    """A primary and its synchronous standby, which has every commit of the primary. They exchange their roles.

    `product` is the URL of the product's role, whatever its host.
    """

    primary: PostgresServer
    standby: PostgresServer
    product: str = ""

    def start(self) -> None:
        self.product = self.primary.start()
        self._copy_primary()

    def stop(self) -> None:
        self.standby.stop()
        self.primary.stop()

    @property
    def both(self) -> str:
        """The URL that names both, as in a deployment with a standby."""
        servers = (self.primary, self.standby)
        hosts = ",".join(parse_qs(urlsplit(server.superuser_url).query)["host"][0] for server in servers)
        return f"{self.product.partition('?')[0]}?host={hosts}&port=5432,5432"

    def make_primary_read_only(self) -> None:
        """Make the primary read-only, also for existing sessions. None is closed."""
        self._configure(self.primary, "default_transaction_read_only = on")

    def promote_standby(self) -> None:
        asyncio.run(execute(self.standby.superuser_url, "SELECT pg_promote()"))
        self.primary, self.standby = self.standby, self.primary

    def make_old_primary_the_standby(self) -> None:
        """Its own data are dropped."""
        self.standby.stop()
        shutil.rmtree(data_of(self.standby))
        self._copy_primary()

    def sessions_at_old_primary(self) -> int:
        async def count() -> int:
            connection = await asyncpg.connect(self.standby.superuser_url)
            found = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ringback'"
            )
            await connection.close()
            return int(found)

        return asyncio.run(count())

    def _copy_primary(self) -> None:
        url, access = self.primary.superuser_url, data_of(self.primary) / "pg_hba.conf"
        access.write_text(REPLICATION + access.read_text())
        asyncio.run(execute(url, "SELECT pg_reload_conf()"))
        program = programs().bin_dir / "pg_basebackup"
        command = [program, "-d", url, "-D", data_of(self.standby), "-R", "-X", "stream", "-c", "fast"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.standby.start()
        self._configure(self.primary, "synchronous_standby_names = '*'")

    def _configure(self, server: PostgresServer, setting: str) -> None:
        asyncio.run(execute(server.superuser_url, f"ALTER SYSTEM SET {setting}", "SELECT pg_reload_conf()"))


def data_of(server: PostgresServer) -> Path:
    return server.log_file.parent / "pgdata"


@pytest.fixture
def pair() -> Iterator[Pair]:
    # On a short path, because the path of a socket is limited.
    with tempfile.TemporaryDirectory(prefix="ringback-", ignore_cleanup_errors=True) as directory:
        homes = [Path(directory, name) for name in ("a", "b")]
        for home in homes:
            (home / "postgres").mkdir(parents=True)
        pair = Pair(*(PostgresServer(home, programs()) for home in homes))
        try:
            pair.start()
            yield pair
        finally:
            pair.stop()


def _accepted(client: SystemClient, phone: str) -> str | None:
    answer = client.ask("POST", "/v1/calls", new_call(phone))
    return answer.body["call_id"] if answer.status == 202 else None


def _fail_over(client: SystemClient, pair: Pair, phone: str) -> str:
    """The primary becomes read-only and its standby is promoted. Returns the first call that is accepted afterwards."""
    pair.make_primary_read_only()
    wait_until(lambda: client.ask("GET", "/readyz").status == 503, 5, "not ready while nothing can be written")
    assert client.ask("GET", "/readyz").body["checks"]["database"]["ok"] is False
    assert client.ask("POST", "/v1/calls", new_call("+12125550100")).status == 503
    pair.promote_standby()
    later = wait_until(lambda: _accepted(client, phone), MOVED_WITHIN_S, "accepted again")
    wait_until(lambda: client.ask("GET", "/readyz").status == 200, MOVED_WITHIN_S, "ready again")
    wait_until(lambda: pair.sessions_at_old_primary() == 0, MOVED_WITHIN_S, "no connection to the old primary is left")
    return later


def test_calls_are_accepted_again_after_a_fail_over_and_back_and_none_is_lost(
    make_system: Callable[..., RunningSystem], pair: Pair
) -> None:
    system = make_system(RINGBACK_DATABASE_URL=pair.both, **SETTINGS)
    system.start()
    client = system.client
    in_flight = [client.place(new_call(f"+1{area}5550100")) for area in (208, 209)]
    for call_id in in_flight:
        client.wait_for(call_id, lambda call: call["status"] in ("in_progress", "completed"))
    in_flight.append(_fail_over(client, pair, "+12135550100"))
    pair.make_old_primary_the_standby()
    in_flight.append(client.place(new_call("+12145550100")))
    in_flight.append(_fail_over(client, pair, "+12155550100"))
    for call_id in in_flight:
        assert client.wait_final(call_id, ENDED_WITHIN_S)["status"] == "completed"
        client.wait_delivered(call_id, ENDED_WITHIN_S)
        assert len(client.rings_of(call_id)) == 1
    assert system.logged("error") == []
    assert system.stop() == 0
