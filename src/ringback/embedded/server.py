"""The supervisor of one PostgreSQL: it starts, monitors, restarts and stops the server."""

import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from ringback.embedded import EmbeddedPostgresError
from ringback.embedded.binaries import Binaries, find_binaries
from ringback.embedded.cluster import DATABASE, ROLE, SUPERUSER, Cluster, private_opener
from ringback.embedded.data_dir import DataDirectoryLock
from ringback.embedded.privileges import Identity, choose_identity, making_identity
from ringback.embedded.processes import FAST_SHUTDOWN_TAKES_S, KILL_TAKES_S, end_leftovers, is_ready, take_over

POLL_S = 0.005
LARGEST_LOG_BYTES = 10_000_000
SOCKET_NAME = ".s.PGSQL.5432"
# sun_path has 107 characters on Linux and 103 on macOS (unix(7)).
LONGEST_SOCKET_PATH = 100
# Not tempfile.gettempdir(): TMPDIR may be long, or closed to the user PostgreSQL runs as.
SHORT_ROOT = Path("/tmp")
RECORD_NAME = "socket-directory"


class PostgresServer:
    """The PostgreSQL below `<data_dir>/postgres`, a direct child of this process that dies with it.

    `start` and `stop` block, and are not for two threads at once. `start` locks the directory, so a second supervisor
    gets DataDirectoryInUse and never ends a server that has an owner.
    """

    def __init__(self, data_dir: Path, binaries: Binaries | None = None) -> None:
        self._cluster = Cluster(data_dir.resolve() / "postgres")
        self._binaries = binaries
        self._lock = DataDirectoryLock(self._cluster.home)
        self._child: subprocess.Popen[bytes] | None = None
        self._url = ""
        self._superuser_url = ""

    @property
    def superuser_url(self) -> str:
        """The superuser's URL of the database, for maintenance and never for the product. Empty before `start`."""
        return self._superuser_url

    @property
    def pid(self) -> int | None:
        """The pid of the live postmaster, or None."""
        return self._child.pid if self._child is not None and self.is_alive() else None

    @property
    def log_file(self) -> Path:
        return self._cluster.log_file

    def is_alive(self) -> bool:
        """Whether the postmaster runs. Cheap enough to poll."""
        return self._child is not None and self._child.poll() is None

    def start(self, *, timeout_s: float = 120.0) -> str:
        """Start the server and return the URL for the product's role. Makes the data if needed.

        If the server runs, only returns the URL. Recovers after any kind of death; `timeout_s` limits that wait. Call
        from the main thread: the kernel ties the child's life to the thread that started it, not to the process
        (prctl(2), PR_SET_PDEATHSIG). Raises DataDirectoryInUse, BinariesNotFound, EmbeddedPostgresError.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("start PostgreSQL from the main thread: it is stopped when its starting thread ends")
        if self.is_alive():
            return self._url
        self._lock.acquire()
        try:
            self._launch()
            self._wait_until_ready(timeout_s)
        except BaseException:
            # The socket's directory stays: a later try must have the same URL.
            self._end_child(FAST_SHUTDOWN_TAKES_S)
            self._lock.release()
            raise
        return self._url

    def _launch(self) -> None:
        cluster = self._cluster
        # PostgreSQL's user may enter this directory but not list it. Data and socket are 0700.
        cluster.home.chmod(0o711)
        binaries = self._binaries or find_binaries(major=cluster.major())
        identity = choose_identity(binaries, cluster.home)
        making = making_identity(identity)
        cluster.make(binaries, making)
        take_over(cluster.pgdata)
        cluster.give_to_role(binaries, making)
        identity.own(cluster.pgdata)
        socket_dir = prepare_socket_dir(cluster.home, identity)
        cluster.configure(binaries, identity, socket_dir)
        target = f"/{DATABASE}?host={quote(str(socket_dir))}&port=5432"
        self._url, self._superuser_url = f"postgresql://{ROLE}@{target}", f"postgresql://{SUPERUSER}@{target}"
        if cluster.log_file.exists() and cluster.log_file.stat().st_size > LARGEST_LOG_BYTES:
            cluster.log_file.replace(cluster.log_file.with_suffix(".log.1"))
        with open(cluster.log_file, "ab", opener=private_opener) as log:
            self._child = subprocess.Popen(
                identity.command(cluster.pgdata, [str(binaries.postgres), "-D", str(cluster.pgdata)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its own session: Ctrl-C at the terminal reaches only us, and we stop the server last.
                start_new_session=True,
            )

    def _wait_until_ready(self, timeout_s: float) -> None:
        assert self._child is not None
        deadline = time.monotonic() + timeout_s
        while not is_ready(self._cluster.pgdata, self._child.pid):
            if self._child.poll() is not None:
                last_lines = self.log_file.read_text(errors="replace").splitlines()[-5:]
                raise EmbeddedPostgresError(
                    f"PostgreSQL ended with {self._child.returncode} while starting; the end of {self.log_file}:\n"
                    + "\n".join(last_lines)
                )
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL was not ready within {timeout_s:g} s; see {self.log_file}")
            time.sleep(POLL_S)

    def stop(self, *, timeout_s: float = FAST_SHUTDOWN_TAKES_S) -> None:
        """Shut down fast: open transactions are rolled back. Kill after `timeout_s`. A second call does nothing."""
        if self._child is not None:
            self._end_child(timeout_s)
            discard_short_socket_dir(self._cluster.home)
        self._lock.release()

    def _end_child(self, timeout_s: float) -> None:
        if self._child is None:
            return
        signals = ((signal.SIGINT, timeout_s), (signal.SIGQUIT, KILL_TAKES_S), (signal.SIGKILL, KILL_TAKES_S))
        for number, wait_s in signals:
            self._child.send_signal(number)
            try:
                self._child.wait(wait_s)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            raise EmbeddedPostgresError(f"PostgreSQL process {self._child.pid} does not die")
        end_leftovers(self._cluster.pgdata)
        self._child = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def prepare_socket_dir(home: Path, identity: Identity) -> Path:
    """Make the socket's directory (0700) for the identity, without leftovers of a killed server.

    It is beside the data, or in a short private directory if that path is too long. `home` records the short one, so
    a start after kill -9 uses it again and the URL stays the same.
    """
    beside = home / "socket"
    path = str(beside / SOCKET_NAME)
    # Commas separate hosts in a URL and directories in postgresql.conf. An unusual path gets the short directory.
    fits = len(path) <= LONGEST_SOCKET_PATH and re.fullmatch(r"[A-Za-z0-9/._-]+", path)
    socket_dir, record = beside if fits else None, home / RECORD_NAME
    if socket_dir is None and record.exists():
        recorded = Path(record.read_text())
        # Another user may have made a directory of that name after ours was removed.
        if recorded.is_dir() and not recorded.is_symlink() and recorded.stat().st_uid == identity.file_owner[0]:
            socket_dir = recorded
    if socket_dir is None:
        socket_dir = Path(tempfile.mkdtemp(prefix="ringback-", dir=SHORT_ROOT))
        record.write_text(str(socket_dir))
    socket_dir.mkdir(mode=0o700, exist_ok=True)
    identity.own(socket_dir)
    # The pid in the lock file may be another program's by now, and PostgreSQL would refuse to start.
    for leftover in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (socket_dir / leftover).unlink(missing_ok=True)
    return socket_dir


def discard_short_socket_dir(home: Path) -> None:
    """Remove the short socket directory after a stop."""
    record = home / RECORD_NAME
    if record.exists():
        shutil.rmtree(record.read_text(), ignore_errors=True)
        record.unlink()
