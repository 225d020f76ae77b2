"""The primary becomes read-only and its standby is promoted: the system moves over by itself."""

import asyncio
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


@dataclass(frozen=True)
class Pair:
    """A primary and its synchronous standby, which has every commit of the primary.

    Both are URLs of the administrator. `product` is the primary's URL for the product's role.
    """

    primary: str
    standby: str
    product: str

    @property
    def both(self) -> str:
        """The URL that names both, as in a deployment with a standby."""
        hosts = ",".join(parse_qs(urlsplit(url).query)["host"][0] for url in (self.primary, self.standby))
        return f"{self.product.partition('?')[0]}?host={hosts}&port=5432,5432"

    def make_primary_read_only(self) -> None:
        """Make the primary read-only, also for existing sessions. None is closed."""
        statement = "ALTER SYSTEM SET default_transaction_read_only = on"
        asyncio.run(execute(self.primary, statement, "SELECT pg_reload_conf()"))

    def promote_standby(self) -> None:
        asyncio.run(execute(self.standby, "SELECT pg_promote()"))

    def sessions_at_old_primary(self) -> int:
        async def count() -> int:
            connection = await asyncpg.connect(self.primary)
            found = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ringback'"
            )
            await connection.close()
            return int(found)

        return asyncio.run(count())


@pytest.fixture
def pair() -> Iterator[Pair]:
    # On a short path, because the path of a socket is limited.
    with tempfile.TemporaryDirectory(prefix="ringback-", ignore_cleanup_errors=True) as directory:
        homes = [Path(directory, name) for name in ("a", "b")]
        for home in homes:
            (home / "postgres").mkdir(parents=True)
        primary, standby = (PostgresServer(home, programs()) for home in homes)
        try:
            product_url = primary.start()
            primary_url = primary.superuser_url
            access = homes[0] / "postgres/pgdata/pg_hba.conf"
            access.write_text(REPLICATION + access.read_text())
            asyncio.run(execute(primary_url, "SELECT pg_reload_conf()"))
            program = programs().bin_dir / "pg_basebackup"
            copy = homes[1] / "postgres/pgdata"
            command = [program, "-d", primary_url, "-D", copy, "-R", "-X", "stream", "-c", "fast"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            standby.start()
            asyncio.run(
                execute(primary_url, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
            )
            yield Pair(primary_url, standby.superuser_url, product_url)
        finally:
            standby.stop()
            primary.stop()


def _accepted(client: SystemClient) -> str | None:
    answer = client.ask("POST", "/v1/calls", new_call("+12135550100"))
    return answer.body["call_id"] if answer.status == 202 else None


def test_calls_are_accepted_again_after_a_fail_over_and_none_is_lost(
    make_system: Callable[..., RunningSystem], pair: Pair
) -> None:
    system = make_system(RINGBACK_DATABASE_URL=pair.both, **SETTINGS)
    system.start()
    client = system.client
    in_flight = [client.place(new_call(f"+1{area}5550100")) for area in (208, 209)]
    for call_id in in_flight:
        client.wait_for(call_id, lambda call: call["status"] in ("in_progress", "completed"))
    pair.make_primary_read_only()
    wait_until(lambda: client.ask("GET", "/readyz").status == 503, 5, "not ready while nothing can be written")
    assert client.ask("GET", "/readyz").body["checks"]["database"]["ok"] is False
    assert client.ask("POST", "/v1/calls", new_call("+12125550100")).status == 503
    pair.promote_standby()
    later = wait_until(lambda: _accepted(client), MOVED_WITHIN_S, "accepted again")
    wait_until(lambda: client.ask("GET", "/readyz").status == 200, MOVED_WITHIN_S, "ready again")
    wait_until(lambda: pair.sessions_at_old_primary() == 0, MOVED_WITHIN_S, "no connection to the old primary is left")
    for call_id in [*in_flight, later]:
        assert client.wait_final(call_id, ENDED_WITHIN_S)["status"] == "completed"
        client.wait_delivered(call_id, ENDED_WITHIN_S)
        assert len(client.rings_of(call_id)) == 1
    assert system.logged("error") == []
    assert system.stop() == 0
