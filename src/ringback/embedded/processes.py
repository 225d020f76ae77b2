"""Find and end PostgreSQL processes that outlived their supervisor."""

import os
import signal
import time
from pathlib import Path

from ringback.embedded import EmbeddedPostgresError

PROC = Path("/proc")
PROGRAMS = {"postgres", "initdb"}
POLL_S = 0.01
# A backend notices its postmaster's death at its next wait, but not while it computes.
BACKENDS_NOTICE_S = 0.5
KILL_TAKES_S = 5.0
# A longer limit is not safer: SIGQUIT loses nothing either, and a fast shutdown can hang (see launch.py).
FAST_SHUTDOWN_TAKES_S = 5.0


def postgres_processes(pgdata: Path) -> list[int]:
    """Return the pids of all PostgreSQL programs in the working directory `pgdata`. Empty without /proc."""
    try:
        wanted = pgdata.stat()
    except FileNotFoundError:
        return []
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            # An upgrade of the wheel leaves "…/postgres (deleted)" behind.
            program = os.readlink(entry / "exe").removesuffix(" (deleted)")
            if Path(program).name in PROGRAMS and os.path.samestat(os.stat(entry / "cwd"), wanted):
                found.append(int(entry.name))
        except OSError:
            continue  # ended, a zombie, or another user's
    return found


def postmaster_pid(pgdata: Path) -> int | None:
    """Return line 1 of postmaster.pid. That process may be dead."""
    first, _ = _pid_file(pgdata)
    return int(first) if first.isdigit() else None


def is_ready(pgdata: Path, pid: int) -> bool:
    """Whether the postmaster `pid` accepts connections: line 8 of postmaster.pid (PostgreSQL's utils/pidfile.h)."""
    return _pid_file(pgdata) == (str(pid), "ready")


def _pid_file(pgdata: Path) -> tuple[str, str]:
    try:
        lines = (pgdata / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return "", ""
    return lines[0].strip(), lines[7].strip() if len(lines) > 7 else ""


def take_over(pgdata: Path, *, timeout_s: float = FAST_SHUTDOWN_TAKES_S) -> None:
    """End the processes of an earlier supervisor in `pgdata` and remove a stale postmaster.pid.

    The caller holds the data directory's lock, so these processes have no owner. Without /proc (macOS) nothing is done:
    PostgreSQL checks its pid file itself. Raises EmbeddedPostgresError if a process does not die.
    """
    if not (PROC / "self").exists():
        return
    orphan = postmaster_pid(pgdata)
    if orphan is not None and orphan in postgres_processes(pgdata):
        # SIGINT rolls back and writes a checkpoint. SIGQUIT does neither. Both keep all committed data.
        for number, wait_s in ((signal.SIGINT, timeout_s), (signal.SIGQUIT, KILL_TAKES_S)):
            _signal(orphan, number)
            if _wait_until_gone(pgdata, orphan, wait_s):
                break
        else:
            _signal(orphan, signal.SIGKILL)
    end_leftovers(pgdata)
    (pgdata / "postmaster.pid").unlink(missing_ok=True)


def end_leftovers(pgdata: Path) -> None:
    """Kill the leftovers of a dead postmaster or initdb. They would keep the shared memory and block the next start."""
    if _wait_until_gone(pgdata, None, BACKENDS_NOTICE_S):
        return
    for pid in postgres_processes(pgdata):
        _signal(pid, signal.SIGKILL)
    if not _wait_until_gone(pgdata, None, KILL_TAKES_S):
        left = ", ".join(map(str, postgres_processes(pgdata)))
        raise EmbeddedPostgresError(f"PostgreSQL processes of {pgdata} do not die: {left}")


def _wait_until_gone(pgdata: Path, pid: int | None, wait_s: float) -> bool:
    """Wait until a process has ended. `pid` None: all processes of `pgdata`. False: the time is over."""
    deadline = time.monotonic() + wait_s
    while True:
        left = postgres_processes(pgdata)
        if not (left if pid is None else pid in left):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise EmbeddedPostgresError(f"PostgreSQL process {pid} belongs to another user; stop it first") from None
