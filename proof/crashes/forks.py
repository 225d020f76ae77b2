"""The client of the fork server: children that become ready, reach their point, and end."""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof.evidence import ROOT

START_WITHIN_S = 300.0
_LINE_LIMIT = 1 << 20


@dataclass
class Child:
    """`reached` is the point that killed it. `status` is its exit code, or minus the signal."""

    child_id: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reached: str | None = None
    status: int | None = None

    @property
    def lives(self) -> bool:
        return not self.ended.is_set()


class Forks:
    """Use as an async context manager; at its end the server and all its children are gone."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._next_id = 1

    async def __aenter__(self) -> "Forks":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "proof.crashes.fork_server"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            limit=_LINE_LIMIT,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._commands, self._reports = self._process.stdin, self._process.stdout
        async with asyncio.timeout(START_WITHIN_S):
            line = await self._reports.readline()
        assert line, "the fork server ended at once"
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands.close()
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._listening.cancel()
        await asyncio.wait([self._listening])

    def fork(self, role: str, spec: dict[str, Any], log: Path) -> Child:
        child = self._children[self._next_id] = Child(self._next_id)
        self._next_id += 1
        self._tell({"fork": child.child_id, "role": role, "spec": spec, "log": str(log)})
        return child

    async def kill(self, child: Child) -> None:
        """Returns once it is gone."""
        if child.lives:
            self._tell({"kill": child.child_id})
            await child.ended.wait()
        self._children.pop(child.child_id, None)

    def _tell(self, command: dict[str, Any]) -> None:
        self._commands.write(json.dumps(command).encode() + b"\n")

    async def _listen(self) -> None:
        while line := await self._reports.readline():
            report = json.loads(line)
            child = self._children.get(report["id"])
            if child is None:
                continue
            match report["says"]:
                case "ready":
                    child.ready.set()
                case "reached":
                    child.reached = report["point"]
                case "ended":
                    child.status = report["status"]
                    child.ended.set()
        for child in self._children.values():
            child.ended.set()
