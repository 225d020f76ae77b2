"""ringback retell: what is to be set up in Retell's dashboard."""

import json
from typing import Annotated

import typer

from ringback.cli.asking import DEFAULT_DATA_DIR, DataDir, settings_of
from ringback.config import SettingsError, process_environment, read_url

FUNCTIONS_PATH = "/v1/retell/functions"

app = typer.Typer(no_args_is_help=True, help="What is to be set up at Retell.")


@app.callback()
def group() -> None:
    """What is to be set up at Retell."""


@app.command()
def tools(
    url: Annotated[str | None, typer.Option(help="Where Retell reaches Ringback; RINGBACK_URL if absent.")] = None,
    args_at_root: Annotated[bool, typer.Option(help='For agents that send "args only".')] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Prints the custom functions as JSON, to be pasted into an agent's tools."""
    from ringback.domain.catalog import CatalogError
    from ringback.wiring import tool_definitions

    functions_url = (url or _known_url()).rstrip("/") + FUNCTIONS_PATH
    try:
        definitions = tool_definitions(settings_of(data_dir), functions_url, args_at_root=args_at_root)
    except (CatalogError, OSError) as error:
        raise SettingsError([f"RINGBACK_CATALOG: {error}"]) from None
    typer.echo(json.dumps(definitions, ensure_ascii=False, indent=2))


def _known_url() -> str:
    url = read_url(process_environment())
    if url is None:
        raise SettingsError(["RINGBACK_URL: must be set, or --url be given: where Retell reaches this installation"])
    return url
