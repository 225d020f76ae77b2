"""The same question to the system as people try it: with the emulators, for a person at a terminal, and told to tell
all that the libraries could."""

import json
from dataclasses import replace
from pathlib import Path

from proof.findings import Findings, Say
from proof.hostile.canaries import Canaries
from proof.hostile.secrecy import search
from proof.invariants import Invariant
from tests.stories.running_system import RunningSystem, new_call

#: What a curious operator's `sitecustomize.py` does: the root logger takes everything, whatever is set later.
ALL_RECORDS = """
import logging
logging.RootLogger.setLevel = lambda self, level: logging.Logger.setLevel(self, logging.DEBUG)
"""
SCENARIOS = ("00", "03", "07", "08", "11", "14", "18", "22")


def attack(found: Findings, home: Path, canaries: Canaries, say: Say) -> None:
    """A call of every kind, then all logs of all processes."""
    home.mkdir(parents=True)
    (home / "sitecustomize.py").write_text(ALL_RECORDS)
    settings = {"RINGBACK_LOG_FORMAT": "console", "RINGBACK_EMULATOR_SPEED": "40", "PYTHONPATH": str(home)}
    system = RunningSystem(home / "up", settings)
    phones = {digits: f"+1415555{int(digits) + 100:04d}" for digits in SCENARIOS}
    try:
        system.start()
        doors = system.client
        placed = []
        for phone in phones.values():
            body = new_call(phone, variables={"first_name": canaries.words["first_name"]})
            body["contact"]["contact_id"] = f"crm-{phone[-4:]}"
            placed.append(doors.place(body))
        for call_id in placed:
            doors.wait_for(call_id, lambda call: call["final"] or call["tasks"][-1]["kind"] == "callback", 60)
        state = json.loads((system.home / "data" / "up.json").read_text())
        code = system.stop()
    finally:
        system.discard()
    if code:
        found.broke(Invariant.I18, f"up with its emulators ended with {code}", f"seed {found.seed}")
    names = ("api_key", "retell_api_key", "retell_webhook_key", "engage_secret")
    secrets = {name: state[name] for name in names}
    logs = {str(path.relative_to(home)): path.read_text(errors="replace") for path in home.rglob("*.log")}
    search(found, replace(canaries, phones=phones, secrets=secrets), logs)
    say(
        f"emulated: {len(placed)} calls, {sum(text.count(chr(10)) for text in logs.values())} lines of {len(logs)} logs"
    )
