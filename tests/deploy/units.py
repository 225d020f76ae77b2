"""The systemd units of deploy/ and the settings file of the production page, read as systemd reads them."""

import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SYSTEMD = DEPLOY / "systemd"
EXECUTABLE = "/opt/ringback/current/bin/ringback"
#: Applies to each unit whose name begins with `ringback-`.
EVERY_UNIT = SYSTEMD / "ringback-.service.d" / "every-unit.conf"

#: Paths of each process that the proxy passes on to it, with the method of a request.
PUBLIC_PATHS = {
    "internal-api": (
        "POST /v1/calls",
        "POST /v1/suppressions",
        "GET /v1/events",
        "GET /v1/why",
        "GET /v1/settings",
    ),
    "business-api": (
        "POST /v1/actions/note_writeback",
        "POST /v1/retell/functions/note_writeback",
        "POST /v1/retell/inbound",
    ),
    "webhook-receiver": ("POST /retell/webhook",),
}


@dataclass
class Unit:
    """The lines of a unit with those that all units share: each key with its values, in order."""

    name: str
    values: dict[str, list[str]] = field(default_factory=dict)

    def one(self, key: str) -> str:
        """The value of a key that may be there once."""
        [value] = self.values[key]
        return value

    def command(self, port: int | None = None) -> list[str]:
        """The words of ExecStart, with this environment's program, and with another port if one is given."""
        program, *words = shlex.split(self.one("ExecStart"))
        assert program == EXECUTABLE
        if port is not None:
            words[words.index("--port") + 1] = str(port)
        return [sys.executable, "-m", "ringback.cli", *words]


def read_unit(path: Path) -> Unit:
    unit = Unit(path.stem)
    for line in [*path.read_text().splitlines(), *EVERY_UNIT.read_text().splitlines()]:
        key, is_assigned, value = line.partition("=")
        if is_assigned and not line.startswith("#"):
            unit.values.setdefault(key, []).append(value)
    return unit


def process_units() -> dict[str, Unit]:
    """The unit of each process, by the name that `ringback serve` has for it."""
    units = {
        path.stem.removeprefix("ringback-"): read_unit(path) for path in sorted(SYSTEMD.glob("ringback-*.service"))
    }
    return {name: unit for name, unit in units.items() if name != "migrate"}


def settings_of_the_page() -> dict[str, str]:
    """The settings file as a shell reads it, which is what the page does with it too."""
    script = 'env -i sh -c \'set -a; . "$0"; set +a; env -0\' "$1"'
    read = subprocess.run(
        ["sh", "-c", script, "sh", str(DEPLOY / "ringback.env.example")], capture_output=True, text=True, check=True
    )
    pairs = (pair.partition("=") for pair in read.stdout.split("\0") if pair)
    return {name: value for name, _, value in pairs if name not in ("PWD", "OLDPWD", "_", "SHLVL")}
