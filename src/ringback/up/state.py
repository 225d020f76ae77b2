"""The files that `up` keeps in a data directory, so that the next start has the same keys and ports."""

import base64
import contextlib
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ringback.domain.errors import StartRefused

UP_FILE = "up.json"
#: The key to the hashes of erased people. It is outside the database that holds the hashes.
ERASURE_KEY_FILE = "erasure.key"
#: Fields that earlier versions wrote.
_FORMER_FIELDS = ("retell_pid", "engage_pid")


@dataclass(frozen=True, slots=True)
class UpState:
    """The content of `<data-dir>/up.json`, mode 0600. The emulators' fields are unused with a real Retell or Engage."""

    url: str
    api_key: str
    database_url: str
    port: int
    retell_port: int
    engage_port: int
    retell_api_key: str
    retell_webhook_key: str
    engage_secret: str
    emulated: bool = True  # whether the last start was; decides for a database of a version without the mark

    @property
    def own_url(self) -> str:
        """The address of `up` for a program on this machine."""
        host = urlsplit(self.url).hostname
        return f"http://127.0.0.1:{self.port}" if host in ("0.0.0.0", "::") else self.url


def load_state(data_dir: Path) -> UpState | None:
    """Return None without a file, or if another version wrote a file that this one cannot use."""
    try:
        written = json.loads((data_dir / UP_FILE).read_text())
        return UpState(**{name: value for name, value in written.items() if name not in _FORMER_FIELDS})
    except (OSError, ValueError, TypeError):
        return None


def save_state(data_dir: Path, state: UpState) -> None:
    """Replace the file in one step: a kill leaves the old or the new file, never half a file."""
    _write_private(data_dir / UP_FILE, json.dumps(asdict(state)))


def new_state(host: str, port: int) -> UpState:
    """Make new keys, and find free ports for the emulators."""
    # Imported here, because commands read the state, and the web framework takes half a second to import.
    from ringback.web.auth import make_key

    return UpState(
        url=f"http://{host}:{port}",
        api_key=make_key(),
        database_url="",
        port=port,
        retell_port=free_port(),
        engage_port=free_port(),
        retell_api_key=f"key_{secrets.token_hex(14)}",
        retell_webhook_key=f"key_{secrets.token_hex(14)}",
        engage_secret="whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
    )


def make_directory(directory: Path) -> None:
    """Make a directory for data. Raises StartRefused if that is not possible."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"{directory} cannot be a data directory ({error.strerror}): name another one") from None


def free_port() -> int:
    """Choose a port of loopback that is free now.

    It is below those that Linux gives to outgoing connections (from 32768 on), so that it is free at later starts too.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def read_erasure_key(data_dir: Path) -> tuple[str, ...]:
    """Return the key of this directory, or nothing if there is none yet."""
    try:
        return (((data_dir / ERASURE_KEY_FILE).read_text()).strip(),)
    except FileNotFoundError:
        return ()


def make_erasure_key(data_dir: Path) -> tuple[str, ...]:
    """Return the key of this directory, made with mode 0600 if there is none. It is never replaced, because its
    hashes would be lost."""
    if not (data_dir / ERASURE_KEY_FILE).exists():
        _write_private(data_dir / ERASURE_KEY_FILE, f"{secrets.token_hex(32)}\n")
    return read_erasure_key(data_dir)


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
