"""The key to the hashes of erased people, in a file of the data directory and outside its database."""

import os
import secrets
from pathlib import Path

FILE = "erasure.key"


def read_erasure_key(data_dir: Path) -> tuple[str, ...]:
    """Empty if there is none yet."""
    try:
        return (((data_dir / FILE).read_text()).strip(),)
    except FileNotFoundError:
        return ()


def make_erasure_key(data_dir: Path) -> tuple[str, ...]:
    """The one that is there, else a new one, mode 0600. It is never replaced: what it hashed would be lost."""
    draft = data_dir / f"{FILE}.new"
    if not (data_dir / FILE).exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(data_dir / FILE)
    return read_erasure_key(data_dir)
