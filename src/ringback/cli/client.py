"""The HTTP client of the commands."""

import json
from pathlib import Path
from typing import Any

import typer

from ringback.cli.settings import UP_FILE
from ringback.config import process_environment, read_access


def request(data_dir: Path, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Return the parsed response. On a problem, print all its errors and end the command with exit code 1."""
    import urllib.error
    import urllib.request

    access = read_access(process_environment(), data_dir / UP_FILE)
    headers = {"Authorization": f"Bearer {access.api_key}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    message = urllib.request.Request(access.url + path, content, headers, method=method)
    # An internal API has no proxy, even if the environment names one.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(message, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        typer.echo("\n".join(_problem_lines(error.code, error.read())), err=True)
    except (OSError, ValueError) as error:
        typer.echo(f"no usable answer from {access.url}: {type(error).__name__}", err=True)
    raise typer.Exit(1)


def _problem_lines(status: int, body: bytes) -> list[str]:
    try:
        problem = json.loads(body)
        errors = [f"  {error['pointer']}: {error['message']}" for error in problem["errors"]]
        return [f"{status}: {problem['detail']}", *errors]
    except (ValueError, KeyError, TypeError):
        return [f"{status}"]
