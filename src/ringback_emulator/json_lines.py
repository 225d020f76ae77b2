"""An append-only file of JSON lines that survives a kill -9 of its process."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class JsonLinesFileInUse(Exception):
    """Another process has this file open."""


class JsonLinesFile:
    """One JSON object per line.

    The kernel gets a line in one write, so only a power cut can lose it. Raises JsonLinesFileInUse.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise JsonLinesFileInUse(str(path)) from None
        written = path.read_bytes()
        if not written.endswith(b"\n"):
            # A write was interrupted: the incomplete last line is removed.
            os.ftruncate(self._fd, written.rfind(b"\n") + 1)

    def append(self, record: dict[str, Any]) -> None:
        os.write(self._fd, json.dumps(record, separators=(",", ":")).encode() + b"\n")

    def records(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as lines:
            for line in lines:
                yield json.loads(line)

    def as_items(self) -> bytes:
        """Return all records as the JSON text `{"items": [...]}`, without parsing them."""
        lines = self._path.read_bytes().splitlines()
        return b'{"items":[' + b",".join(lines) + b"]}"

    def close(self) -> None:
        os.close(self._fd)
