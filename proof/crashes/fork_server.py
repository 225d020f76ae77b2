"""One process that has imported everything once, and forks a child for each life: single-threaded, with no event loop.

Lines of JSON on stdin: `{"fork": id, "role": "product" or "emulators", "spec": {…}, "log": path}` and `{"kill": id}`.
Lines on stdout: `{"id", "says": "forked"|"ready"|"reached"|"ended", …}`; the children write there as well. When
stdin ends, every child is killed.
"""

import ctypes
import gc
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from proof.crashes import emulated, product

Tell = Callable[..., None]
_ROLES: Mapping[str, Callable[[dict[str, Any], Tell], None]] = {"product": product.live, "emulators": emulated.live}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def teller(file_descriptor: int, child_id: int) -> Tell:
    """Each line goes out in one write below PIPE_BUF, so lines of several processes never mix."""

    def tell(says: str, **more: object) -> None:
        line = json.dumps({"id": child_id, "says": says, **more}).encode()
        os.write(file_descriptor, line[:4000] + b"\n")

    return tell


class ForkServer:
    """Children by their id. Only pids that were not yet waited for are ever signalled."""

    def __init__(self, commands: int, reports: int) -> None:
        self._commands = commands
        self._reports = reports
        self._pids: dict[int, int] = {}
        self._wakeup, self._woken = os.pipe()

    def serve(self) -> None:
        os.set_blocking(self._woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        teller(self._reports, 0)("ready")
        pending = b""
        while True:
            readable, _, _ = select.select([self._commands, self._wakeup], [], [])
            if self._wakeup in readable:
                os.read(self._wakeup, 4096)
            self._reap()
            if self._commands in readable:
                read = os.read(self._commands, 65536)
                if not read:
                    return
                *lines, pending = (pending + read).split(b"\n")
                for line in lines:
                    self._execute(json.loads(line))

    def end(self) -> None:
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids.values():
            os.waitpid(pid, 0)

    def _execute(self, command: dict[str, Any]) -> None:
        if "kill" in command:
            if (pid := self._pids.get(command["kill"])) is not None:
                os.kill(pid, signal.SIGKILL)
            return
        child_id = command["fork"]
        pid = os.fork()
        if pid == 0:
            self._become(child_id, command)
        self._pids[child_id] = pid
        teller(self._reports, child_id)("forked", pid=pid)

    def _reap(self) -> None:
        for child_id, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._pids[child_id]
                teller(self._reports, child_id)("ended", status=os.waitstatus_to_exitcode(status))

    def _become(self, child_id: int, command: dict[str, Any]) -> None:
        """Never returns."""
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            reports = os.dup(self._reports)
            log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            nothing = os.open(os.devnull, os.O_RDWR)
            for opened, standard in ((nothing, 0), (nothing, 1), (log, 2)):
                os.dup2(opened, standard)
            _ROLES[command["role"]](command["spec"], teller(reports, child_id))
        except BaseException:  # noqa: BLE001 - a child must never run on as a second fork server
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(70)


def main() -> None:
    product.import_everything()
    emulated.import_everything()
    # The children's collector skips frozen objects, and their memory stays shared.
    gc.collect()
    gc.freeze()
    server = ForkServer(sys.stdin.fileno(), os.dup(sys.stdout.fileno()))
    try:
        server.serve()
    finally:
        server.end()


if __name__ == "__main__":
    main()
