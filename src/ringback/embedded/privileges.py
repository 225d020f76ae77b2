"""The user that PostgreSQL runs as.

PostgreSQL refuses root. So root gives it a user id without an account, or becomes `nobody` in a user namespace.
The id is not `nobody`'s, because other programs run as `nobody` and could read the data.
"""

import grp
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ringback.embedded import EmbeddedPostgresError
from ringback.embedded.binaries import Binaries

LAUNCHER = Path(__file__).with_name("launch.py")
#: Debian leaves the ids from 30000 to 59999 free (Debian Policy, section 9.2.2).
LARGEST_ID, SMALLEST_ID = 59_999, 30_000


@dataclass(frozen=True)
class Identity:
    """The ids that the program sees of itself (`uid`, `gid`), and the owner of its files (uid, gid).

    `client` is the account name under which PostgreSQL sees the user that runs Ringback.
    """

    kind: Literal["self", "dropped", "namespace"]
    uid: int
    gid: int
    file_owner: tuple[int, int]
    client: str

    def command(self, directory: Path, program: list[str]) -> list[str]:
        """Build the argument vector that runs `program` in `directory` as this identity. It dies with the caller.

        The death signal belongs to the calling thread: if that thread ends, the program is stopped.
        """
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
        return [*launcher, self.kind, str(self.uid), str(self.gid), str(os.getpid()), str(directory), *program]

    def own(self, path: Path) -> None:
        """Give `path` and all files below it to this identity. Only for directories that we made."""
        status = path.lstat()
        if (status.st_uid, status.st_gid) == self.file_owner or os.geteuid() != 0:
            return
        # The top comes last: its owner shows that the rest is done.
        for folder, folders, files in os.walk(path, topdown=False):
            for name in (*files, *folders):
                os.chown(Path(folder, name), *self.file_owner, follow_symlinks=False)
        os.chown(path, *self.file_owner, follow_symlinks=False)


def choose_identity(binaries: Binaries, directory: Path) -> Identity:
    """Find, as root, an identity that can enter `directory` and execute PostgreSQL. Changes no permissions.

    Raises EmbeddedPostgresError if none can.
    """
    if os.geteuid() != 0:
        own = (os.geteuid(), os.getegid())
        return Identity("self", *own, file_owner=own, client=_account(own[0]))
    # The same id at every start, as long as no account takes it.
    taken = {entry.pw_uid for entry in pwd.getpwall()} | {entry.gr_gid for entry in grp.getgrall()}
    unused = next(number for number in range(LARGEST_ID, SMALLEST_ID, -1) if number not in taken)
    nobody = _nobody()
    refusals = []
    for identity in (
        Identity("dropped", unused, unused, (unused, unused), client=_account(0)),
        # Inside the namespace, ids without a mapping appear as nobody's: root outside is nobody inside.
        Identity("namespace", nobody.pw_uid, nobody.pw_gid, (0, os.getegid()), client=nobody.pw_name),
    ):
        # Only a trial tells: mode bits would miss access lists and containers.
        trial = subprocess.run(
            identity.command(directory, [str(binaries.postgres), "--version"]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if trial.returncode == 0:
            return identity
        refusal = trial.stderr.strip() or f"exit code {trial.returncode}"
        refusals.append(f"as {'another user' if identity.kind == 'dropped' else 'namespace'}: {refusal}")
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and nothing else works here ({'; '.join(refusals)}). Run as an ordinary "
        "user, or let every user enter the directories above the data directory and Python, or allow user "
        "namespaces, or set RINGBACK_DATABASE_URL to a server of yours"
    )


def making_identity(serving: Identity) -> Identity:
    """The identity that makes the data before `serving` owns it.

    `initdb` and the single-user mode look up their user's name (`get_user_name` in PostgreSQL's username.c), so they
    cannot run under an id without an account. The directory has no personal data at that moment.
    """
    if serving.kind != "dropped":
        return serving
    nobody = _nobody()
    return Identity("dropped", nobody.pw_uid, nobody.pw_gid, (nobody.pw_uid, nobody.pw_gid), client=serving.client)


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise EmbeddedPostgresError(
            f"the user id {uid} has no account, and PostgreSQL needs one: run as a user with a name"
        ) from None


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError("run as an ordinary user: there is no user `nobody` to run PostgreSQL as") from None
