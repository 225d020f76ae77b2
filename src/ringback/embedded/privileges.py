"""Who PostgreSQL runs as: itself refuses root, so root becomes `nobody`, or is called so in a user namespace."""

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ringback.embedded.binaries import Binaries
from ringback.embedded.errors import EmbeddedPostgresError

LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Identity:
    """`uid` and `gid` are what the program sees of itself, `file_owner` (uid, gid) who its files belong to."""

    kind: Literal["self", "nobody", "namespace"]
    uid: int
    gid: int
    file_owner: tuple[int, int]

    def command(self, directory: Path, program: list[str]) -> list[str]:
        """The argument vector that runs `program` in `directory` as this identity, and dies with the caller.

        The death signal belongs to the calling thread: if that thread ends, the program is stopped.
        """
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
        return [*launcher, self.kind, str(self.uid), str(self.gid), str(os.getpid()), str(directory), *program]

    def own(self, path: Path) -> None:
        """Gives `path` and all below it to this identity, if it is not; only for directories of our own making."""
        status = path.lstat()
        if (status.st_uid, status.st_gid) == self.file_owner or os.geteuid() != 0:
            return
        # The top comes last: its owner says that the rest is done.
        for folder, folders, files in os.walk(path, topdown=False):
            for name in (*files, *folders):
                os.chown(Path(folder, name), *self.file_owner, follow_symlinks=False)
        os.chown(path, *self.file_owner, follow_symlinks=False)


def choose_identity(binaries: Binaries, directory: Path) -> Identity:
    """Tries, as root, which identity can both enter `directory` and execute PostgreSQL; never changes permissions.

    Raises EmbeddedPostgresError if none can.
    """
    me = (os.geteuid(), os.getegid())
    if me[0] != 0:
        return Identity("self", *me, file_owner=me)
    nobody = _nobody()
    refusals = []
    for identity in (
        Identity("nobody", *nobody, file_owner=nobody),
        Identity("namespace", *nobody, file_owner=me),
    ):
        refusal = _refusal(identity, binaries, directory)
        if refusal is None:
            return identity
        refusals.append(f"as {identity.kind}: {refusal}")
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and nothing else works here ({'; '.join(refusals)}). Run as an ordinary "
        "user, or let every user enter the directories above the data directory and Python, or allow user "
        "namespaces, or set RINGBACK_DATABASE_URL to a server of yours"
    )


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError("run as an ordinary user: there is no user `nobody` to run PostgreSQL as") from None
    return entry.pw_uid, entry.pw_gid


def _refusal(identity: Identity, binaries: Binaries, directory: Path) -> str | None:
    """None if it works. Tried and not computed from mode bits: access lists and container limits count too."""
    trial = subprocess.run(
        identity.command(directory, [str(binaries.postgres), "--version"]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return None if trial.returncode == 0 else trial.stderr.strip() or f"exit code {trial.returncode}"
