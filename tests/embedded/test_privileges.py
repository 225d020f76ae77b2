import os
import shutil
from pathlib import Path

import pytest

from ringback.embedded.binaries import find_binaries
from ringback.embedded.errors import EmbeddedPostgresError
from ringback.embedded.privileges import choose_identity
from ringback.embedded.server import PostgresServer

pytestmark = pytest.mark.usefixtures("as_root")


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


async def test_root_becomes_nobody_where_nobody_may_enter(ask, server_at, open_dir):
    server = server_at(open_dir)
    url = server.start()
    assert Path("/proc", str(server.pid)).stat().st_uid != 0
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
    for mode, kind in ((0o700, "namespace"), (0o755, "nobody")):
        server.stop()
        open_dir.chmod(mode)
        assert await ask(server.start(), "SELECT x FROM kept_5") == 7
        assert choose_identity(find_binaries(), open_dir).kind == kind
    server.stop()


def test_where_neither_works_the_error_says_what_to_do(open_dir):
    os.chown(open_dir, 1234, 1234)
    open_dir.chmod(0o700)
    with pytest.raises(
        EmbeddedPostgresError, match=r"as nobody: .*Permission.*as namespace: .*Run as an ordinary user"
    ):
        PostgresServer(open_dir).start()
