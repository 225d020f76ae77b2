"""The production page, its proxy and its policies say what the processes do, and its commands run."""

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import asyncpg
import pytest
import typer.main
from click import Context

from ringback.cli import app
from ringback.embedded.binaries import find_binaries
from ringback.web.connections import IDLE_WITHIN_S
from tests.loopback import free_ports, status_of
from tests.postgresql import execute, named
from tests.stories.running_system import ask, clean_environment, wait_until

from .units import DEPLOY, EXECUTABLE, PUBLIC_PATHS, ROOT

PAGE = (ROOT / "docs" / "production.md").read_text()
PROXY = (DEPLOY / "nginx" / "ringback.conf").read_text()
COMMANDS = [re.sub(r"\\\n +", "", one) for one in re.findall(r"^ {4}(\S.*(?:(?<=\\)\n.*)*)$", PAGE, re.MULTILINE)]
INSIDE = ("/", "/metrics", "/readyz", "/healthz", "/docs", "/openapi.json", "/retell/webhook/x", "/v2/calls")


def process_of(path: str) -> str | None:
    """The process that the table of the page names for a path: the one with the longest prefix."""
    rows = re.findall(r"^\| `([a-z-]+)` \| \d{4} \| ([^|]+) \|", PAGE, re.MULTILINE)
    prefixes = {prefix.rstrip("…"): name for name, cell in rows for prefix in re.findall(r"`(/[^`]*)`", cell)}
    found = [prefix for prefix in prefixes if path.startswith(prefix)]
    return prefixes[max(found, key=len)] if found else None


def test_the_page_names_the_process_of_each_public_path():
    """The story of the processes finds these paths at these processes."""
    for name, requests in PUBLIC_PATHS.items():
        assert {process_of(request.split()[1]) for request in requests} == {name}


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[str]:
    """The URL of nginx with the page's configuration, without TLS. Behind it are servers that answer their name."""
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is missing, so deploy/nginx/ringback.conf was not tried: install the package nginx")
    servers = {name: ThreadingHTTPServer(("127.0.0.1", 0), partial(Named, name)) for name in PUBLIC_PATHS}
    ports = {"8080": "internal-api", "8081": "business-api", "8085": "webhook-receiver"}
    [port] = free_ports(1)
    text = re.sub(r"^ *ssl_.*\n", "", PROXY, flags=re.MULTILINE).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    for on_the_page, name in ports.items():
        text = text.replace(f"127.0.0.1:{on_the_page}", f"127.0.0.1:{servers[name].server_port}")
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{name}_temp_path {tmp_path}/{name};" for name in names)
    # As root nginx would give its workers another user, who may not write below tmp_path.
    user = "user root; " if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(
        f"{user}daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; {paths}\n{text}\n}}\n"
    )
    for server in servers.values():
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    running = subprocess.Popen([nginx, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: running.poll() is not None or _listens(port), 20, "nginx listens")
        assert running.poll() is None, running.communicate()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.communicate()
        for server in servers.values():
            server.shutdown()
            server.server_close()


class Named(BaseHTTPRequestHandler):
    def __init__(self, name: str, *args: object) -> None:
        self.own_name = name
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = json.dumps({"process": self.own_name, "received": len(body)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_the_proxy_passes_each_public_path_to_its_process_and_nothing_else(proxy):
    for name, requests in PUBLIC_PATHS.items():
        for request in requests:
            method, path = request.split()
            assert ask(method, proxy + path, {}).body["process"] == name, request
    for path in INSIDE:
        assert status_of("GET", proxy + path) == 404, path


def test_the_proxy_allows_the_sizes_that_ringback_allows(proxy):
    sizes = {"/retell/webhook": 6, "/v1/retell/functions/note_writeback": 6, "/v1/calls": 0.25, "/v1/actions/x": 0.25}
    for path, mib in sizes.items():
        fits = int(mib * 1024 * 1024)
        assert ask("POST", proxy + path, "x" * (fits - 2)).body["received"] == fits
        assert status_of("POST", proxy + path, b"x" * (fits + 1)) == 413, path


def test_the_proxy_closes_idle_connections_before_ringback_does():
    timeouts = re.findall(r"keepalive_timeout (\d+)s;", PROXY)
    assert len(timeouts) == len(PUBLIC_PATHS)
    assert max(map(int, timeouts)) < IDLE_WITHIN_S


def test_the_policies_allow_the_operations_that_the_queues_use_and_no_more():
    sources = {path.stem: path.read_text() for path in (ROOT / "src/ringback/adapters/sqs").glob("*.py")}
    called = {
        name: set(re.findall(r"(?:calls|polls|client)\.([a-z]+_[a-z_]+)[(,]", text)) for name, text in sources.items()
    }
    assert _allowed("lambda-policy") == _actions(called["sender"]) == {"sqs:SendMessage"}
    assert _allowed("processes-policy") == _actions(set().union(*called.values()))


def _actions(operations: set[str]) -> set[str]:
    """The IAM actions of botocore's operations. A batch needs the action of its single operation."""
    single = {name.removesuffix("_batch") for name in operations}
    return {"sqs:" + "".join(word.capitalize() for word in name.split("_")) for name in single}


def _allowed(name: str) -> set[str]:
    [statement] = json.loads((DEPLOY / "aws" / f"{name}.json").read_text())["Statement"]
    queues = {arn.rpartition(":")[2] for arn in statement["Resource"]}
    created = set(re.findall(r"create-queue --queue-name (\S+)", PAGE))
    assert queues == ({"ringback-events"} if name == "lambda-policy" else created)
    return set(statement["Action"])


def test_each_command_of_ringback_on_the_page_has_the_options_that_it_names():
    commands = [shlex.split(one)[1:] for one in COMMANDS if one.startswith(EXECUTABLE)]
    assert len(commands) >= 8
    for words in commands:
        command, rest = typer.main.get_command(app), words
        while hasattr(command, "commands") and rest and rest[0] in command.commands:
            command, rest = command.commands[rest[0]], rest[1:]
        if rest != ["--version"]:
            assert command.make_context(words[0], list(rest), Context(command)), words


def test_the_release_has_the_versions_that_were_tested():
    pins = {
        name: set(
            re.findall(r"^([a-z0-9_.-]+==\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
        )
        for name in ("production", "dev")
    }
    assert len(pins["production"]) > 50
    assert pins["production"] < pins["dev"]


def test_the_lambda_needs_the_package_and_botocore_alone(tmp_path):
    """The commands of the page make the archive. AWS's Python runtime has botocore and its own dependencies."""
    build = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True, capture_output=True)
    for command in COMMANDS:
        if "-m zipfile" in command:
            words = shlex.split(command.replace("/opt/ringback/current/bin/python", sys.executable))
            subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    assert "ringback/services/webhook_lambda.py" in zipfile.ZipFile(tmp_path / "lambda.zip").namelist()
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path / "lambda.zip")!r})
from ringback.services.webhook_lambda import handler
print(handler({{"headers": {{}}, "body": "{{}}"}}, None)["statusCode"])
files = {{name.split(".")[0]: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}}
print(*sorted(name for name, file in files.items() if "site-packages" in file))
"""
    queue = "https://sqs.us-east-1.amazonaws.com/123456789012/ringback-events"
    env = clean_environment({"RINGBACK_EVENT_QUEUE": queue, "RETELL_WEBHOOK_KEY": "key_1"})
    # Without the site module no editable installation of this checkout is on the path.
    packages = str(Path(asyncpg.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**env, "PYTHONPATH": packages},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    status, imported = ran.stdout.splitlines()
    assert status == "401"
    assert set(imported.split()) <= {"botocore", "certifi", "dateutil", "jmespath", "six", "urllib3"}


def test_the_backup_of_the_page_is_restored_paused(server_url, database_url, tmp_path):
    columns = "(suppression_id, phone, reason, source, created_at)"
    row = f"{columns} VALUES (gen_random_uuid(), '+14155550100', 'asked', 'api', now())"
    create = ("DROP DATABASE IF EXISTS restored_by_the_page", "CREATE DATABASE restored_by_the_page")
    asyncio.run(execute(database_url, f"INSERT INTO suppressions {row}"))
    asyncio.run(execute(server_url, *create))
    restored = named(server_url, "restored_by_the_page")
    path = f"{find_binaries().postgres.parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "RINGBACK_DATABASE_URL": database_url, "RESTORED_URL": restored}
    steps = [one for one in COMMANDS if one.startswith(("pg_dump", "psql"))]
    assert len(steps) == 4
    for step in steps:
        subprocess.run(["sh", "-ec", step], env=env, cwd=tmp_path, check=True, capture_output=True)
    phone, reason = asyncio.run(_restored(restored))
    assert (phone, reason) == ("+14155550100", "restored")


async def _restored(url: str) -> tuple[str, str]:
    connection = await asyncpg.connect(url)
    try:
        phone = await connection.fetchval("SELECT phone FROM suppressions")
        return phone, await connection.fetchval("SELECT pause_reason FROM installation WHERE paused_at <= now()")
    finally:
        await connection.close()
