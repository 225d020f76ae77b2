import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ringback.embedded import EmbeddedPostgresError
from ringback.embedded.binaries import find_binaries
from ringback.embedded.privileges import choose_identity
from ringback.embedded.server import PostgresServer

pytestmark = pytest.mark.usefixtures("as_root")


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


async def test_root_gives_the_server_a_user_id_that_no_account_has(ask, server_at, open_dir):
    server = server_at(open_dir)
    url = server.start()
    uid = Path("/proc", str(server.pid)).stat().st_uid
    assert uid not in {entry.pw_uid for entry in pwd.getpwall()}
    assert owner(open_dir) == (0, 0)
    assert owner(open_dir / "postgres" / "pgdata") == owner(Path("/proc", str(server.pid)))
    assert await ask(url, "SELECT 1") == 1
    server.stop()


async def test_below_a_private_directory_root_uses_a_user_namespace(ask, server_at, tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = server_at(private / "data")
    url = server.start()
    assert Path("/proc", str(server.pid), "uid_map").read_text().split() == ["65534", "0", "1"]
    assert owner(private / "data" / "postgres" / "pgdata") == (0, 0)
    assert await ask(url, "SELECT 1") == 1
    assert private.stat().st_mode & 0o777 == 0o700


async def test_programs_below_a_private_directory_use_a_user_namespace(ask, server_at, open_dir, tmp_path):
    private = tmp_path / "root"
    private.mkdir(mode=0o700)
    install = find_binaries().bin_dir.parent
    shutil.copytree(install, private / "pginstall18", ignore=shutil.ignore_patterns("include", "*.a", "pg_*"))
    server = server_at(open_dir, find_binaries(private / "pginstall18" / "bin"))
    assert await ask(server.start(), "SELECT 1") == 1
    assert Path("/proc", str(server.pid), "exe").resolve().is_relative_to(private)
    assert owner(open_dir / "postgres" / "pgdata") == (0, 0)


async def test_data_changes_hands_when_the_directory_above_is_closed_or_opened(ask, server_at, open_dir):
    server = server_at(open_dir)
    await ask(server.start(), "CREATE TABLE kept_5 AS SELECT 7 AS x")
    for mode, kind in ((0o700, "namespace"), (0o755, "dropped")):
        server.stop()
        open_dir.chmod(mode)
        assert await ask(server.start(), "SELECT x FROM kept_5") == 7
        assert choose_identity(find_binaries(), open_dir).kind == kind
    server.stop()


def test_the_error_names_the_remedies_if_neither_works(open_dir):
    os.chown(open_dir, 1234, 1234)
    open_dir.chmod(0o700)
    with pytest.raises(
        EmbeddedPostgresError, match=r"as another user: .*Permission.*as namespace: .*Run as an ordinary user"
    ):
        PostgresServer(open_dir).start()


READ_AS_NOBODY = """
import asyncio, asyncpg, os, sys
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
refused = []
for name in sys.argv[3:]:
    try:
        open(name, "rb").read(1)
    except PermissionError:
        refused.append(name)
for url in sys.argv[1:3]:
    try:
        asyncio.run(asyncpg.connect(url))
    except (OSError, asyncpg.PostgresError) as error:
        refused.append(type(error).__name__)
print(len(refused))
"""


def test_a_program_that_runs_as_nobody_reads_neither_the_files_nor_the_database(server_at, open_dir):
    server = server_at(open_dir)
    url = server.start()
    pgdata = open_dir / "postgres" / "pgdata"
    files = [pgdata / "PG_VERSION", pgdata / "pg_hba.conf", pgdata / "global" / "pg_control"]
    command = [sys.executable, "-c", READ_AS_NOBODY, url, server.superuser_url, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == ("5", "")
    # The socket's directory is closed. Were it open, PostgreSQL itself would refuse.
    socket_dir = Path(parse_qs(urlsplit(url).query)["host"][0])
    socket_dir.chmod(0o777)
    (socket_dir / ".s.PGSQL.5432").chmod(0o777)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == ("5", "")
