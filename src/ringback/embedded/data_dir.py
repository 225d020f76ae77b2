"""The lock of a data directory: one owner at a time, also after a kill -9."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ringback.embedded import EmbeddedPostgresError

LOCK_FILE = "lock"


class DataDirectoryInUse(EmbeddedPostgresError):
    """Another live process owns the directory. `pid` is None if that process has not written it yet."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        super().__init__(f"{data_dir} is in use by process {pid if pid is not None else '(unknown)'}")
        self.data_dir = data_dir
        self.pid = pid


class DataDirectoryLock:
    """A flock on `<data-dir>/lock`, whose text is the owner's pid.

    The kernel drops the lock at any death of the owner. The file stays: without it, two processes could lock two
    different files of the same name.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._file: int | None = None

    def acquire(self) -> None:
        """Lock the directory, and make it if needed. Does nothing twice. Raises DataDirectoryInUse or its parent."""
        if self._file is not None:
            return
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            file = os.open(self._data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except PermissionError as error:
            raise EmbeddedPostgresError(
                f"{self._data_dir} is not writable ({error}): use the user that made it, or another directory"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise DataDirectoryInUse(self._data_dir, self._owner()) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def _owner(self) -> int | None:
        # Between an owner's flock and its write, the text is empty or names a killed owner.
        for _ in range(20):
            text = (self._data_dir / LOCK_FILE).read_text().strip()
            if text.isdigit():
                try:
                    os.kill(int(text), 0)
                    return int(text)
                except PermissionError:
                    return int(text)
                except ProcessLookupError:
                    pass
            time.sleep(0.01)
        return None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
