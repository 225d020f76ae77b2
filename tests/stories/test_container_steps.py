"""The steps of the container file and the services of the compose file, run on this machine without an engine.

The Python that runs the test replaces the base image, and one folder the root of the file system of both stages. The
embedded PostgreSQL replaces its image. Only this user may enter the folder, so the processes run as this user. Free
ports replace those of the files. Read-only file systems, capabilities and restarts are not tried here.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.containers import PREFIX, Service, own_services, processes, sources_of_copies, steps, trial_settings
from tests.deploy.units import ROOT
from tests.loopback import free_ports
from tests.postgresql import execute, named

from .running_system import START_WITHIN_S, SystemClient, clean_environment, new_call, wait_until
from .separate_processes import Processes, check_end

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Image:
    """What the container file makes, below a folder."""

    root: Path
    environment: dict[str, str]
    entry_point: list[str]

    def inside(self, text: str) -> str:
        return re.sub(r"(?<![\w.])(/opt|/tmp|/build)(?=/|$|\s)", rf"{self.root}\1", text)


def build(root: Path) -> Image:
    """Run every step of the container file: COPY and RUN below the folder, as `docker build` does in each stage."""
    subprocess.run(["make", "wheel"], cwd=ROOT, check=True, capture_output=True)
    image = Image(root, {}, [])
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    folder = root
    for step in steps():
        if step.instruction == "WORKDIR":
            folder = Path(image.inside(step.text))
            folder.mkdir(parents=True)
        elif step.instruction == "COPY":
            for source in sources_of_copies(step):
                found = sorted(ROOT.glob(source))
                assert found, source
                shutil.copy(found[-1], folder)
        elif step.instruction == "RUN":
            command = image.inside(step.text)
            subprocess.run(["sh", "-ec", command], cwd=folder, env={**os.environ, "PATH": path}, check=True)
        elif step.instruction == "ENV":
            image.environment.update(pair.split("=", 1) for pair in step.text.split())
        elif step.instruction == "ENTRYPOINT":
            image.entry_point.extend(re.findall(r'"([^"]+)"', step.text))
    image.environment["PATH"] = image.inside(image.environment["PATH"]).replace("$PATH", "/usr/bin:/bin")
    return image


@dataclass(frozen=True, slots=True)
class Machine:
    """Runs services of the compose file with the settings of the trial, each on a port of its own.

    `database_url` is that of this machine's PostgreSQL. It is not a path or a port of the files.
    """

    image: Image
    ports: dict[str, str]
    settings: dict[str, str]
    database_url: str

    def here(self, text: str) -> str:
        """Replace the ports of the files by this test's."""
        moved = re.sub(r"127\.0\.0\.1:(\d{4})\b", lambda found: f"127.0.0.1:{self.ports[found[1]]}", text)
        return self.image.inside(self.ports.get(moved, moved))

    def environment(self) -> dict[str, str]:
        settings = {name: self.here(text) for name, text in self.settings.items()}
        settings["RINGBACK_DATABASE_URL"] = self.database_url
        return {**clean_environment(settings), **self.image.environment, "HOME": "/"}

    def program(self, word: str) -> str:
        found = shutil.which(word, path=self.image.environment["PATH"])
        assert found is not None, word
        assert found.startswith(self.image.inside(PREFIX)), found
        return found

    def command(self, service: Service) -> list[str]:
        [program] = self.image.entry_point
        return [self.program(program), *map(self.here, service.command)]

    def is_healthy(self, service: Service) -> bool:
        program, *words = service.check
        check = [self.program(program), *map(self.here, words)]
        return subprocess.run(check, env=self.environment(), capture_output=True, check=False).returncode == 0


def test_the_steps_of_the_container_file_make_an_image_that_places_a_call(tmp_path: Path, server_url: str) -> None:
    (tmp_path / "tmp").mkdir()
    image = build(tmp_path)
    services = own_services()
    ported = {name: one for name, one in services.items() if "--port" in one.command}
    free = dict(zip((one.port for one in ported.values()), map(str, free_ports(len(ported))), strict=True))
    asyncio.run(execute(server_url, "CREATE DATABASE in_containers"))
    settings = trial_settings()
    machine = Machine(image, free, settings, named(server_url, "in_containers"))
    running = Processes(tmp_path)
    try:
        running.start("migration", machine.command(services["migration"]), machine.environment())
        wait_until(lambda: running.has_ended("migration"), START_WITHIN_S, "the schema is upgraded")
        assert running.stop(("migration",)) == {"migration": 0}
        for name, service in ported.items():
            running.start(name, machine.command(service), machine.environment())
        for name, service in ported.items():
            wait_until(lambda one=service: machine.is_healthy(one), START_WITHIN_S, f"{name} is healthy")
        url = {name: f"http://127.0.0.1:{free[one.port]}" for name, one in ported.items()}
        client = SystemClient(
            url["internal-api"], settings["RINGBACK_API_KEY"], url["emulated-retell"], url["emulated-engage"]
        )
        check_end(client, client.place(new_call("+14155550100")), "00", 120)
        grace_s = float(services["internal-api"].text["stop_grace_period"].rstrip("s"))
        names = tuple(processes())
        assert running.stop(names, grace_s) == dict.fromkeys(names, 0)
        sys.stdout.write(f"\n{len(steps())} steps, {len(ported) + 1} services healthy, 1 call\n")
    finally:
        running.discard()
