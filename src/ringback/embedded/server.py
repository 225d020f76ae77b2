"""Supervises one PostgreSQL: starts it, knows whether it lives, starts it again, stops it."""

import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from ringback.embedded.binaries import Binaries, find_binaries
from ringback.embedded.cluster import Cluster, private_opener
from ringback.embedded.configuration import DATABASE, ROLE, SUPERUSER
from ringback.embedded.data_dir import DataDirectoryLock
from ringback.embedded.errors import EmbeddedPostgresError
from ringback.embedded.privileges import choose_identity, making_identity
from ringback.embedded.processes import FAST_SHUTDOWN_TAKES_S, KILL_TAKES_S, end_left_over, is_ready, take_over
from ringback.embedded.socket_dir import discard_short_socket_dir, prepare_socket_dir

POLL_S = 0.005
LARGEST_LOG_BYTES = 10_000_000


class PostgresServer:
    """The PostgreSQL below `<data_dir>/postgres`, a direct child of this process that dies with it.

    `start` and `stop` block; neither is for two threads at once. `start` takes a lock of its own, so a second
    supervisor of the same directory gets DataDirectoryInUse and never ends a server that has an owner.
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
        """The same database for its administrator: for maintenance, never for the product. Empty before `start`."""
        return self._superuser_url

    @property
    def pid(self) -> int | None:
        """The postmaster's, while it lives."""
        return self._child.pid if self._child is not None and self.is_alive() else None

    @property
    def log_file(self) -> Path:
        return self._cluster.log_file

    def is_alive(self) -> bool:
        """Whether the postmaster runs; cheap, meant to be polled."""
        return self._child is not None and self._child.poll() is None

    def start(self, *, timeout_s: float = 120.0) -> str:
        """Makes the data if needed, recovers after any kind of death, returns the URL for the product's role.

        Does nothing but return the URL if the server runs. Call it from the main thread: the kernel ties the child's
        life to the thread that started it, not to the process (prctl(2), PR_SET_PDEATHSIG). `timeout_s` bounds the
        wait for crash recovery. Raises DataDirectoryInUse, BinariesNotFound, EmbeddedPostgresError.
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
            # The socket's directory stays: a later try has to answer at the same URL.
            self._end_child(FAST_SHUTDOWN_TAKES_S)
            self._lock.release()
            raise
        return self._url

    def _launch(self) -> None:
        cluster = self._cluster
        # PostgreSQL's user may pass through to its data, and list nothing here; data and socket are 0700.
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
        place = f"/{DATABASE}?host={quote(str(socket_dir))}&port=5432"
        self._url, self._superuser_url = f"postgresql://{ROLE}@{place}", f"postgresql://{SUPERUSER}@{place}"
        _rotate(cluster.log_file)
        with open(cluster.log_file, "ab", opener=private_opener) as log:
            self._child = subprocess.Popen(
                identity.command(cluster.pgdata, [str(binaries.postgres), "-D", str(cluster.pgdata)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A session of its own: Ctrl-C at the terminal reaches us alone, and we stop it when all else has.
                start_new_session=True,
            )

    def _wait_until_ready(self, timeout_s: float) -> None:
        assert self._child is not None
        deadline = time.monotonic() + timeout_s
        while not is_ready(self._cluster.pgdata, self._child.pid):
            if self._child.poll() is not None:
                raise EmbeddedPostgresError(
                    f"PostgreSQL ended with {self._child.returncode} while starting; the end of {self.log_file}:\n"
                    + _tail(self.log_file)
                )
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL was not ready within {timeout_s:g} s; see {self.log_file}")
            time.sleep(POLL_S)

    def stop(self, *, timeout_s: float = FAST_SHUTDOWN_TAKES_S) -> None:
        """Fast shutdown (open transactions are rolled back), harder after `timeout_s`; a second call does nothing."""
        if self._child is not None:
            self._end_child(timeout_s)
            discard_short_socket_dir(self._cluster.home)
        self._lock.release()

    def _end_child(self, timeout_s: float) -> None:
        if self._child is not None:
            _end(self._child, timeout_s)
            end_left_over(self._cluster.pgdata)
            self._child = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _end(child: subprocess.Popen[bytes], timeout_s: float) -> None:
    for number, wait_s in (
        (signal.SIGINT, timeout_s),
        (signal.SIGQUIT, KILL_TAKES_S),
        (signal.SIGKILL, KILL_TAKES_S),
    ):
        child.send_signal(number)
        try:
            child.wait(wait_s)
            return
        except subprocess.TimeoutExpired:
            continue
    raise EmbeddedPostgresError(f"PostgreSQL process {child.pid} does not die")


def _rotate(log_file: Path) -> None:
    if log_file.exists() and log_file.stat().st_size > LARGEST_LOG_BYTES:
        log_file.replace(log_file.with_suffix(".log.1"))


def _tail(log_file: Path) -> str:
    return "\n".join(log_file.read_text(errors="replace").splitlines()[-5:])
