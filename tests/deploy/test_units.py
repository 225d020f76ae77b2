"""The systemd units: one for each process, accepted by systemd, with few rights. The stories start them."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from ringback.cli.running import Process
from ringback.config import read_settings
from ringback.process import STOP_WITHIN_S
from ringback.wiring import POOL_SIZE

from .units import DEPLOY, EXECUTABLE, SYSTEMD, process_units, read_unit, settings_of_the_page

PAGE = (DEPLOY.parent / "docs" / "production.md").read_text()
#: Its sentences, wherever a line ends.
TOLD = " ".join(PAGE.split())
UNITS = process_units()
NAMES = [*(f"ringback-{name}.service" for name in UNITS), "ringback-migrate.service", "ringback.target"]
systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is missing, so systemd has not checked the units: install the package systemd",
)


def test_every_process_has_a_unit_that_runs_it_and_the_page_has_its_port():
    # The Voice API's process has the console; alone it is for those who want it apart.
    assert UNITS.keys() == set(get_args(Process)) - {"console"}
    ports = {
        name: re.fullmatch(rf"{EXECUTABLE} serve {name} --port (\d+)", unit.one("ExecStart"))
        for name, unit in UNITS.items()
    }
    assert None not in ports.values(), ports
    on_the_page = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{4}) \|", PAGE, re.MULTILINE))
    assert on_the_page == {name: found[1] for name, found in ports.items() if found}
    assert len(set(on_the_page.values())) == len(UNITS)


@pytest.mark.parametrize("name", UNITS)
def test_a_process_starts_after_the_migration_and_again_after_a_failure(name):
    unit = UNITS[name]
    # `Requires=` would leave a process stopped for good after one failed migration, for example without a database.
    assert (unit.one("Wants"), "Requires" in unit.values) == ("ringback-migrate.service", False)
    assert unit.one("After") == "ringback-migrate.service"
    assert unit.one("Restart") == "on-failure"
    assert (unit.one("StartLimitIntervalSec"), unit.one("RestartSec")) == ("0", "5")
    assert unit.one("EnvironmentFile") == "/etc/ringback/ringback.env"
    assert (unit.one("WantedBy"), unit.one("PartOf")) == ("ringback.target", "ringback.target")


def test_the_migration_runs_once_and_has_the_time_that_it_needs():
    migration = read_unit(SYSTEMD / "ringback-migrate.service")
    assert migration.one("ExecStart") == f"{EXECUTABLE} db upgrade"
    assert (migration.one("Type"), migration.one("TimeoutStartSec")) == ("oneshot", "infinity")


def test_a_stop_has_more_time_than_a_process_needs_and_than_a_lease_lasts():
    lease_s = read_settings({}, emulated=False).create_timeout_s + 30
    waits_s = {float(unit.one("TimeoutStopSec")) for unit in UNITS.values()}
    assert min(waits_s) > max(lease_s, STOP_WITHIN_S)
    assert f"takes {STOP_WITHIN_S:.0f} s at most; systemd waits {min(waits_s):.0f} s" in TOLD


def test_the_page_has_the_connections_of_a_process_and_of_a_machine():
    assert f"uses up to {POOL_SIZE} connections" in PAGE
    assert f"{POOL_SIZE * len(UNITS)} for the six of one machine" in TOLD


def test_the_settings_file_holds_settings_only():
    settings = settings_of_the_page()
    read = read_settings(settings, emulated=False)
    assert read.call_queue != read.event_queue
    known = set(re.findall(r"^\| `([A-Z_]+)` \|", (DEPLOY.parent / "docs" / "operations.md").read_text(), re.MULTILINE))
    assert settings.keys() <= known
    # The comment above them says that these are the defaults.
    defaults = read_settings({}, emulated=False)
    for name in ("countries", "calling_hours", "max_live_calls", "calls_per_second"):
        assert getattr(read, name) == getattr(defaults, name), name
    assert "RINGBACK_API_KEY" not in settings


@pytest.fixture
def unit_path(tmp_path: Path) -> Path:
    """The units with a program that exists on this machine."""
    copy = tmp_path / "systemd"
    shutil.copytree(SYSTEMD, copy)
    for path in copy.glob("*.service"):
        path.write_text(path.read_text().replace(EXECUTABLE, "/bin/true"))
    return copy


def analyzed(unit_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # The colon keeps the units of systemd itself, such as network-online.target.
    env = {**os.environ, "SYSTEMD_UNIT_PATH": f"{unit_path}:", "SYSTEMD_COLORS": "0"}
    return subprocess.run(["systemd-analyze", *words], env=env, capture_output=True, text=True, check=False)


@systemd
def test_systemd_accepts_every_unit(unit_path):
    result = analyzed(unit_path, "verify", "--man=no", *(str(unit_path / name) for name in NAMES))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@systemd
def test_systemd_finds_a_mistake_in_a_unit(unit_path):
    path = unit_path / "ringback-scheduler.service"
    path.write_text(path.read_text().replace("ExecStart=", "ExecStrat="))
    result = analyzed(unit_path, "verify", "--man=no", str(path))
    assert (result.returncode, "ExecStrat" in result.stderr) != (0, False)


@systemd
@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_unit_has_few_rights(name, unit_path):
    """systemd rates the exposure from 0 to 10. A unit without restrictions has 9.6."""
    result = analyzed(unit_path, "security", "--offline=yes", "--threshold=20", name)
    assert result.returncode == 0, result.stdout[-300:]
