"""A client that is generated from /openapi.json places a call and reads it back."""

import importlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from .running_system import SystemClient, new_call

GENERATOR = Path(__file__).parents[2] / ".venv-client" / "bin" / "openapi-python-client"


class GeneratedClient:
    """The modules of the generated package, and a connection."""

    def __init__(self, name: str, client: SystemClient) -> None:
        self.name = name
        self.models = importlib.import_module(f"{name}.models")
        connection = importlib.import_module(f"{name}.client").AuthenticatedClient
        self.connection = connection(base_url=client.url, token=client.api_key)

    def operation(self, tag: str, name: str) -> ModuleType:
        return importlib.import_module(f"{self.name}.api.{tag}.{name}")


@pytest.fixture(scope="module")
def generated(client: SystemClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GeneratedClient]:
    assert GENERATOR.exists(), f"{GENERATOR} is missing: `make test` builds the environment of the generator"
    home, name = tmp_path_factory.mktemp("generated"), "ringback_generated_client"
    with urllib.request.urlopen(f"{client.url}/openapi.json", timeout=20) as answer:
        (home / "openapi.json").write_bytes(answer.read())
    (home / "config.json").write_text(json.dumps({"post_hooks": []}))
    command = [str(GENERATOR), "generate", "--path", "openapi.json", "--config", "config.json", "--meta", "none"]
    made = subprocess.run(
        [*command, "--output-path", name, "--fail-on-warning"], cwd=home, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(home)
        yield GeneratedClient(name, client)


def test_it_places_a_call_and_reads_the_call_and_its_events_back(
    client: SystemClient, generated: GeneratedClient
) -> None:
    models, connection = generated.models, generated.connection
    given = new_call("+16465550100", variables={"first_name": "Ada"}, metadata={"campaign": "spring"})
    retry = {"max_attempts": 2, "rules": {"no_answer": [60, 600], "voicemail": [3600]}}
    body = models.CallRequest.from_dict({**given, "retry": retry})
    assert isinstance(body.retry, models.RetryPolicy)
    assert body.to_dict()["retry"] == retry
    place = generated.operation("voice_api", "place_call")
    accepted = place.sync(client=connection, body=body, idempotency_key="generated-1")
    assert isinstance(accepted, models.AcceptedCall)
    assert place.sync(client=connection, body=body, idempotency_key="generated-1").call_id == accepted.call_id
    client.wait_final(accepted.call_id)

    call = generated.operation("voice_api", "get_call").sync(accepted.call_id, client=connection)
    assert isinstance(call, models.Call)
    assert (call.status, call.final, [one.number for one in call.attempts]) == ("completed", True, [1])
    assert call.to_dict() == client.call(accepted.call_id)

    events, after, has_more = [], "0-0", True
    while has_more:
        page = generated.operation("operator", "list_events").sync(client=connection, after=after, limit=200)
        events += [item.event for item in page.items if item.event.subject == accepted.call_id]
        after, has_more = page.next_cursor, page.has_more
    assert [type(event) for event in events] == [models.CallInitiated, models.CallStarted, models.CallCompleted]
    assert events[-1].data.analysis.successful is True


def test_it_reads_a_refusal_as_a_problem(generated: GeneratedClient) -> None:
    refused = generated.operation("voice_api", "get_call").sync("no-such-call", client=generated.connection)
    assert isinstance(refused, generated.models.Problem)
    assert (refused.status, refused.code) == (404, "not_found")
