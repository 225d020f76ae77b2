"""What `up` remembers of a data directory, so that the next start has the same keys and ports."""

import base64
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ringback.web.auth import make_key

FILE = "up.json"
_FORMER_FIELDS = ("retell_pid", "engage_pid")


@dataclass(frozen=True, slots=True)
class UpState:
    """Kept in `<data-dir>/up.json`, mode 0600. The emulators' part is unused while the real ones are configured."""

    url: str
    api_key: str
    database_url: str
    port: int
    retell_port: int
    engage_port: int
    retell_api_key: str
    retell_webhook_key: str
    engage_secret: str
    emulated: bool = True  # what the last start was: the mark of databases from before they had one

    @property
    def own_url(self) -> str:
        """The address under which a program of this machine reaches `up`."""
        host = urlsplit(self.url).hostname
        return f"http://127.0.0.1:{self.port}" if host in ("0.0.0.0", "::") else self.url


def load_state(data_dir: Path) -> UpState | None:
    """None if there is none, or if another version wrote it in a way this one cannot use."""
    try:
        written = json.loads((data_dir / FILE).read_text())
        return UpState(**{name: value for name, value in written.items() if name not in _FORMER_FIELDS})
    except (OSError, ValueError, TypeError):
        return None


def save_state(data_dir: Path, state: UpState) -> None:
    """Replaced in one step, so that a kill leaves the old or the new one, never half of one."""
    draft = data_dir / f"{FILE}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(state), file)
    draft.replace(data_dir / FILE)


def new_state(host: str, port: int) -> UpState:
    """Fresh keys, and free ports for the emulators."""
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
