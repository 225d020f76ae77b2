"""The container file and the compose file of deploy/, read as an engine reads them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .units import DEPLOY

CONTAINER_FILE = DEPLOY / "Dockerfile"
COMPOSE_FILE = DEPLOY / "compose.yaml"
TRIAL = DEPLOY / "trial"
#: The installation in the image.
PREFIX = "/opt/ringback"


class Step(NamedTuple):
    """An instruction of the container file, its text on one line, and the number of its stage."""

    instruction: str
    text: str
    stage: int


def steps(text: str | None = None) -> list[Step]:
    found: list[Step] = []
    stage = -1
    lines = re.sub(r"^#.*\n", "", CONTAINER_FILE.read_text() if text is None else text, flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        if not line:
            continue
        instruction, _, rest = line.partition(" ")
        stage += instruction == "FROM"
        found.append(Step(instruction, rest.strip(), stage))
    return found


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the compose file as an engine resolves it. `needs` are the services that must be there before."""

    name: str
    text: dict[str, Any]

    @property
    def command(self) -> list[str]:
        return [str(word) for word in self.text["command"]]

    @property
    def check(self) -> list[str]:
        """The words of the health check's command."""
        kind, *words = self.text["healthcheck"]["test"]
        assert kind == "CMD", "without a shell"
        return [str(word) for word in words]

    @property
    def port(self) -> str:
        return self.command[self.command.index("--port") + 1]

    @property
    def needs(self) -> dict[str, dict[str, str]]:
        return dict(self.text.get("depends_on") or {})


def services(text: str | None = None) -> dict[str, Service]:
    """Every service, with the defaults of the variables."""
    source = COMPOSE_FILE.read_text() if text is None else text
    resolved = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", source)
    return {name: Service(name, one) for name, one in yaml.safe_load(resolved)["services"].items()}


def own_services() -> dict[str, Service]:
    """The services that run the image of the container file."""
    return {name: one for name, one in services().items() if one.text["image"].startswith("ringback:")}


def processes() -> dict[str, Service]:
    """The services that are processes of production."""
    return {name: one for name, one in own_services().items() if one.command[0] == "serve"}


def trial_settings() -> dict[str, str]:
    lines = (TRIAL / "ringback.env").read_text().splitlines()
    return dict(shlex.split(line)[0].split("=", 1) for line in lines if line and not line.startswith("#"))


def sources_of_copies(step: Step) -> list[str]:
    """The paths in the context that a COPY takes; none if it copies from another stage."""
    words = step.text.split()
    return [] if words[0].startswith("--from=") else words[:-1]


def context_allows(path: Path) -> bool:
    """Whether the file is a part of the build's context, by the file of ignored paths beside the container file."""
    allowed = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    return any(path.match(pattern) for pattern in allowed)
