"""docs/emulator.md lists everything that the emulators can do, and nothing else."""

import re
from pathlib import Path

from ringback_emulator import engage, retell
from ringback_emulator.scenarios import INBOUND, MAGIC_NUMBERS
from ringback_emulator.settings import EngageEmulatorSettings

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()


def rows(cells):
    """The cells of every table row that has that many columns, without the two lines of the head."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [row for row in found if len(row) == cells and not row[0].startswith("---")]


def functions(cell):
    return re.findall(r"`([a-z_]+)`", cell.replace("`tool_call_id`", ""))


def test_every_magic_number_is_listed_with_its_title_and_its_functions():
    listed = {row[0]: (row[1], functions(row[2])) for row in rows(5)[1:]}
    assert listed == {
        code: (scenario.title, [tool.name for tool in scenario.functions]) for code, scenario in MAGIC_NUMBERS.items()
    }


def test_every_inbound_scenario_is_listed_with_its_title_and_its_functions():
    listed = {row[0]: (row[1], functions(row[2])) for row in rows(3)[1:]}
    assert listed == {
        code: (scenario.title, [tool.name for tool in scenario.functions]) for code, scenario in INBOUND.items()
    }


def test_every_control_route_is_listed(settings, tmp_path):
    apps = [
        retell.create_app(settings),
        engage.create_app(EngageEmulatorSettings(state_dir=tmp_path / "engage", secret="whsec_c2VjcmV0")),
    ]
    paths = {route.path for app in apps for route in app.routes if route.path.startswith("/emulator/")}
    assert set(re.findall(r"\| `(?:GET|POST) (/emulator/\S+)`", PAGE)) == paths
