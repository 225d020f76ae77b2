"""Ringback as it was at another commit of this repository, installed into an environment of its own."""

import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.units import ROOT

_MIGRATIONS = "src/ringback/adapters/postgres/migrations/versions"
_NEWEST = "from ringback.adapters.postgres.schema import NEWEST; import ringback; print(NEWEST, ringback.__file__)"
_NO_HISTORY = (
    "The upgrade story runs an earlier version from the history of this repository, and {}. It needs a clone with its "
    "history (`git fetch --unshallow`), or a commit that this clone has: `make upgrade-story FROM=COMMIT`."
)


class HistoryIsMissing(Exception):
    """This tree has no commit to upgrade from. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Version:
    """An installed version: the commit, or `this tree`, its Python, and the number of its newest migration."""

    name: str
    python: Path
    schema: str

    def command(self, *words: str) -> list[str]:
        return [str(self.python), "-m", "ringback.cli", *words]


def this_version() -> Version:
    return _version("this tree", Path(sys.executable))


def commit_before_the_newest_migration() -> str:
    """The newest commit whose schema is not that of this tree, so that an upgrade from it migrates."""
    newest = _git("log", "--first-parent", "-1", "--format=%H", "--", _MIGRATIONS).strip()
    if not newest:
        raise HistoryIsMissing(_NO_HISTORY.format("no commit of it has changed a migration"))
    return f"{newest}~1"


def install(commit: str, home: Path) -> Version:
    """Install the version of a commit below `home`, with the dependencies that it pins. Raises HistoryIsMissing."""
    name = _git("rev-parse", "--short", "--verify", f"{commit}^{{commit}}").strip()
    tree, environment = home / "tree", home / "environment"
    with tarfile.open(fileobj=io.BytesIO(_run("git", "archive", name, cwd=ROOT))) as files:
        files.extractall(tree, filter="data")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home / "dist"), cwd=tree)
    [wheel] = (home / "dist").glob("*.whl")
    uv = Path(sys.executable).parent / "uv"
    _run(str(uv), "venv", "-q", "--python", sys.executable, str(environment), cwd=home)
    # Ten processes start at about the same time, and each of them would compile all that it imports.
    into = (str(uv), "pip", "install", "-q", "--compile-bytecode", "--python", str(environment / "bin" / "python"))
    _run(*into, "--require-hashes", "-r", str(tree / "requirements" / "production.txt"), cwd=home)
    _run(*into, "--no-deps", str(wheel), cwd=home)
    return _version(name, environment / "bin" / "python")


def _version(name: str, python: Path) -> Version:
    schema, file = _run(str(python), "-c", _NEWEST, cwd=Path("/")).decode().split()
    assert name == "this tree" or Path(file).is_relative_to(python.parents[1]), file
    return Version(name, python, schema)


def _git(*words: str) -> str:
    try:
        return _run("git", *words, cwd=ROOT).decode()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        said = (getattr(error, "stderr", b"") or b"").decode().strip() or "git is missing"
        raise HistoryIsMissing(_NO_HISTORY.format(f"git says: {said}")) from None


def _run(*command: str, cwd: Path) -> bytes:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True).stdout
