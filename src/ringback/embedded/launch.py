"""Start one of PostgreSQL's programs: take an identity, tie its life to the parent, execute. Runs as a script.

This is a process of its own instead of a `preexec_fn`: code between fork and exec may deadlock beside other threads.
Also, the parent-death signal must be set after the credentials have changed, because the kernel then clears it
(prctl(2)). Standard library only: it runs under `python -I -S`, and imports everything before it gives up root.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
CLONE_NEWUSER = 0x10000000  # linux/sched.h; os.unshare exists from Python 3.12 only
# Not the caller's environment: its PGDATA, PGPORT, LC_ALL and TZ would change the server's behaviour.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def main(arguments: list[str]) -> None:
    """Arguments: kind (self, dropped or namespace), uid, gid, the parent's pid, the working directory, the command."""
    kind, uid, gid, parent, directory, *command = arguments
    step = kind
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if kind == "dropped":
            os.setgroups([])
            os.setresgid(int(gid), int(gid), int(gid))
            os.setresuid(int(uid), int(uid), int(uid))
        elif kind == "namespace":
            # Inside, the user has the id `uid`. For files and for the kernel it stays the same (user_namespaces(7)).
            outside_uid, outside_gid = os.geteuid(), os.getegid()
            _check(libc.unshare(CLONE_NEWUSER))
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1")
        step = directory
        os.chdir(directory)
        if sys.platform == "linux":
            # SIGQUIT, the immediate shutdown, always ends, and committed data is replayed from the log. SIGINT, the
            # fast shutdown, hangs in 18.4 if it arrives while the server recovers from a backend's crash (measured).
            _check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0))
            if os.getppid() != int(parent):
                sys.exit("the parent died first")
        os.umask(0o077)
        step = command[0]
        os.execve(command[0], command, ENVIRONMENT)
    except OSError as error:
        sys.exit(f"{step}: {error.strerror}")


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
