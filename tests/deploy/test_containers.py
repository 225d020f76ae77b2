"""The container file and the compose file: their linters and rules of our own."""

import json
import re
import subprocess
from pathlib import Path
from typing import get_args

import jsonschema_rs
import pytest
import typer.main
import yaml
from click import Context

from deploy.aws.check import read
from deploy.aws.lambda_runtime import TOOLS, tool
from ringback.cli import app
from ringback.cli.running import EMULATOR_PORTS, Process
from ringback.config import read_settings
from ringback.process import STOP_WITHIN_S
from ringback.wiring import POOL_SIZE

from .containers import (
    COMPOSE_FILE,
    CONTAINER_FILE,
    TRIAL,
    context_allows,
    own_services,
    processes,
    services,
    sources_of_copies,
    steps,
    trial_settings,
)
from .units import DEPLOY, ROOT, process_units, read_unit

IN_AWS_TOO = "webhook-receiver"  # whose place the Lambda takes there
SECRET = re.compile(r"(KEY|SECRET|PASSWORD|TOKEN)", re.IGNORECASE)


def linted(path: Path) -> list[str]:
    """The rules that hadolint finds broken."""
    command = [str(tool("hadolint")), "--no-color", "--format", "json", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.startswith("["), run.stderr
    return [fault["code"] for fault in json.loads(run.stdout)]


def test_hadolint_finds_no_fault_in_the_container_file():
    assert linted(CONTAINER_FILE) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("FROM python:3.12-slim-bookworm\n", "FROM python:latest\n", "DL3007"),
        ('ENTRYPOINT ["ringback"]', "ENTRYPOINT ringback", "DL3025"),
        ('ENTRYPOINT ["ringback"]', 'ENTRYPOINT ["x"]\nENTRYPOINT ["ringback"]', "DL4004"),
        ("USER 10001", "USER root", "DL3002"),
    ],
)
def test_hadolint_names_a_planted_fault(old, new, rule, tmp_path):
    text = CONTAINER_FILE.read_text()
    assert old in text
    (tmp_path / "Dockerfile").write_text(text.replace(old, new))
    assert rule in linted(tmp_path / "Dockerfile")


def faults_of_container_file(text: str) -> list[str]:
    """Faults that hadolint does not report: secrets, the last user, the name of the base, files that do not exist."""
    found = []
    read_steps = steps(text)
    last = max(step.stage for step in read_steps)
    for step in read_steps:
        if step.instruction in ("ENV", "ARG") and SECRET.search(step.text):
            found.append(f"a secret in {step.instruction}")
        if step.instruction == "FROM" and not re.match(r"python:3\.\d+-slim-[a-z]+\b", step.text):
            found.append("a base without its version and distribution")
        if step.instruction == "RUN" and step.text.count("pip install") != step.text.count("--no-cache-dir"):
            found.append("a cache in the image")
        for source in sources_of_copies(step) if step.instruction == "COPY" else ():
            # The wheel is what `make wheel` leaves there.
            exists = (ROOT / source).is_file() or source == "dist/ringback-*.whl"
            if not (exists and context_allows(Path(source))):
                found.append(f"{source} is not in the context")
    users = [step.text for step in read_steps if step.instruction == "USER" and step.stage == last]
    if not users or not users[-1].isdigit() or users[-1] == "0":
        found.append("no user by number, so no orchestrator can tell that it is not root")
    commands = [step.text for step in read_steps if step.instruction in ("ENTRYPOINT", "CMD") and step.stage == last]
    if [json.loads(text) for text in commands] != [["ringback"], ["--help"]]:
        found.append("another entry point")
    return found


def test_the_container_file_has_no_secret_and_no_root():
    assert faults_of_container_file(CONTAINER_FILE.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("ENV PATH=", "ENV RETELL_API_KEY=key_1 PATH=", "a secret in ENV"),
        ("WORKDIR /build", "ARG DATABASE_PASSWORD\nWORKDIR /build", "a secret in ARG"),
        ("python:3.12-slim-bookworm AS", "python:3 AS", "a base without its version and distribution"),
        (
            "requirements/production.txt dist",
            "requirements/gone.txt dist",
            "requirements/gone.txt is not in the context",
        ),
        ("requirements/production.txt dist", "pyproject.toml dist", "pyproject.toml is not in the context"),
        ("--no-cache-dir --no-deps", "--no-deps", "a cache in the image"),
        ("USER 10001\n", "", "no user by number, so no orchestrator can tell that it is not root"),
        ('CMD ["--help"]', 'CMD ["serve"]', "another entry point"),
    ],
)
def test_a_planted_fault_of_the_container_file_is_named(old, new, fault):
    text = CONTAINER_FILE.read_text()
    assert old in text
    assert fault in faults_of_container_file(text.replace(old, new))


def faults_of_compose_file(text: str) -> list[str]:
    """By the JSON schema of the compose specification, which check-jsonschema keeps a copy of."""
    [schema] = TOOLS.glob("lib/python3*/site-packages/check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    validator = jsonschema_rs.validator_for(json.loads(schema.read_text()))
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_compose_file_is_valid_by_the_schema_of_the_specification():
    text = COMPOSE_FILE.read_text()
    assert faults_of_compose_file(text) == []
    [fault, *_] = faults_of_compose_file(text.replace("stop_grace_period: 90s", "stop_grace_time: 90s"))
    assert "stop_grace_time" in fault


def test_each_process_is_in_the_units_the_compose_file_and_the_template_of_aws():
    resources = read((DEPLOY / "aws" / "processes.yaml").read_text())["Resources"]
    tasks = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::ECS::TaskDefinition"]
    commands = [container["Command"] for task in tasks for container in task["ContainerDefinitions"]]
    in_aws = {words[1] for words in commands if words[0] == "serve"}
    everywhere = set(get_args(Process)) - {"console"}
    assert everywhere == process_units().keys() == processes().keys() == in_aws | {IN_AWS_TOO}
    for name, unit in process_units().items():
        assert processes()[name].command == unit.command()[3:], name
    assert own_services()["migration"].command == read_unit(DEPLOY / "systemd/ringback-migrate.service").command()[3:]


@pytest.mark.parametrize("name", own_services())
def test_a_command_of_the_compose_file_is_one_of_ringback(name):
    service = own_services()[name]
    command, rest = typer.main.get_command(app), service.command
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    assert command.make_context(name, list(rest), Context(command))


@pytest.mark.parametrize("name", own_services())
def test_a_service_has_few_rights_and_the_time_that_a_stop_needs(name):
    text = own_services()[name].text
    assert (text["user"], text["read_only"], text["cap_drop"]) == ("10001", True, ["ALL"])
    assert text["security_opt"] == ["no-new-privileges:true"]
    assert text.get("privileged", False) is False
    lease_s = read_settings({}, emulated=False).create_timeout_s + 30
    assert int(text["stop_grace_period"].removesuffix("s")) > max(lease_s, STOP_WITHIN_S)
    assert float(process_units()["scheduler"].one("TimeoutStopSec")) == int(text["stop_grace_period"].rstrip("s"))


def test_every_process_waits_for_the_migration_and_that_for_the_database():
    assert own_services()["migration"].needs == {"postgres": {"condition": "service_healthy"}}
    for name, service in processes().items():
        assert service.needs == {"migration": {"condition": "service_completed_successfully"}}, name
        assert f"http://127.0.0.1:{service.port}/healthz" in service.check[-1], name


def test_the_database_has_the_connections_that_the_processes_use():
    words = services()["postgres"].command
    assert f"max_connections={POOL_SIZE * len(processes()) + 16}" in words
    assert services()["postgres"].text["image"].startswith("postgres:17.")


def test_the_compose_file_has_no_secret_of_its_own():
    for name, service in services().items():
        for setting, value in (service.text.get("environment") or {}).items():
            assert setting.endswith("_FILE") or not SECRET.search(setting), (name, setting, value)
        assert service.text["image"].rpartition(":")[2] not in ("", "latest"), name
    [secret] = yaml.safe_load(COMPOSE_FILE.read_text())["secrets"].values()
    assert secret["file"].endswith("/database-password")


def test_the_settings_of_the_trial_are_settings_and_lead_to_the_emulators():
    settings = trial_settings()
    page = (ROOT / "docs" / "operations.md").read_text()
    assert settings.keys() <= set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    read_settings(settings, emulated=False)
    for what, port in EMULATOR_PORTS.items():
        assert services()[f"emulated-{what}"].port == str(port)
        assert f"http://127.0.0.1:{port}" in settings.values()
    password = (TRIAL / "database-password").read_text().strip()
    assert settings["RINGBACK_DATABASE_URL"] == f"postgresql://ringback:{password}@127.0.0.1/ringback"


def test_the_emulators_belong_to_the_trial_alone():
    assert {name for name, one in services().items() if one.text.get("profiles")} == {
        "emulated-retell",
        "emulated-engage",
    }
