"""PostgreSQL over TCP with TLS: the certificate is verified, and a wrong set-up is one sentence."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ringback.adapters.postgres.pool import connection_of, open_pool
from ringback.domain.errors import StoreUnavailable
from ringback.embedded.binaries import DEBIAN_ROOT, BinariesNotFound, find_binaries
from ringback.embedded.server import PostgresServer
from tests.loopback import free_ports
from tests.postgresql import execute


def debians() -> Path | None:
    """The programs of Debian's PostgreSQL. The embedded one has no TLS."""
    for found in sorted(DEBIAN_ROOT.glob("*/bin"), reverse=True):
        try:
            return find_binaries(found).bin_dir
        except BinariesNotFound:
            continue
    return None


pytestmark = pytest.mark.skipif(debians() is None, reason="no PostgreSQL with TLS: apt-get install postgresql")

PASSWORD = "for-the-test"
#: TLS and a password for all connections over TCP. The socket stays the administrator's.
ACCESS = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


def make_certificates(home: Path) -> None:
    """Make the CA `ca.crt`, the server's certificate for `localhost` by it, and another CA `other.crt`."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=home, check=True, capture_output=True)

    for name in ("ca", "other"):
        made = ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}"]
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *made)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=x")
    (home / "names").write_text("subjectAltName=DNS:localhost")
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl("x509", "-req", "-in", "server.csr", "-out", "server.crt", *signed)


@dataclass(frozen=True)
class Remote:
    """A server that accepts TLS with a password alone. `home` has the certificates."""

    port: int
    home: Path

    def url(self, host: str = "localhost", **query: str) -> str:
        options = "&".join(f"{name}={value}" for name, value in query.items())
        return f"postgresql://ringback@{host}:{self.port}/ringback?{options}"


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    # Not below pytest's directory, which PostgreSQL's user may not enter.
    home = Path(tempfile.mkdtemp(prefix="ringback-tls-"))
    home.chmod(0o755)
    make_certificates(home)
    server = PostgresServer(home / "data", find_binaries(debians()))
    server.start()
    try:
        pgdata = home / "data/postgres/pgdata"
        [port] = free_ports(1)
        owner = pgdata.stat()
        for name in ("server.crt", "server.key"):
            shutil.copy(home / name, pgdata / name)
            (pgdata / name).chmod(0o600)
            os.chown(pgdata / name, owner.st_uid, owner.st_gid)
        settings = {"listen_addresses": "127.0.0.1", "port": str(port), "ssl": "on"}
        asyncio.run(execute(server.superuser_url, *(f"ALTER SYSTEM SET {n} = '{v}'" for n, v in settings.items())))
        server.stop()
        server.start()
        admin = server.superuser_url.replace("port=5432", f"port={port}")
        access = pgdata / "pg_hba.conf"
        access.write_text(access.read_text() + ACCESS)
        asyncio.run(execute(admin, f"ALTER ROLE ringback PASSWORD '{PASSWORD}'", "SELECT pg_reload_conf()"))
        yield Remote(port, home)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


async def test_a_verified_connection_is_encrypted(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = remote.url(sslmode="verify-full", sslrootcert=str(remote.home / "ca.crt"))
    pool = await open_pool(url, max_size=2)
    async with connection_of(pool) as connection:
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True
    pool.terminate()


@pytest.mark.parametrize(
    ("host", "query", "said"),
    [
        ("localhost", {"sslmode": "verify-full", "sslrootcert": "{home}/other.crt"}, "certificate is not trusted"),
        ("127.0.0.1", {"sslmode": "verify-full", "sslrootcert": "{home}/ca.crt"}, "certificate is not trusted"),
        ("localhost", {"sslmode": "verify-full", "sslrootcert": "{home}/none.crt"}, "a file that the URL names"),
        ("localhost", {"sslmode": "verify-full", "sslrootcert": "{home}/names"}, "there is no TLS with the server"),
        ("localhost", {"sslmode": "verify-full"}, "sslrootcert names no file with its CA"),
        ("localhost", {"sslmode": "disable"}, "the server refuses the user or the password"),
    ],
)
def test_a_wrong_certificate_is_one_sentence_and_exit_code_2(
    remote: Remote, host: str, query: dict[str, str], said: str
) -> None:
    url = remote.url(host, **{name: value.format(home=remote.home) for name, value in query.items()})
    ended = subprocess.run(
        [sys.executable, "-m", "ringback.cli", "keys", "list"],
        env={"PATH": "/usr/bin", "HOME": str(remote.home), "RINGBACK_DATABASE_URL": url, "PGPASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    [sentence] = ended.stderr.splitlines()
    assert sentence.startswith("the database of RINGBACK_DATABASE_URL cannot be used: ")
    assert said in sentence


async def test_a_server_without_tls_is_named() -> None:
    """A listener answers `N` to the request for TLS, as a PostgreSQL without TLS does over TCP."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(StoreUnavailable, match="or offers no TLS"):
            await open_pool(f"postgresql://u@127.0.0.1:{port}/x?sslmode=require", max_size=1)
