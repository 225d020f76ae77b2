"""The data directory of the embedded PostgreSQL: made completely or not at all, and configured before every start."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ringback.embedded import EmbeddedPostgresError
from ringback.embedded.binaries import Binaries
from ringback.embedded.privileges import Identity
from ringback.embedded.processes import end_leftovers

# Parallel queries ask /dev/shm for tens of megabytes; containers often have 64 MB of it.
SMALLEST_DEV_SHM_BYTES = 256 * 1024 * 1024

DATABASE = "ringback"
SUPERUSER = "postgres"
#: The product's own role. It owns the database and is no superuser.
ROLE = "ringback"
#: The kernel tells PostgreSQL which user connects, so no password is stored (PostgreSQL's documentation, 20.9).
HOST_BASED_AUTHENTICATION = "local all all peer map=ringback\n"

MAKING = "pgdata.making."
MAKING_TAKES_S = 300.0
# In single-user mode, one command is one line. The superuser owns the objects of an earlier version.
_OWN_DATABASE = [
    f"DO $$ BEGIN IF to_regrole('{ROLE}') IS NULL THEN CREATE ROLE {ROLE} LOGIN; END IF; END $$",
    f"ALTER DATABASE {DATABASE} OWNER TO {ROLE}",
    """DO $$ DECLARE change text; BEGIN FOR change IN
        SELECT format('ALTER %s %s OWNER TO ringback', kind, name) FROM (
            SELECT 'TABLE' AS kind, oid::regclass::text AS name FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
            UNION ALL SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace) AS owned
        LOOP EXECUTE change; END LOOP; END $$""",
]


@dataclass(frozen=True)
class Cluster:
    """`home` holds all files of the embedded server: data, socket, log, lock."""

    home: Path

    @property
    def pgdata(self) -> Path:
        """The data directory. It is made under another name and renamed when complete, so it exists only complete."""
        return self.home / "pgdata"

    @property
    def log_file(self) -> Path:
        return self.home / "server.log"

    def major(self) -> int | None:
        """Return the major version that made the data. None: there was no first start."""
        try:
            return int((self.pgdata / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"{self.pgdata} belongs to another user (was it started as root before?): use that user, or another "
                "data directory"
            ) from error

    def make(self, binaries: Binaries, identity: Identity) -> None:
        """Make the data directory with the database `ringback` unless it exists. Remove an incomplete one."""
        if self.pgdata.exists():
            return
        for incomplete in self.home.glob(f"{MAKING}*"):
            end_leftovers(incomplete)
            shutil.rmtree(incomplete, ignore_errors=True)
        # A new name, so that a dying initdb of an earlier try can damage only its own directory.
        making = Path(tempfile.mkdtemp(prefix=MAKING, dir=self.home))
        identity.own(making)
        options = ["--encoding=UTF8", "--locale=C", "--auth=peer", f"--username={SUPERUSER}", "--data-checksums"]
        _run(identity, making, [str(binaries.initdb), "-D", str(making), *options])
        _single_user(binaries, identity, making, "postgres", [f"CREATE DATABASE {DATABASE}"])
        _single_user(binaries, identity, making, DATABASE, _OWN_DATABASE)
        _replace(making / "pg_hba.conf", HOST_BASED_AUTHENTICATION, identity)
        making.rename(self.pgdata)
        folder = os.open(self.home, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def give_to_role(self, binaries: Binaries, identity: Identity) -> None:
        """Make the role and give it the database that an earlier version's superuser owns.

        No server may run on the data. Does nothing if pg_hba.conf already names the role.
        """
        if HOST_BASED_AUTHENTICATION in (self.pgdata / "pg_hba.conf").read_text():
            return
        identity.own(self.pgdata)
        _single_user(binaries, identity, self.pgdata, DATABASE, _OWN_DATABASE)

    def configure(self, binaries: Binaries, identity: Identity, socket_dir: Path) -> None:
        """Write PostgreSQL's three configuration files. Each write is atomic: a file has the old or the new text."""
        text = server_configuration(socket_dir=socket_dir, lz4=binaries.has_lz4(), shared_memory=shared_memory_type())
        _replace(self.pgdata / "postgresql.conf", text, identity)
        _replace(self.pgdata / "pg_ident.conf", user_name_map(identity.client), identity)
        _replace(self.pgdata / "pg_hba.conf", HOST_BASED_AUTHENTICATION, identity)


def _single_user(
    binaries: Binaries, identity: Identity, pgdata: Path, database: str, statements: Sequence[str]
) -> None:
    program = [str(binaries.postgres), "--single", "-c", "exit_on_error=true", "-D", str(pgdata), database]
    _run(identity, pgdata, program, "".join(" ".join(one.split()) + "\n" for one in statements))


def _run(identity: Identity, directory: Path, program: list[str], stdin: str = "") -> None:
    done = subprocess.run(
        identity.command(directory, program),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=MAKING_TAKES_S,
        start_new_session=True,
        check=False,
    )
    if done.returncode != 0:
        reason = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise EmbeddedPostgresError(f"{Path(program[0]).name} failed with {done.returncode}: {reason}")


def _replace(path: Path, text: str, identity: Identity) -> None:
    fresh = path.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    with open(fresh, "x", opener=private_opener) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    identity.own(fresh)
    fresh.replace(path)


def private_opener(path: str, flags: int) -> int:
    """Open a file for `open`. A new file is readable only by its owner."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def user_name_map(client: str) -> str:
    """Build pg_ident.conf. Only the user that runs Ringback may be the role and the superuser.

    `client` is that user's account name.
    """
    quoted = '"' + client.replace('"', '""') + '"'
    return "".join(f"ringback {quoted} {role}\n" for role in (ROLE, SUPERUSER))


def server_configuration(*, socket_dir: Path, lz4: bool, shared_memory: str) -> str:
    """Build postgresql.conf. A number of megabytes is written with its unit."""
    settings = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": str(socket_dir),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "huge_pages": "off",
        "dynamic_shared_memory_type": shared_memory,
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "wal_compression": "lz4" if lz4 else "on",
        "max_wal_size": "1GB",
        "autovacuum": "on",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
        # An error's text, statement and detail quote column values, including phone numbers. The client gets them in
        # full. The server log records only the server's own events.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    quoted = {name: re.sub(r"(['\\])", r"\1\1", value) for name, value in settings.items()}
    return "".join(f"{name} = '{value}'\n" for name, value in quoted.items())


def shared_memory_type(dev_shm: Path = Path("/dev/shm")) -> str:
    """Return `posix`, or `mmap` (files in the data directory) if /dev/shm is missing or small."""
    try:
        space = os.statvfs(dev_shm)
    except OSError:
        return "mmap"
    return "posix" if space.f_bavail * space.f_frsize >= SMALLEST_DEV_SHM_BYTES else "mmap"
