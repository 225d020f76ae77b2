"""The emulated Retell as a process of its own, with the settings that its command line does not offer."""

import json
import sys
from pathlib import Path

from ringback_emulator.retell import run_retell
from ringback_emulator.settings import RetellEmulatorSettings


def main(settings: str, port: str) -> None:
    given = json.loads(settings)
    state_dir = Path(given.pop("state_dir"))
    state_dir.mkdir(parents=True, exist_ok=True)
    run_retell(RetellEmulatorSettings(state_dir=state_dir, **given), int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
