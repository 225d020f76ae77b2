"""Check every target of an installation's settings, and advise how to repair it."""

from collections.abc import Awaitable, Callable, Mapping, Sized
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ringback.domain.eligibility import MAX_CLOCK_SKEW_S
from ringback.domain.errors import ErasureKeyMissing, Permanent, ProviderUnavailable, Retryable
from ringback.domain.operations import MOST_WAITING, AgentWebhook, ServerFacts, WorkFacts, counted, masked_url
from ringback.flows.operator.dead_letters import DeadLetterSource
from ringback.ports import Clock, MessageQueue

OLDEST_SERVER = 140000
#: A row that waits longer than this is late.
LATE_S = 300.0
#: Without one of these a call is finished by polling, later.
WANTED_EVENTS = ("call_started", "call_ended", "call_analyzed")


class Database(Protocol):
    """Facts of the database. All methods raise StoreUnavailable."""

    async def server(self) -> ServerFacts: ...
    async def work(self) -> WorkFacts: ...
    async def check_erasure_key(self) -> None:
        """Raise ErasureKeyMissing without a key under which erased people are hashed."""
        ...


class Statistics(Protocol):
    async def check_since(self, hour: datetime, limit: int) -> Sized:
        """Return the cells of these hours that differ, and those of up to `limit` of their attempts that were counted
        otherwise. Raises StoreUnavailable."""
        ...


class Account(Protocol):
    """The provider's account. Both methods raise ProviderUnavailable for anything but a clear answer."""

    async def owner(self) -> str | None:
        """The organisation that owns the API key. None if the key is refused."""
        ...

    async def agent_webhook(self, agent_id: str) -> AgentWebhook | None:
        """The webhook of an agent. None: the account has no such agent."""
        ...


class EngageProbe(Protocol):
    async def status(self) -> int:
        """The status of a request that delivers nothing. Raises Retryable if there is no response."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `advice` says how to repair it. A warning is no fault, but may surprise the operator."""

    subject: str
    said: str
    advice: str = ""
    wrong: bool = False
    warning: bool = False


def _wrong(subject: str, said: str, advice: str) -> Check:
    return Check(subject, said, advice, wrong=True)


def warn(subject: str, said: str, advice: str = "") -> Check:
    return Check(subject, said, advice, warning=True)


@dataclass(frozen=True, slots=True)
class DiagnosticTargets:
    """Targets of the settings. A target that could not be opened is its error. None is not configured.

    `known_elsewhere` has the settings that a running system has and this process lacks. They are not wrong.
    """

    clock: Clock
    database: Database | Retryable | None
    outbox: DeadLetterSource | None
    queues: Mapping[str, MessageQueue | Retryable]
    account: Account | None
    api_key: str | None
    webhook_keys: tuple[str, ...]
    engage: EngageProbe | None
    engage_url: str | None
    known_elsewhere: frozenset[str] = frozenset()
    statistics: Statistics | None = None


async def diagnose(
    targets: DiagnosticTargets, agent_id: str | None = None, webhook_url: str | None = None
) -> list[Check]:
    """Run all checks. Reads only. An unavailable target is a finding: a failing check hides no other."""
    checks = await _database(targets)
    for subject, queue in targets.queues.items():
        checks += await _queue(subject, queue)
    checks += await _retell(targets, agent_id, webhook_url)
    return [*checks, *await _engage(targets)]


def _not_known(subject: str, setting: str) -> Check:
    return warn(subject, f"{setting} of the running system is not known here, so this is not checked")


async def _engage(targets: DiagnosticTargets) -> list[Check]:
    if targets.engage is None or targets.engage_url is None:
        if "RINGBACK_ENGAGE_URL" in targets.known_elsewhere:
            return [_not_known("Engage", "RINGBACK_ENGAGE_URL")]
        said = "none is configured: events and CRM writes wait in the outbox"
        return [warn("Engage", said, "set RINGBACK_ENGAGE_URL and RINGBACK_ENGAGE_SECRET")]
    url = masked_url(targets.engage_url)
    try:
        status = await targets.engage.status()
    except Retryable as error:
        return [_wrong("Engage", f"{url}: {error}", "start it, or correct RINGBACK_ENGAGE_URL; events wait meanwhile")]
    # 501: the server is there, and does not know the method of a request that delivers nothing.
    if status >= 500 and status != 501:
        return [_wrong("Engage", f"{url} responds {status}", "repair it; events wait meanwhile")]
    # Any status shows that an HTTP server is there. Only an event can show that it accepts events.
    return [Check("Engage", f"{url} responds; only an event can prove the secret")]


async def _database(targets: DiagnosticTargets) -> list[Check]:
    database = targets.database
    if database is None:
        if "RINGBACK_DATABASE_URL" in targets.known_elsewhere:
            return [_not_known("database", "RINGBACK_DATABASE_URL")]
        return [_wrong("database", "none is configured", "set RINGBACK_DATABASE_URL")]
    try:
        if isinstance(database, Retryable):
            raise database
        asked_at = targets.clock.now()
        server = await database.server()
        answered_at = targets.clock.now()
        checks = _server_checks(server, asked_at + (answered_at - asked_at) / 2)
        if not checks[-1].wrong:
            checks += _work_checks(await database.work(), server.now)
            checks.append(await _erasure_key(database, targets))
            checks += [await _numbers(targets.statistics, server.now)] if targets.statistics is not None else []
            checks += [await _dead("outbox", targets.outbox)] if targets.outbox is not None else []
    except Retryable as error:
        return [_unavailable("database", error, "start it, or correct RINGBACK_DATABASE_URL")]
    return checks


async def _erasure_key(database: Database, targets: DiagnosticTargets) -> Check:
    try:
        await database.check_erasure_key()
    except ErasureKeyMissing:
        if "RINGBACK_ERASURE_KEY" in targets.known_elsewhere:
            return _not_known("erasure key", "RINGBACK_ERASURE_KEY")
        said = "a key that hashed erased people is missing: no call is accepted or dialed"
        return _wrong("erasure key", said, "set RINGBACK_ERASURE_KEY to every key in use, the newest first")
    return Check("erasure key", "no key in use is missing")


async def _numbers(statistics: Statistics, now: datetime) -> Check:
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    differing = len(await statistics.check_since(since, 1000))
    if differing:
        advice = (
            "see whether the scheduler runs; after a change of RINGBACK_REPORT_ZONE run: ringback analytics rebuild"
        )
        one, many = "number of the last hours differs from its rows", "numbers of the last hours differ from their rows"
        return _wrong("analytics", counted(differing, one, many), advice)
    return Check("analytics", "the numbers of the last hours equal their rows")


def _server_checks(server: ServerFacts, local_now: datetime) -> list[Check]:
    """The version, the clock and, last, the schema."""
    version = Check("database", f"PostgreSQL {server.server}")
    if server.server_number < OLDEST_SERVER:
        version = _wrong("database", version.said, "use PostgreSQL 14 or newer")

    skew_s = (server.now - local_now).total_seconds()
    clock = Check("clock", f"the database's is {skew_s:+.3f} s off ours")
    if abs(skew_s) > MAX_CLOCK_SKEW_S:
        said = f"the database's is {skew_s:+.1f} s off ours: dialing waits"
        clock = _wrong("clock", said, "synchronise both (NTP)")

    if server.schema == server.newest:
        schema = Check("schema", f"{server.schema}, the newest")
    elif server.schema is not None and server.schema > server.newest:
        schema = Check("schema", f"{server.schema}, made by a newer version; this program knows {server.newest}")
    else:
        found = "no tables yet" if server.schema is None else f"stands at {server.schema}"
        schema = _wrong("schema", f"{found}, this program wants {server.newest}", "run: ringback db upgrade")
    return [version, clock, schema]


def _work_checks(work: WorkFacts, now: datetime) -> list[Check]:
    """Dialing, the breaker and the outbox."""
    dialing, breaker = Check("dialing", "not paused"), Check("breaker", "closed")
    if work.paused_at is not None:
        because = f": {work.pause_reason}" if work.pause_reason else ""
        dialing = warn("dialing", f"paused{because}", "to go on, run: ringback resume")
    if work.breaker_until is not None:
        said = f"open ({work.breaker_reason}), next try {work.breaker_until:%H:%M:%S} UTC"
        breaker = _wrong("breaker", said, "Retell refuses the account: look at its key, balance and limits")

    late_s = (now - work.oldest).total_seconds() if work.oldest is not None else 0.0
    waiting = f"more than {MOST_WAITING} rows wait"
    if work.waiting <= MOST_WAITING:
        waiting = counted(work.waiting, "row waits", "rows wait")
    outbox = Check("outbox", f"{waiting}, the oldest for {late_s:.0f} s")
    if late_s > LATE_S:
        advice = "see whether the processes run, and whether Engage and the queues answer"
        outbox = _wrong("outbox", outbox.said, advice)
    failed = work.failed_delivery
    if failed is None:
        return [dialing, breaker, outbox]
    end = "and was given up" if failed.is_dead else "and is tried again"
    said = f"the last one failed with {failed.error} after {counted(failed.tries, 'try', 'tries')} {end}"
    return [dialing, breaker, outbox, warn("deliveries", said, "look at Engage's side")]


async def _queue(subject: str, queue: MessageQueue | Retryable) -> list[Check]:
    try:
        if isinstance(queue, Retryable):
            raise queue
        return [
            Check(subject, counted(await queue.depth(), "message waits", "messages wait")),
            await _dead(subject, queue),
        ]
    except Retryable as error:
        return [_unavailable(subject, error, "see whether it exists, and may be used from here")]
    except Permanent as error:
        return [_wrong(subject, str(error), "give it a redrive policy with a dead-letter queue")]


async def _dead(subject: str, place: DeadLetterSource | MessageQueue) -> Check:
    count = await place.dead_letter_count()
    if count:
        return _wrong(subject, counted(count, "dead letter", "dead letters"), "run: ringback dead-letters list")
    return Check(subject, "no dead letters")


async def _retell(targets: DiagnosticTargets, agent_id: str | None, webhook_url: str | None) -> list[Check]:
    account = targets.account
    if account is None:
        if "RETELL_API_KEY" in targets.known_elsewhere:
            return [_not_known("Retell API key", "RETELL_API_KEY")]
        return [_wrong("Retell API key", "not set", "set RETELL_API_KEY")]
    checks = [await _asked("Retell API key", lambda: _api_key(account)), _webhook_key(targets)]
    if agent_id is not None:
        checks.append(await _asked("agent's webhook", lambda: _agent(account, agent_id, webhook_url)))
    return checks


async def _asked(subject: str, check: Callable[[], Awaitable[Check]]) -> Check:
    try:
        return await check()
    except ProviderUnavailable as error:
        return _unavailable(subject, error, "see whether Retell can be reached from here, and RETELL_BASE_URL")


async def _api_key(account: Account) -> Check:
    owner = await account.owner()
    if owner is None:
        return _wrong("Retell API key", "Retell refuses it", "set RETELL_API_KEY to a key of the account")
    return Check("Retell API key", f"accepted, of {owner}")


def _webhook_key(targets: DiagnosticTargets) -> Check:
    """Check the form of the webhook keys. Only a signed webhook can prove one."""
    keys = targets.webhook_keys
    odd = [key for key in keys if not key.startswith("key_")]
    if odd:
        advice = "set RETELL_WEBHOOK_KEY to the key that bears the webhook badge in Retell's dashboard"
        return _wrong("Retell webhook key", "does not look like a key of Retell's (key_…)", advice)
    said = f"{len(keys)} set; only a signed webhook can prove it"
    if keys == (targets.api_key,):
        said = "the API key, which is right only if that key bears the webhook badge; a webhook will tell"
    return Check("Retell webhook key", said)


async def _agent(account: Account, agent_id: str, expected: str | None) -> Check:
    webhook = await account.agent_webhook(agent_id)
    if webhook is None:
        return _wrong("agent's webhook", "the account has no such agent", "name one of the account's agents")
    missing = [event for event in WANTED_EVENTS if event not in webhook.events]
    if missing:
        advice = "let the agent send all three call events; without them calls are settled by polling, later"
        return _wrong("agent's webhook", f"does not send {', '.join(missing)}", advice)
    if webhook.url is None:
        return Check("agent's webhook", "none of its own: the account's webhook URL is used; see the dashboard")
    told = f"goes to {masked_url(webhook.url)}"
    if expected is not None and webhook.url != expected:
        return _wrong("agent's webhook", told, f"set the agent's webhook_url to {masked_url(expected)}")
    return Check("agent's webhook", told)


def _unavailable(subject: str, error: Exception, advice: str) -> Check:
    return _wrong(subject, str(error) or type(error).__name__, advice)
