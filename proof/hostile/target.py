"""The system under attack: the real one over HTTP, every secret of it a canary, with honest calls in progress."""

import base64
import hmac
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from proof.findings import Findings
from proof.harness.http import Header, Reply, Request, send
from proof.harness.waiting import until
from proof.hostile.canaries import Canaries
from proof.hostile.peers import HostilePeers
from proof.invariants import Invariant
from ringback.embedded.server import PostgresServer
from tests.flows.event_processing import recordings
from tests.stories.running_system import RunningSystem

#: Incidents that the product reports on purpose.
FORESEEN = frozenset({"attempt.second_provider_call", "outbox.dead"})
TABLES = (
    *("calls", "tasks", "attempts", "provider_events", "outbox", "queue_messages", "suppressions", "contacts"),
    *("action_results", "dispositions", "notes", "field_writes", "inbound_calls", "gate_decisions"),
)
#: A refused request changes none of these: the number of rows of each table, the messages ever sent to a queue, and
#: the attempts.
_STATE = ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES if table != "queue_messages") + (
    ", coalesce(pg_sequence_last_value(pg_get_serial_sequence('queue_messages', 'id')::regclass), 0) AS messages_ever"
    ", (SELECT md5(coalesce(string_agg(a::text, ',' ORDER BY attempt_id), '')) FROM attempts a) AS attempts_are"
)

#: Retell's own tolerance: a genuine signature older or newer than this is a replay.
WINDOW_MS = 300_000
State = Mapping[str, object]


def digest(key: bytes, signed: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(key, signed, algorithm).hexdigest()


def genuine(body: bytes, key: str, at_ms: int) -> str:
    """By the provider's published rule, written down here once more: an oracle shares no code with what it judges."""
    return f"v={at_ms},d={digest(key.encode(), body + str(at_ms).encode())}"


@dataclass
class Target:
    """`ringback up` on a PostgreSQL of its own, with peers that repeat every request in their refusals."""

    home: Path
    canaries: Canaries
    log_format: str = "json"
    more_settings: Mapping[str, str] = field(default_factory=dict)
    peers: HostilePeers = field(default_factory=HostilePeers)
    postgres: PostgresServer | None = None
    system: RunningSystem | None = None
    #: Every refusal that was answered, for the search.
    refusals: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        assert self.system is not None, "started"
        return str(self.system.ready["url"])

    @property
    def database_url(self) -> str:
        assert self.system is not None, "started"
        return str(self.system.ready["database_url"])

    @property
    def webhook_key(self) -> str:
        return self.canaries.secrets["webhook"]

    def settings(self) -> dict[str, str]:
        secrets = self.canaries.secrets
        return {
            "RINGBACK_API_KEY": secrets["api"],
            "RETELL_API_KEY": secrets["retell"],
            "RETELL_WEBHOOK_KEY": secrets["webhook"],
            "RETELL_BASE_URL": self.peers.url,
            "RINGBACK_ENGAGE_URL": f"{self.peers.url}/engage",
            "RINGBACK_ENGAGE_SECRET": f"whsec_{secrets['engage']}",
            "RINGBACK_CALLING_HOURS": "always",
            "RINGBACK_CALLS_PER_SECOND": "100",
            "RINGBACK_MAX_LIVE_CALLS": "400",
            "RINGBACK_ATTEMPTS_PER_DAY": "0",
            "RINGBACK_ATTEMPT_GAP_S": "0",
            "RINGBACK_CREATE_TIMEOUT_S": "3",
            "RINGBACK_LOG_FORMAT": self.log_format,
            # An operator might set this to see more of the libraries.
            "RETELL_LOG": "debug",
            **self.more_settings,
        }

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.peers.start()
        self.postgres = PostgresServer(self.home / "database")
        plain = self.postgres.start()
        url = plain.replace("ringback@", f"ringback:{self.canaries.secrets['database']}@", 1)
        self.system = RunningSystem(self.home / "up", {**self.settings(), "RINGBACK_DATABASE_URL": url})
        self.system.start()

    def stop(self) -> int:
        """The exit code of `up`."""
        assert self.system is not None and self.postgres is not None, "started"
        code = self.system.stop()
        self.postgres.stop()
        self.peers.stop()
        return code

    def discard(self) -> None:
        """Leaves nothing running after any failure."""
        if self.system is not None:
            self.system.discard()
        if self.postgres is not None:
            self.postgres.stop()
        self.peers.stop()

    async def ask(self, request: Request) -> Reply:
        reply = await send(self.url, request)
        if reply.status >= 400:
            self.refusals.append(f"{reply.status} {reply.headers} {reply.text}")
        return reply

    async def query(self, statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database_url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return rows
        finally:
            await connection.close()

    async def state(self) -> State:
        return dict((await self.query(f"SELECT {_STATE}"))[0])

    async def drained(self) -> None:
        """Until every webhook taken has been applied, or is dead, or waits for its attempt."""

        async def probe() -> bool:
            waiting = "SELECT count(*) FROM queue_messages WHERE queue = 'events' AND dead_at IS NULL"
            return bool((await self.query(waiting))[0][0] == 0)

        await until(probe, "the event queue is empty")

    def logs(self) -> dict[str, str]:
        """The text of every log, by the file's name."""
        paths = [path for path in self.home.rglob("*.log")]
        return {path.name: path.read_text(errors="replace") for path in paths}

    def unforeseen(self) -> list[str]:
        """The lines of the level ERROR that hostile input must never cause: event, error and place."""
        assert self.system is not None, "started"
        lines = [entry for entry in self.system.logged("error") if entry["event"] not in FORESEEN]
        return [f"{entry['event'].strip()} {entry.get('error', '')} {entry.get('at', '')}" for entry in lines]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def lambda_event(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """As API Gateway passes a request to the Lambda (payload format 2.0)."""
    encoded = base64.b64encode(body).decode()
    event = {"version": "2.0", "routeKey": "POST /retell/webhook", "headers": headers, "body": encoded}
    return {**event, "isBase64Encoded": True}


PROBLEM = "application/problem+json"
#: The HTTP server's own, for what is no HTTP.
SERVERS_OWN = "Invalid HTTP request received."


def judge(
    found: Findings, invariant: Invariant, request: Request, reply: Reply, statuses: Collection[int] = ()
) -> None:
    """`statuses`: the permitted ones; none given: everything below 500."""
    wrong = fault(request, reply, statuses)
    if wrong:
        found.broke(
            invariant, f"{request.method} {request.target[:120]} ({request.name}): {wrong}", described(request, found)
        )
    found.tried(invariant)


def fault(request: Request, reply: Reply, statuses: Collection[int] = ()) -> str | None:
    if reply.status >= 500 or not reply.status:
        return f"answered {reply.status or 'nothing'}: {reply.text[:200]}"
    if statuses and reply.status not in statuses:
        return f"answered {reply.status}, not {sorted(statuses)}: {reply.text[:200]}"
    if reply.status < 400 or request.method == "HEAD" or reply.text == SERVERS_OWN:
        return None
    try:
        said = json.loads(reply.body)
        well_formed = said["status"] == reply.status and bool(said["code"]) and isinstance(said["errors"], list)
    except (ValueError, KeyError, TypeError):
        well_formed = False
    return (
        None
        if well_formed and reply.headers.get("content-type", "").partition(";")[0] == PROBLEM
        else f"answered {reply.status} with no problem: {reply.text[:200]}"
    )


def described(request: Request, found: Findings) -> str:
    headers = [(name, text[:200]) for name, text in request.headers if name not in ("authorization", "x-api-key")]
    return f"seed {found.seed}, {len(request.body)} bytes {request.body[:300]!r}, headers {headers}"


Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    call_id: str
    provider_call_id: str
    marks: Json


def with_key(target: Target, *more: Header) -> list[Header]:
    bearer = f"Bearer {target.canaries.secrets['api']}"
    return [("authorization", bearer), ("content-type", "application/json"), *more]


async def api(target: Target, method: str, path: str, body: Any = None, *more: Header) -> Reply:
    """A request as a system sends it, with its key."""
    content = b"" if body is None else json.dumps(body).encode()
    return await target.ask(Request(f"{method} {path}", method, path, with_key(target, *more), content))


def signed(target: Target, body: bytes, at_ms: int | None = None) -> list[Header]:
    signature = genuine(body, target.webhook_key, now_ms() if at_ms is None else at_ms)
    return [("content-type", "application/json"), ("x-retell-signature", signature)]


async def from_retell(target: Target, path: str, body: bytes | Json, name: str = "genuine") -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await target.ask(Request(name, "POST", path, signed(target, content), content))


def new_call(target: Target, phone: str, **more: Any) -> Json:
    words = target.canaries.words
    contact = {"contact_id": f"crm-{len(phone)}-{phone[-4:]}", "phone": phone, "fields": {"x": words["field"]}}
    variables = {"first_name": words["first_name"]}
    metadata = {"told": words["metadata"]}
    own = target.canaries.phones["own"]
    body = {"contact": contact, "agent_id": "agent_sales", "from_number": own, "variables": variables}
    return {**body, "metadata": metadata, **more}


async def accepted(target: Target, body: Json) -> str:
    reply = await api(target, "POST", "/v1/calls", body)
    assert reply.status == 202, (reply.status, reply.text)
    call_id: str = reply.json()["call_id"]
    return call_id


async def placed(target: Target, phone: str) -> Placed:
    """A call that rings, as the provider sees it. Its answer is recorded: nothing follows by itself."""
    call_id = await accepted(target, new_call(target, phone))

    async def rings() -> Placed | None:
        call = target.peers.rung_for(call_id)
        if not call or not await target.query("SELECT FROM attempts WHERE provider_call_id = $1", call["call_id"]):
            return None
        return Placed(call_id, call["call_id"], call["metadata"])

    return await until(rings, f"{call_id} rings")


def told(target: Target, call: Placed, event: str, **changes: Any) -> bytes:
    """The body of a genuine webhook of an answered call, in the canaries' words."""
    words = target.canaries.words
    talk = f"Agent: Hello {words['first_name']}.\nUser: {words['transcript']}\n"
    over = {"transcript": talk, "transcript_object": None, "to_number": target.canaries.phones["answered"]}
    if event != "call_started":
        changes = {**over, **changes}
    if event == "call_analyzed":
        changes = {"call_analysis": recordings.analysis(True, call_summary=words["summary"]), **changes}
    return recordings.play(recordings.COMPLETED, event, call.provider_call_id, call.marks, **changes).encode()


async def call_of(target: Target, call_id: str) -> Json:
    reply = await api(target, "GET", f"/v1/calls/{call_id}")
    assert reply.status == 200, reply.text
    call: Json = reply.json()
    return call


async def finished(target: Target, call: Placed) -> None:
    """Sends all webhooks of the call, which must then be final."""
    for event in ("call_started", "call_ended", "call_analyzed"):
        reply = await from_retell(target, "/retell/webhook", told(target, call, event))
        assert reply.status == 204, reply.status

    async def is_final() -> bool:
        return bool((await call_of(target, call.call_id))["final"])

    await until(is_final, f"{call.call_id} is final")
