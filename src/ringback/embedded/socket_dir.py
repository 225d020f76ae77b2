"""Where the Unix socket lies: beside the data, or in a short private directory if that path is too long."""

import re
import shutil
import tempfile
from pathlib import Path

from ringback.embedded.privileges import Identity

SOCKET_NAME = ".s.PGSQL.5432"
# sun_path holds 107 characters on Linux and 103 on macOS (unix(7)).
LONGEST_SOCKET_PATH = 100
# Not tempfile.gettempdir(): TMPDIR may be long, or closed to the user PostgreSQL runs as.
SHORT_ROOT = Path("/tmp")
RECORD_NAME = "socket-directory"


def prepare_socket_dir(home: Path, identity: Identity) -> Path:
    """A directory (0700) of the identity's own, without leftovers of a killed server.

    The short one is written down in `home`, so that a start after kill -9 uses it again and the URL stays the same.
    """
    beside = home / "socket"
    socket_dir = beside if _fits(beside) else _recorded(home, identity) or _new_short(home)
    socket_dir.mkdir(mode=0o700, exist_ok=True)
    identity.own(socket_dir)
    # The lock file names a pid that may by now be another program's; PostgreSQL would refuse to start.
    for leftover in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (socket_dir / leftover).unlink(missing_ok=True)
    return socket_dir


def discard_short_socket_dir(home: Path) -> None:
    """After a stop nothing of ours stays in the temporary directory."""
    record = home / RECORD_NAME
    if record.exists():
        shutil.rmtree(record.read_text(), ignore_errors=True)
        record.unlink()


def _fits(socket_dir: Path) -> bool:
    # Commas separate hosts in a URL and directories in postgresql.conf; anything unusual goes to the short directory.
    path = str(socket_dir / SOCKET_NAME)
    return len(path) <= LONGEST_SOCKET_PATH and re.fullmatch(r"[A-Za-z0-9/._-]+", path) is not None


def _recorded(home: Path, identity: Identity) -> Path | None:
    record = home / RECORD_NAME
    if not record.exists():
        return None
    socket_dir = Path(record.read_text())
    # Anybody may have made a directory of that name since ours was cleaned away.
    if socket_dir.is_symlink() or not socket_dir.is_dir() or socket_dir.stat().st_uid != identity.file_owner[0]:
        return None
    return socket_dir


def _new_short(home: Path) -> Path:
    socket_dir = Path(tempfile.mkdtemp(prefix="ringback-", dir=SHORT_ROOT))
    (home / RECORD_NAME).write_text(str(socket_dir))
    return socket_dir
