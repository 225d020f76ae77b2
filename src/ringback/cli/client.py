"""The HTTP client of the commands. It uses the standard library, because an HTTP library would double their start."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from ringback.config import SettingsError, process_environment, read_access
from ringback.up.state import UP_FILE

TIMEOUT_S = 30


def request(data_dir: Path, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Return the parsed response. On a problem, print all its errors and end the command with exit code 1.

    Raises SettingsError if no Ringback responds at the address, or if it does not accept the key.
    """
    access = read_access(process_environment(), data_dir / UP_FILE)
    content = None if body is None else json.dumps(body).encode()
    status, answer = send(access.url, method, path, content, {"Authorization": f"Bearer {access.api_key}"})
    if 200 <= status < 300:
        return answer
    if status == 401:
        raise SettingsError([f"RINGBACK_API_KEY: {access.url} does not accept this key; list them: ringback keys list"])
    try:
        errors = [f"  {error['pointer']}: {error['message']}" for error in answer["errors"]]
        lines = [f"{status}: {answer['detail']}", *errors]
    except (KeyError, TypeError):
        lines = [f"{access.url} answered {status}: its log has the reason"]
    typer.echo("\n".join(lines), err=True)
    raise typer.Exit(1)


def send(url: str, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> tuple[int, Any]:
    """Return the status and the parsed body. Raises SettingsError if no Ringback responds there."""
    import http.client
    import urllib.error
    import urllib.request

    message = urllib.request.Request(
        url + path, content, {"Content-Type": "application/json", **headers}, method=method
    )
    # An internal API has no proxy, even if the environment names one.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(message, timeout=TIMEOUT_S) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        try:
            return error.code, json.loads(error.read())
        except (OSError, ValueError):
            raise _no_ringback(url) from None
    except TimeoutError:
        raise SettingsError(
            [f"the Ringback at {url} did not respond in {TIMEOUT_S} s: read its log, then try again"]
        ) from None
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or type(error.reason).__name__
        advice = "start it with ringback up, or correct RINGBACK_URL"
        raise SettingsError([f"no Ringback responds at {url} ({reason}): {advice}"]) from None
    except (OSError, http.client.HTTPException, ValueError):
        raise _no_ringback(url) from None


def _no_ringback(url: str) -> SettingsError:
    return SettingsError([f"what responds at {url} is no Ringback: correct RINGBACK_URL"])
