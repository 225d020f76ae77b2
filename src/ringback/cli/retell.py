"""ringback retell: the functions of an agent, to set up at Retell and to try here."""

import json
import time
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from ringback.cli.client import send
from ringback.cli.output import print_json, print_sentences, visible
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, fail, settings_of
from ringback.config import SettingsError, process_environment, read_access_url, read_url
from ringback.up.state import UP_FILE

FUNCTIONS_PATH = "/v1/retell/functions"
#: Paths that are set up at Retell, or opened in a browser, and so are in the clipboard.
OWN_PATHS = (FUNCTIONS_PATH, "/v1/retell/inbound", "/retell/webhook", "/docs")
#: Names that the public DNS does not have: RFC 6761, 6762, 8375, and ICANN's .internal.
LOCAL_DOMAINS = (".localhost", ".local", ".internal", ".lan", ".test", ".invalid", ".home.arpa")
#: Retell's dashboard tries functions with this call id, and Ringback then writes nothing.
PLAYGROUND = "playground"

#: On stderr, so that stdout is JSON alone. Paths of retell-sdk 6.2.13.
HOW_TO_PASTE = """\

How to paste it into an agent:
- In the dashboard, add a custom function for each object. Copy its name, description and url, and `parameters` as the
  JSON schema. Set timeout, retries and the two switches for speech as they are here.
- Or by Retell's API, all at once: the list is `general_tools` of PATCH /update-retell-llm/{llm_id}. It replaces the
  agent's list, so add what that has already (end_call, transfer_call, ...).
Keep the names, and publish the agent. Try one here: ringback retell try note_writeback --args '{"note": "Hello."}'"""

app = typer.Typer(no_args_is_help=True, help="The agent's functions at Retell.")


@app.callback()
def retell() -> None:
    """Show what is to be set up at Retell, and try an agent's function."""


@app.command()
def tools(
    url: Annotated[str | None, typer.Option(help="Where Retell reaches Ringback; RINGBACK_URL if absent.")] = None,
    args_at_root: Annotated[bool, typer.Option(help='For agents that send "args only".')] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print the agent's functions as JSON. They are ready to be pasted into its tools at Retell.

    Retell's servers call them, so the URL must be reachable from outside.
    """
    from ringback.wiring import tool_definitions

    known_url = url or read_url(process_environment())
    if known_url is None:
        raise SettingsError(["RINGBACK_URL: must be set, or --url be given: where Retell reaches this installation"])
    if fault := _fault_of(known_url):
        raise SettingsError([f"{'--url' if url else 'RINGBACK_URL'}: {fault}"])
    functions_url = known_url.rstrip("/") + FUNCTIONS_PATH
    print_json(tool_definitions(settings_of(data_dir), functions_url, args_at_root=args_at_root))
    typer.echo(HOW_TO_PASTE, err=True)


def _fault_of(url: str) -> str | None:
    """Say why Retell's servers could not call functions below this URL. None: nothing speaks against it."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme != "https" or not host:
        return "must begin with https:// and have a host, because phone numbers travel to it"
    if parts.query or parts.fragment or parts.username is not None:
        return "must have neither a query, nor a fragment, nor a user's name"
    if parts.path.rstrip("/").endswith(OWN_PATHS):
        return f"must be the address of the installation alone: {FUNCTIONS_PATH} is added to it"
    try:
        is_local = not ip_address(host).is_global
    except ValueError:
        is_local = "." not in host.rstrip(".") or host.rstrip(".").endswith(LOCAL_DOMAINS)
    return f"Retell cannot reach {visible(host)}: give the public address of this installation" if is_local else None


@app.command("try")
def try_function(
    action: Annotated[str, typer.Argument(help="One of the functions of `ringback retell tools`.")],
    args: Annotated[str, typer.Option(help="The arguments as the agent would give them, a JSON object.")] = "{}",
    call_id: Annotated[
        str, typer.Option(help="Retell's id of a call. With a real one the function does its work.")
    ] = PLAYGROUND,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Call a function as Retell's agent would, signed. Nothing is written unless --call-id names a call."""
    from ringback.adapters.retell.signature import sign

    try:
        arguments = json.loads(args)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise typer.BadParameter('--args is a JSON object, for example \'{"when": "tomorrow at 3pm"}\'')
    body = json.dumps({"name": action, "call": {"call_id": call_id}, "args": arguments}).encode()
    url = read_access_url(process_environment(), data_dir / UP_FILE)
    settings = settings_of(data_dir)
    keys = settings.retell_webhook_key
    if not keys:
        raise SettingsError(["RETELL_WEBHOOK_KEY: must be set to sign as Retell does"])
    headers = {"x-retell-signature": sign(body, keys[0], int(time.time() * 1000))}
    status, reply = send(url, "POST", f"{FUNCTIONS_PATH}/{action}", body, headers)
    if status == 401:
        raise SettingsError([f"RETELL_WEBHOOK_KEY: {url} does not accept a signature with this key"])
    if status == 404:
        hint = "where each process has its own address, RINGBACK_URL is the business API's"
        fail(f"{url} has no function {visible(action)} for agents: see ringback retell tools; {hint}")
    if status != 200:
        fail(f"{url} responded {status}; the agent would get no reply")
    if as_json:
        print_json(reply)
    else:
        from ringback.wiring import read_catalog

        is_silent = not read_catalog(settings).tools[action].speak_after_execution
        print_sentences(_heard(action, reply, is_silent=is_silent))
        if call_id == PLAYGROUND:
            print_sentences(["Nothing was written: this was the playground."])
    if not reply["ok"]:
        raise typer.Exit(1)


def _heard(action: str, reply: dict[str, Any], *, is_silent: bool) -> list[str]:
    """Say what the agent hears of a reply, and what its model reads."""
    said = visible(reply["say"])
    heard = [f"The agent would hear: {said}"]
    if is_silent:
        heard = [
            f"The agent hears nothing: {action} is silent, because the catalogue has speak_after_execution = false.",
            f"The model reads in its next turn: {said}",
        ]
    result = [f"The model reads as the result: {visible(reply['result'])}"] if reply.get("result") else []
    return [*heard, f"The code is {reply['code']}.", *result]
