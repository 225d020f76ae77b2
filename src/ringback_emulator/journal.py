"""An append-only file of JSON lines: what was written before a kill -9 is there after it."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class JournalInUse(Exception):
    """Another process holds this journal open."""


class Journal:
    """One JSON object per line. A line is handed to the kernel in one write, so only a power cut can lose it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise JournalInUse(str(path)) from None
        self._drop_torn_line()

    def append(self, record: dict[str, Any]) -> None:
        os.write(self._fd, json.dumps(record, separators=(",", ":")).encode() + b"\n")

    def records(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as lines:
            for line in lines:
                yield json.loads(line)

    def as_items(self) -> bytes:
        """The JSON text `{"items": [...]}` of everything written, without parsing it."""
        lines = self._path.read_bytes().splitlines()
        return b'{"items":[' + b",".join(lines) + b"]}"

    def close(self) -> None:
        os.close(self._fd)

    def _drop_torn_line(self) -> None:
        written = self._path.read_bytes()
        if not written.endswith(b"\n"):
            os.ftruncate(self._fd, written.rfind(b"\n") + 1)
