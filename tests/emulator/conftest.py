"""A running emulated Retell, and a receiver of its webhooks and function calls."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from retell import AsyncRetell
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback_emulator import retell
from ringback_emulator.settings import RetellEmulatorSettings
from tests.loopback import free_ports

API_KEY = "key_rest"
WEBHOOK_KEY = "key_webhook_badge"
CREATE_BODY = {
    "from_number": "+14155550199",
    "to_number": "+12125550100",
    "override_agent_id": "agent_sales",
}


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    port = free_ports(1)[0]
    config = uvicorn.Config(app, port=port, log_level="error", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    # serve() and shutdown() would take the test runner's signal handlers and a tenth of a second each.
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield f"http://127.0.0.1:{port}"
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    await server.lifespan.shutdown()


async def until(question: Callable[[], Awaitable[Any]], timeout_s: float = 30.0) -> Any:
    """Ask until the result is true, and return it."""
    async with asyncio.timeout(timeout_s):
        while not (answer := await question()):
            await asyncio.sleep(0.01)
    return answer


@dataclass
class Receiver:
    """A receiver that keeps all webhooks and function calls.

    `rejections` is the number of webhooks of each event that are answered 503.
    `function_statuses`, `function_says` and `inbound_answers` are used one by one. The last inbound answer is kept.
    """

    url: str = ""
    webhooks: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    functions: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    rejections: dict[str, int] = field(default_factory=dict)
    function_statuses: list[int] = field(default_factory=list)
    function_says: list[str] = field(default_factory=list)
    inbound: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    inbound_answers: list[tuple[int, Any]] = field(default_factory=lambda: [(200, {"call_inbound": {}})])

    def app(self) -> Starlette:
        async def webhook(request: Request) -> Response:
            body = await request.body()
            self.webhooks.append((body, dict(request.headers)))
            event = json.loads(body)["event"]
            self.rejections[event] = self.rejections.get(event, 0) - 1
            return Response(status_code=503 if self.rejections[event] >= 0 else 204)

        async def function(request: Request) -> Response:
            self.functions.append((request.path_params["name"], await request.body(), dict(request.headers)))
            status = self.function_statuses.pop(0) if self.function_statuses else 200
            say = self.function_says.pop(0) if self.function_says else "I will call you tomorrow at three."
            return JSONResponse({"ok": status == 200, "say": say}, status_code=status)

        async def inbound(request: Request) -> Response:
            self.inbound.append((await request.body(), dict(request.headers)))
            kept = len(self.inbound_answers) == 1
            status, answer = self.inbound_answers[0] if kept else self.inbound_answers.pop(0)
            return Response(answer if isinstance(answer, str) else json.dumps(answer), status_code=status)

        return Starlette(
            routes=[
                Route("/hook", webhook, methods=["POST"]),
                Route("/functions/{name}", function, methods=["POST"]),
                Route("/inbound", inbound, methods=["POST"]),
            ]
        )

    def function_bodies(self, call_id: str | None = None) -> list[dict[str, Any]]:
        """Return the bodies of all function calls, or those of one phone call."""
        bodies = [json.loads(body) for _, body, _ in self.functions]
        return bodies if call_id is None else [body for body in bodies if body["call"]["call_id"] == call_id]

    def events(self, call_id: str) -> list[str]:
        bodies = [json.loads(body) for body, _ in self.webhooks]
        return [body["event"] for body in bodies if body["call"]["call_id"] == call_id]

    def body(self, call_id: str, event: str) -> dict[str, Any]:
        bodies = [json.loads(body) for body, _ in self.webhooks]
        return next(body for body in bodies if body["event"] == event and body["call"]["call_id"] == call_id)


@dataclass
class RunningEmulator:
    """A served emulator with two clients: the official SDK (strict validation) and a plain HTTP client."""

    url: str
    receiver: Receiver
    sdk: AsyncRetell
    http: httpx.AsyncClient
    state_dir: Path

    async def place(self, to_number: str, **fields: Any) -> Any:
        fields = {"override_agent_id": "agent_sales", **fields}
        return await self.sdk.call.create_phone_call(from_number="+14155550199", to_number=to_number, **fields)

    async def post(self, body: Any, **kwargs: Any) -> httpx.Response:
        return await self.http.post("/v2/create-phone-call", json=body, **kwargs)

    async def set_faults(self, **faults: Any) -> None:
        assert (await self.http.post("/emulator/retell/faults", json=faults)).status_code == 204

    async def rings(self) -> list[dict[str, Any]]:
        return (await self.http.get("/emulator/retell/rings")).json()["items"]

    async def receive_inbound_call(self, from_number: str = "+14155550150", **fields: Any) -> dict[str, Any]:
        body = {"from_number": from_number, "to_number": "+14155550199", **fields}
        answer = await self.http.post("/emulator/retell/inbound", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, call_id: str) -> dict[str, Any]:
        return (await self.http.get(f"/v2/get-call/{call_id}")).json()

    async def find(self, **criteria: Any) -> list[str]:
        page = await self.sdk.call.list(filter_criteria=criteria)
        return [item.call_id for item in page.items]

    async def finished(self, call_id: str) -> dict[str, Any]:
        async def analyzed() -> dict[str, Any] | None:
            call = await self.get(call_id)
            return call if "call_analysis" in call else None

        return await until(analyzed)


@asynccontextmanager
async def running_emulator(settings: RetellEmulatorSettings) -> AsyncIterator[RunningEmulator]:
    receiver = Receiver()
    async with served(receiver.app()) as receiver.url:
        settings = replace(
            settings,
            webhook_url=settings.webhook_url or f"{receiver.url}/hook",
            functions_url=f"{receiver.url}/functions",
            inbound_url=f"{receiver.url}/inbound",
        )
        async with served(retell.create_app(settings)) as url:
            # Loading the certificate store would take most of a test's time, and nothing here is encrypted.
            plain = httpx.AsyncClient(verify=False)
            sdk = AsyncRetell(
                api_key=API_KEY, base_url=url, http_client=plain, _strict_response_validation=True, max_retries=0
            )
            headers = {"authorization": f"Bearer {API_KEY}"}
            async with sdk, httpx.AsyncClient(base_url=url, headers=headers, verify=False) as http:
                yield RunningEmulator(url, receiver, sdk, http, settings.state_dir)


@pytest.fixture
def settings(tmp_path) -> RetellEmulatorSettings:
    return RetellEmulatorSettings(
        state_dir=tmp_path / "retell", api_key=API_KEY, webhook_key=WEBHOOK_KEY, control_key=API_KEY, speed=400.0
    )


@pytest.fixture
async def emulator(settings) -> AsyncIterator[RunningEmulator]:
    async with running_emulator(settings) as running:
        yield running


@pytest.fixture
def open_emulator() -> Callable[[RetellEmulatorSettings], Any]:
    """Open an emulator with other settings, or the same emulator again after a stop."""
    return running_emulator


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[Any]]:
    return until


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def serve() -> Callable[[Starlette], Any]:
    return served
