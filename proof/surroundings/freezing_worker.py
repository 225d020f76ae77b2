"""Call processors, each a process of its own, that stop themselves at a named point, as SIGSTOP does."""

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import retell

from ringback.adapters.postgres.groups import Grouping
from ringback.adapters.postgres.store import PostgresStore
from ringback.cli.settings import start_logs
from ringback.config import Settings, process_environment, read_settings
from ringback.failpoints import Failpoint, arm
from ringback.services import call_processor

PR_SET_PDEATHSIG = 1  # prctl(2): what the kernel sends to a child whose parent has ended


def main(workers: str, pid_file: str) -> None:
    """`workers`: JSON, of each its port, the point ("": none), at which of its calls, how many seconds after it. They
    are forks, because eight imports of everything take minutes on a busy machine."""
    assert retell.__name__, "imported here once, for all of them"
    settings = read_settings(process_environment(), emulated=False)
    start_logs(settings)
    pids = [_fork(settings, worker) for worker in json.loads(workers)]
    written = Path(pid_file).with_suffix(".new")
    written.write_text(json.dumps(pids))
    written.rename(pid_file)
    for pid in pids:
        os.waitpid(pid, 0)


def _fork(settings: Settings, worker: Sequence[str | int | float]) -> int:
    parent, pid = os.getpid(), os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        _work(settings, *worker)  # type: ignore[arg-type]
    os._exit(0)


def _work(settings: Settings, port: int, point: str, nth: int, after_s: float) -> None:
    seen = 0

    def freeze(reached: Failpoint) -> None:
        nonlocal seen
        seen += reached == point
        if reached != point or seen != nth:
            return
        if after_s:
            threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGSTOP)).start()
        else:
            os.kill(os.getpid(), signal.SIGSTOP)

    if point.startswith("group."):
        PostgresStore.grouping = Grouping.ALWAYS
    arm(freeze if point else None)
    call_processor.run(settings, "127.0.0.1", port)


if __name__ == "__main__":
    main(*sys.argv[1:])
