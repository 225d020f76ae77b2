"""The rules for a receiver of ABT events, each with the deliveries that show whether it is kept."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

from standardwebhooks import Webhook

from ringback.adapters.engage_http import EngageRequest
from ringback.cli.conformance import streams
from ringback.cli.conformance.receiver import Answer, Event, Receiver, Unreachable

#: Ringback keeps this many deliveries in progress.
AT_ONCE = 50
#: Beyond the five minutes of tolerance that Standard Webhooks recommends.
STALE = timedelta(hours=1)

NOT_OBSERVABLE = (
    "An event that was answered 2xx is stored: it is still there after a crash of the receiver.",
    "A repeated event changes nothing the second time.",
    "A correction replaces the event that it corrects.",
    "A refused delivery has changed nothing.",
    "The events of a call are applied in order of `sequence`, also where a dead letter has left a gap.",
    "The answers stay fast under the load of production.",
)


@dataclass(slots=True)
class Examination:
    """The receiver, and fresh streams of events by the names of the examples."""

    receiver: Receiver
    examples: dict[str, list[Event]]
    run: str
    made: int = 0

    def stream(self, name: str) -> list[Event]:
        self.made += 1
        return streams.renewed(self.examples[name], f"{self.run}-{self.made}")

    def event(self, name: str = "completed") -> Event:
        return self.stream(name)[-1]

    async def accepted(self, *events: Event, how: str = "") -> list[str]:
        """Deliver the events one after the other. Returns a sentence for each that is not accepted."""
        answers = [(event, await self.receiver.deliver(event)) for event in events]
        return [sentence(event, answer, how) for event, answer in answers if not answer.is_accepted]


def sentence(event: Event, answer: Answer, how: str = "") -> str:
    said = f"{event['type']} {how}".strip()
    if answer.status is not None and 300 <= answer.status < 400:
        return f"{said} {answer}, and Ringback follows no redirect."
    return f"{said} {answer}."


Check = Callable[[Examination], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`title` is what a receiver does; `advice` says how, and what happens otherwise."""

    name: str
    title: str
    advice: str
    check: Check


@dataclass(slots=True)
class Verdict:
    """The problems of a rule are sentences. None: it was not examined, because the receiver was unreachable."""

    rule: Rule
    problems: list[str] | None = field(default=None)


async def first_event(examination: Examination) -> list[str]:
    """Deliver one event. Raises Unreachable if it is refused: then all are, and no other rule can be examined."""
    for problem in await examination.accepted(examination.stream("completed")[0]):
        raise Unreachable(problem.removesuffix("."))
    return []


async def every_event(examination: Examination) -> list[str]:
    problems = []
    for name in examination.examples:
        problems += await examination.accepted(*examination.stream(name))
    return problems


async def in_time(examination: Examination) -> list[str]:
    """Judge the answers to all deliveries, so this comes last."""
    limit_s = examination.receiver.timeout_s
    return [f"{what} got no answer within {limit_s:g} s." for what in examination.receiver.late]


async def repeats(examination: Examination) -> list[str]:
    stream = examination.stream("retried")
    problems = []
    for event in stream:
        problems += await examination.accepted(event)
        problems += await examination.accepted(event, how="sent again at once")
    return problems + await examination.accepted(*stream, how="sent again after the call's later events")


async def repeats_at_once(examination: Examination) -> list[str]:
    event = examination.event()
    send = examination.receiver.send
    requests = [examination.receiver.request(event) for _ in range(2)]
    answers = await asyncio.gather(*(send(request, event["type"]) for request in requests))
    refused = [answer for answer in answers if not (answer.is_accepted or answer.is_temporary)]
    problems = [sentence(event, answer, "sent twice at the same moment") for answer in refused]
    return problems + await examination.accepted(event, how="sent a third time")


async def broken_connections(examination: Examination) -> list[str]:
    problems = []
    for share, how in ((1.0, "repeated after a timeout"), (0.5, "repeated after half of it was received")):
        event = examination.event()
        await examination.receiver.break_off(examination.receiver.request(event), share)
        await asyncio.sleep(examination.receiver.pause_s)
        problems += await examination.accepted(event, how=how)
    return problems


async def interleaved(examination: Examination) -> list[str]:
    calls = [examination.stream(name) for name in ("completed", "retried", "failed_suppressed")]
    # Later events of one call come before the first events of another. Within a call the order is kept.
    mixed = [event for step in zip_longest(*calls) for event in reversed(step) if event is not None]
    return await examination.accepted(*mixed, how="between events of other calls")


async def at_once(examination: Examination) -> list[str]:
    events = [examination.event("failed_cancelled") for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*(examination.receiver.deliver(event) for event in events))
    how = f"sent with {AT_ONCE - 1} others"
    refused = [
        sentence(one, answer, how) for one, answer in zip(events, answers, strict=True) if not answer.is_accepted
    ]
    return refused[:1]


async def corrections(examination: Examination) -> list[str]:
    problems = await examination.accepted(*examination.stream("corrected"))
    return problems + await examination.accepted(examination.event("corrected_retry"), how="whose original is unknown")


async def unknown_types(examination: Examination) -> list[str]:
    return await examination.accepted(streams.of_unknown_type(examination.event("custom_event")))


async def unknown_members(examination: Examination) -> list[str]:
    return await examination.accepted(streams.with_unknown_members(examination.event()), how="with unknown members")


async def unusual_text(examination: Examination) -> list[str]:
    return await examination.accepted(streams.with_unusual_text(examination.event()), how="with unusual text")


async def largest(examination: Examination) -> list[str]:
    return await examination.accepted(streams.of_largest_size(examination.event()), how="of 65 KB")


async def unsigned(examination: Examination) -> list[str]:
    def without_headers(request: EngageRequest) -> EngageRequest:
        return replace(request, headers={"Content-Type": request.headers["Content-Type"]})

    return await _refused(examination, {"without a signature": without_headers})


async def wrong_signature(examination: Examination) -> list[str]:
    secret = "whsec_" + base64.b64encode(b"not the secret of this receiver.").decode()
    forger = replace(examination.receiver, webhook=Webhook(secret))
    event = examination.event()

    def signed_otherwise(_: EngageRequest) -> EngageRequest:
        return forger.request(event)

    def garbled(request: EngageRequest) -> EngageRequest:
        return _with_header(request, "webhook-signature", "v1,no base64")

    return await _refused(
        examination, {"signed with another secret": signed_otherwise, "with a signature that is none": garbled}
    )


async def altered(examination: Examination) -> list[str]:
    def body(request: EngageRequest) -> EngageRequest:
        return replace(request, body=request.body.replace('"conformance":', '"forged":'))

    def id_(request: EngageRequest) -> EngageRequest:
        return _with_header(request, "webhook-id", f"{request.headers['webhook-id']}-2")

    def timestamp(request: EngageRequest) -> EngageRequest:
        return _with_header(request, "webhook-timestamp", str(int(request.headers["webhook-timestamp"]) + 1))

    changes = {
        "with an altered body": body,
        "with another webhook-id": id_,
        "with another webhook-timestamp": timestamp,
    }
    return await _refused(examination, changes)


async def stale(examination: Examination) -> list[str]:
    event, now = examination.event(), datetime.now(UTC)

    def old(_: EngageRequest) -> EngageRequest:
        return examination.receiver.request(event, now - STALE)

    def early(_: EngageRequest) -> EngageRequest:
        return examination.receiver.request(event, now + STALE)

    return await _refused(examination, {"signed an hour ago": old, "signed for the next hour": early})


async def forged_first(examination: Examination) -> list[str]:
    event = examination.event()
    request = examination.receiver.request(event)
    forged = _with_header(request, "webhook-signature", f"v1,{base64.b64encode(bytes(32)).decode()}")
    await examination.receiver.send(forged, event["type"])
    return await examination.accepted(event, how="after a forged one with its id")


def _with_header(request: EngageRequest, name: str, text: str) -> EngageRequest:
    return replace(request, headers={**request.headers, name: text})


async def _refused(
    examination: Examination, forgeries: Mapping[str, Callable[[EngageRequest], EngageRequest]]
) -> list[str]:
    """Send forged deliveries. Returns a sentence for each that is not refused with a 4xx."""
    problems = []
    for how, forge in forgeries.items():
        event = examination.event()
        answer = await examination.receiver.send(forge(examination.receiver.request(event)), event["type"])
        if not answer.is_refused:
            problems.append(sentence(event, answer, how))
    return problems


ACCEPT = "Answer 2xx as soon as the event is stored."
REFUSE = "Verify the signature over the received bytes with the shared secret, and answer 401 if it does not match."
RULES = (
    Rule(
        "first_event",
        "It accepts a signed event.",
        "Has the receiver the same secret? The events go to URL/abt-events.",
        first_event,
    ),
    Rule(
        "every_event",
        "It accepts every event of every kind of call.",
        f"{ACCEPT} Ringback sends a refused event (4xx) five times and one that fails otherwise for a day, "
        "and the call's later events wait behind it.",
        every_event,
    ),
    Rule("repeats", "It accepts an event that it has already.", f"{ACCEPT} Recognise it by its webhook-id.", repeats),
    Rule(
        "repeats_at_once",
        "It accepts an event that comes twice at the same moment.",
        "Let the database decide which of the two is the first, with a unique key on the webhook-id.",
        repeats_at_once,
    ),
    Rule(
        "broken_connections",
        "It accepts an event whose first delivery broke off.",
        "Note a webhook-id together with its event, in one transaction, not before.",
        broken_connections,
    ),
    Rule(
        "interleaved",
        "It accepts events of several calls in any mixture.",
        "Only the events of one call are in order. Expect no order between calls, and none by `time`.",
        interleaved,
    ),
    Rule(
        "at_once",
        f"It accepts {AT_ONCE} deliveries at once.",
        "Where that is too much, answer 429 or 503 with Retry-After. Ringback repeats those for about a day.",
        at_once,
    ),
    Rule(
        "corrections",
        "It accepts corrections.",
        "An event with `corrects` comes after a call's final event. It replaces the one that it names.",
        corrections,
    ),
    Rule("unknown_types", "It accepts events of types that it does not know.", f"{ACCEPT} Ignore it.", unknown_types),
    Rule(
        "unknown_members",
        "It accepts events with members that it does not know.",
        "Ignore them. Later versions of Ringback add members.",
        unknown_members,
    ),
    Rule(
        "unusual_text",
        "It verifies the bytes that it received.",
        "Read the raw body before a JSON parser. JSON that is written again has other bytes.",
        unusual_text,
    ),
    Rule("largest", "It accepts the largest events.", "Allow bodies of 256 KiB.", largest),
    Rule("unsigned", "It refuses deliveries without a signature.", REFUSE, unsigned),
    Rule("wrong_signature", "It refuses signatures under another secret.", REFUSE, wrong_signature),
    Rule("altered", "It refuses altered deliveries.", f"{REFUSE} It covers id, time and body.", altered),
    Rule(
        "stale",
        "It refuses deliveries that were signed more than five minutes ago, or ahead.",
        "Compare webhook-timestamp with the clock. Else an old delivery can be sent again by anyone who has seen it.",
        stale,
    ),
    Rule(
        "forged_first",
        "It accepts an event after a forged one with the same id.",
        "Verify the signature before the webhook-id is noted.",
        forged_first,
    ),
    Rule(
        "in_time",
        "It answers within the time that Ringback waits.",
        "Store the event, answer, then do the work. An event without an answer is sent again.",
        in_time,
    ),
)


async def examine(examination: Examination) -> list[Verdict]:
    """Check rule by rule. A receiver that becomes unreachable breaks that rule; the later ones stay unexamined."""
    verdicts = [Verdict(rule) for rule in RULES]
    for verdict in verdicts:
        try:
            verdict.problems = await verdict.rule.check(examination)
        except Unreachable as problem:
            verdict.problems = [f"{problem}; the examination ends here."]
            break
    if verdicts[-1].problems is None and examination.receiver.late:
        verdicts[-1].problems = await in_time(examination)
    return verdicts
