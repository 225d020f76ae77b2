"""The tasks of an engineer who deploys: settings, the schema, one process each, a wrong set-up."""

import json
import re
import subprocess
from importlib.metadata import version

from tests.deploy.units import SYSTEMD, process_units, read_unit
from tests.loopback import answers, free_ports
from tests.stories.running_system import ask, clean_environment, wait_until

from .tour import Task, Tour


def know_the_version(tour: Tour) -> None:
    """See which version is installed."""
    ran = tour.run("--version", has_data_dir=False)
    tour.says("It is that of the package.", is_true=ran.stdout == f"ringback {version('ringback')}\n", found=ran.stdout)


def hear_of_a_wrong_setting(tour: Tour) -> None:
    """Start a process with wrong settings."""
    wrong = {"RINGBACK_COUNTRIES": "USA", "RINGBACK_MAX_LIVE_CALLS": "many"}
    ran = tour.run("serve", "scheduler", env=wrong, has_data_dir=False)
    names = [line.partition(":")[0] for line in ran.stderr.splitlines()]
    tour.says(
        "One sentence for each, and exit code 2.", is_true=(ran.code, sorted(names)) == (2, sorted(wrong)), found=ran
    )
    missing = tour.run("serve", "scheduler", has_data_dir=False)
    is_named = missing.stderr == "RINGBACK_DATABASE_URL: must be set to serve a process\n"
    tour.says("A missing setting is named.", is_true=(missing.code, is_named) == (2, True), found=missing)


def see_a_setting_that_differs(tour: Tour) -> None:
    """Ask the doctor in a shell whose setting is not the one of the processes."""
    ran = tour.run("doctor", env={"RINGBACK_COUNTRIES": "CA"}, shown="COUNTRIES")
    [row] = [line for line in ran.lines if line.startswith("RINGBACK_COUNTRIES ")]
    tour.says("The setting of the running system is shown.", is_true=row.split()[1] == "US", found=row)
    warned = [line for line in ran.lines if line.startswith("warn   RINGBACK_COUNTRIES")]
    tour.says("The difference is a warning.", is_true=len(warned) == 1 and ran.code == 0, found=ran.stdout)


def run_each_process_from_its_unit(tour: Tour) -> None:
    """Upgrade the schema, then start each process as its systemd unit does, and stop it."""
    settings = _settings(tour)
    migration = read_unit(SYSTEMD / "ringback-migrate.service")
    tour.write(f"  $ {migration.one('ExecStart')}")
    upgraded = subprocess.run(migration.command(), env=settings, capture_output=True, text=True, check=False)
    tour.show(upgraded.stdout.splitlines())
    is_upgraded = (upgraded.returncode, upgraded.stdout) == (0, "up to date already\n")
    tour.says("The schema is up to date.", is_true=is_upgraded, found=upgraded)
    units = process_units()
    for (name, unit), port in zip(units.items(), free_ports(len(units)), strict=True):
        tour.write(f"  $ {unit.one('ExecStart')}")
        process = subprocess.Popen(unit.command(port), env=settings, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda port=port: answers(f"http://127.0.0.1:{port}/readyz"), 60, f"{name} is ready")
            ready = ask("GET", f"http://127.0.0.1:{port}/readyz").body
            tour.show([json.dumps(ready)])
            tour.says(f"{name} is ready.", is_true=all(one["ok"] for one in ready["checks"].values()), found=ready)
            process.terminate()
            code = process.wait(float(unit.one("TimeoutStopSec")))
            tour.says(f"{name} stops in time, with exit code 0.", is_true=code == 0, found=code)
        finally:
            process.kill()
            process.wait()


def _settings(tour: Tour) -> dict[str, str]:
    """The settings of the running system, for processes of its database."""
    data = tour.system.home / "data"
    state = json.loads((data / "up.json").read_text())
    return clean_environment(
        {
            "RINGBACK_DATABASE_URL": state["database_url"],
            "RINGBACK_ERASURE_KEY": (data / "erasure.key").read_text().strip(),
            "RETELL_BASE_URL": tour.client.retell_url,
            "RETELL_API_KEY": state["retell_api_key"],
            "RETELL_WEBHOOK_KEY": state["retell_webhook_key"],
            "RINGBACK_ENGAGE_URL": tour.client.engage_url,
            "RINGBACK_ENGAGE_SECRET": state["engage_secret"],
            "RINGBACK_CALLING_HOURS": "always",
        }
    )


def watch_the_system(tour: Tour) -> None:
    """Read the metrics that an alert would use."""
    import urllib.request

    with urllib.request.urlopen(f"{tour.client.url}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    up = dict(re.findall(r'^ringback_up\{dependency="(\w+)"\} (\S+)', text, re.MULTILINE))
    tour.show([f"ringback_up {up}"])
    expected = dict.fromkeys(("database", "call_queue", "event_queue"), "1.0")
    tour.says("Every dependency is up.", is_true=up == expected, found=up)
    tour.says("No phone number is in them.", is_true=re.search(r"1\d{3}55501\d\d", text) is None)


TASKS = (
    Task(know_the_version),
    Task(hear_of_a_wrong_setting),
    Task(see_a_setting_that_differs, is_long=True),
    Task(run_each_process_from_its_unit, is_long=True),
    Task(watch_the_system),
)
