"""The PostgreSQL below the stories that need no process of the product's: a migrated database for each."""

import asyncio
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ringback.adapters.postgres.schema import upgrade
from tests.postgresql import EMULATED, copy_database, execute, named, server_in_haste

TEMPLATE = "proof_template"


@dataclass(frozen=True, slots=True)
class Ground:
    """`template` is the name of a migrated database; `home` is the run's own directory and goes with it."""

    url: str
    template: str
    home: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def database(self, story: str) -> str:
        name = f"proof_{story}_{next(self.numbers)}_{abs(hash(self.home)) % 10**6}"
        return await copy_database(self.url, self.template, name)


@contextmanager
def embedded_ground() -> Iterator[Ground]:
    """On a server of its own, without fsync: what survives a crash is proved on others."""
    with tempfile.TemporaryDirectory(prefix="ringback-proof-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        with server_in_haste(home) as url:
            asyncio.run(execute(url, f"CREATE DATABASE {TEMPLATE}"))
            asyncio.run(upgrade(named(url, TEMPLATE), instance="proof"))
            asyncio.run(execute(named(url, TEMPLATE), EMULATED))
            yield Ground(url, TEMPLATE, home)
