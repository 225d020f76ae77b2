"""The rules for a receiver of ABT events and CRM writes, each with the deliveries that show whether it is kept."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from urllib.parse import quote

from standardwebhooks import Webhook

from ringback.adapters.engage_http import EngageRequest
from ringback.cli.conformance import streams
from ringback.cli.conformance.examination import Examination, Rule, Verdict, sentence
from ringback.cli.conformance.receiver import Message, Unreachable, name_of

#: Ringback keeps this many deliveries in progress.
AT_ONCE = 50
#: Beyond the five minutes of tolerance that Standard Webhooks recommends.
STALE = timedelta(hours=1)

NOT_OBSERVABLE = (
    "A message that was answered 2xx is stored: it is still there after a crash of the receiver.",
    "A repeated event changes nothing the second time.",
    "A correction replaces the event that it corrects.",
    "A refused event has changed nothing.",
    "The events of a call are applied in order of `sequence`, also where a dead letter has left a gap.",
    "The answers stay fast under the load of production.",
)
#: Visible where a page shows a contact.
NOT_OBSERVABLE_WRITES = "A repeated write changes nothing, and a refused one neither: examine it with --contact-url."


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


async def writes(examination: Examination) -> list[str]:
    """Deliver the writes of a contact, also of one whose id has unusual characters.

    If a usual one is refused, the later rules are examined with events alone.
    """
    if problems := await examination.accepted(*examination.writes()):
        examination.has_writes = False
        return problems
    unusual = streams.writes(examination.next_run(), streams.UNUSUAL_CONTACT)[:2]
    return await examination.accepted(*unusual, how=f"of the contact {unusual[0].contact_id}")


async def applied_once(examination: Examination) -> list[str]:
    """Deliver the writes with repeats and a forgery, then read the contact's page.

    The texts are new, so the page has each note as often as it was added.
    """
    if not examination.has_writes:
        return ["Not examined, because writes are not accepted."]
    stream = streams.writes(examination.next_run())
    fields, *notes, other_fields = stream
    for write in stream:
        await examination.accepted(write, write)
    await asyncio.gather(*(examination.receiver.deliver(write) for write in notes))
    await examination.accepted(fields, *notes)
    refused = streams.writes(examination.next_run())[1]
    forged = replace(refused, payload={**refused.payload, "contact_id": fields.contact_id})
    await examination.receiver.send(_unsigned(forged, examination.receiver.request(forged)), forged.name)
    assert examination.contact_url is not None
    url = examination.contact_url.replace("{contact_id}", quote(fields.contact_id, safe=""))
    page = await examination.receiver.shown(url)
    problems = [
        f"The contact has a note {count} times, after deliveries of one write under one Idempotency-Key."
        for note in notes
        if (count := page.count(note.payload["note"])) != 1
    ]
    first, last = (write.payload["fields"]["first_name"] for write in (fields, other_fields))
    if first in page or last not in page:
        problems.append("The contact has an earlier value of first_name: a repeat of that write was applied again.")
    if forged.payload["note"] in page:
        problems.append("The contact has a note that came without a signature.")
    return problems


async def in_time(examination: Examination) -> list[str]:
    """Judge the answers to all deliveries, so this comes last."""
    limit_s = examination.receiver.timeout_s
    return [f"{what} got no answer within {limit_s:g} s." for what in examination.receiver.late]


async def repeats(examination: Examination) -> list[str]:
    problems = []
    events: list[Message] = [*examination.stream("retried")]
    written: list[Message] = [*examination.writes()]
    for stream, later in ((events, "call's later events"), (written, "contact's later writes")):
        for message in stream:
            problems += await examination.accepted(message)
            problems += await examination.accepted(message, how="sent again at once")
        problems += await examination.accepted(*stream, how=f"sent again after the {later}")
    return problems


async def repeats_at_once(examination: Examination) -> list[str]:
    problems = []
    for message in examination.one_of_each():
        requests = [examination.receiver.request(message) for _ in range(2)]
        send = examination.receiver.send
        answers = await asyncio.gather(*(send(request, name_of(message)) for request in requests))
        refused = [answer for answer in answers if not (answer.is_accepted or answer.is_temporary)]
        problems += [sentence(message, answer, "sent twice at the same moment") for answer in refused]
        problems += await examination.accepted(message, how="sent a third time")
    return problems


async def broken_connections(examination: Examination) -> list[str]:
    problems = []
    for share, how in ((1.0, "repeated after a timeout"), (0.5, "repeated after half of it was received")):
        for message in examination.one_of_each():
            await examination.receiver.break_off(examination.receiver.request(message), share)
            await asyncio.sleep(examination.receiver.pause_s)
            problems += await examination.accepted(message, how=how)
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
    return await _refused(examination, {"without a signature": _unsigned})


async def wrong_signature(examination: Examination) -> list[str]:
    secret = "whsec_" + base64.b64encode(b"not the secret of this receiver.").decode()
    forger = replace(examination.receiver, webhook=Webhook(secret))

    def signed_otherwise(message: Message, _: EngageRequest) -> EngageRequest:
        return forger.request(message)

    def garbled(_: Message, request: EngageRequest) -> EngageRequest:
        return _with_header(request, "webhook-signature", "v1,no base64")

    return await _refused(
        examination, {"signed with another secret": signed_otherwise, "with a signature that is none": garbled}
    )


async def altered(examination: Examination) -> list[str]:
    def body(_: Message, request: EngageRequest) -> EngageRequest:
        return replace(request, body=request.body.replace("conformance", "forged"))

    def id_(_: Message, request: EngageRequest) -> EngageRequest:
        return _with_header(request, "webhook-id", f"{request.headers['webhook-id']}-2")

    def timestamp(_: Message, request: EngageRequest) -> EngageRequest:
        return _with_header(request, "webhook-timestamp", str(int(request.headers["webhook-timestamp"]) + 1))

    changes = {
        "with an altered body": body,
        "with another webhook-id": id_,
        "with another webhook-timestamp": timestamp,
    }
    return await _refused(examination, changes)


async def stale(examination: Examination) -> list[str]:
    now = datetime.now(UTC)

    def old(message: Message, _: EngageRequest) -> EngageRequest:
        return examination.receiver.request(message, now - STALE)

    def early(message: Message, _: EngageRequest) -> EngageRequest:
        return examination.receiver.request(message, now + STALE)

    return await _refused(examination, {"signed an hour ago": old, "signed for the next hour": early})


async def forged_first(examination: Examination) -> list[str]:
    problems = []
    for message in examination.one_of_each():
        request = examination.receiver.request(message)
        forged = _with_header(request, "webhook-signature", f"v1,{base64.b64encode(bytes(32)).decode()}")
        await examination.receiver.send(forged, name_of(message))
        problems += await examination.accepted(message, how="after a forged one with its id")
    return problems


def _unsigned(_: Message, request: EngageRequest) -> EngageRequest:
    return replace(request, headers={n: text for n, text in request.headers.items() if not n.startswith("webhook-")})


def _with_header(request: EngageRequest, name: str, text: str) -> EngageRequest:
    return replace(request, headers={**request.headers, name: text})


async def _refused(
    examination: Examination, forgeries: Mapping[str, Callable[[Message, EngageRequest], EngageRequest]]
) -> list[str]:
    """Send forged deliveries of events and writes. Returns a sentence for each that is not refused with a 4xx."""
    problems = []
    for how, forge in forgeries.items():
        for message in examination.one_of_each():
            forged = forge(message, examination.receiver.request(message))
            answer = await examination.receiver.send(forged, name_of(message))
            if not answer.is_refused:
                problems.append(sentence(message, answer, how))
    return problems


ACCEPT = "Answer 2xx as soon as it is stored."
REFUSE = "Verify the signature over the received bytes with the shared secret, and answer 401 if it does not match."
RULES = (
    Rule(
        "first_event",
        "It accepts a signed event.",
        "The events go to URL/abt-events. If the receiver refuses them: has it the same secret?",
        first_event,
    ),
    Rule(
        "every_event",
        "It accepts every event of every kind of call.",
        f"{ACCEPT} Ringback sends a refused event (4xx) five times and one that fails otherwise for a day, "
        "and the call's later events wait behind it.",
        every_event,
    ),
    Rule(
        "writes",
        "It accepts writes to the fields and notes of a contact.",
        "They go to URL/contacts/{contact_id}/fields and /notes. Decode the id. Use --events-only if your agents have "
        "neither field_writeback nor note_writeback.",
        writes,
    ),
    Rule(
        "repeats",
        "It accepts an event or a write that it has already.",
        f"{ACCEPT} Recognise it by its webhook-id, which is the Idempotency-Key of a write.",
        repeats,
    ),
    Rule(
        "repeats_at_once",
        "It accepts an event or a write that comes twice at the same moment.",
        "Let the database decide which of the two is the first, with a unique key on the webhook-id.",
        repeats_at_once,
    ),
    Rule(
        "broken_connections",
        "It accepts an event or a write whose first delivery broke off.",
        "Note a webhook-id together with its content, in one transaction, not before.",
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
        "It accepts an event or a write after a forged one with the same id.",
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


APPLIED_ONCE = Rule(
    "applied_once",
    "It applies each write once, and a refused write not at all.",
    "Note the Idempotency-Key of each write under a unique key, in the transaction that applies it. Answer a repeat "
    "2xx, and do not apply it.",
    applied_once,
)


def rules_of(examination: Examination) -> list[Rule]:
    """The rules that this examination can check. `in_time` is the last one, because it judges all answers."""
    rules = [rule for rule in RULES if examination.has_writes or rule.check is not writes]
    if examination.has_writes and examination.contact_url is not None:
        rules.insert(-1, APPLIED_ONCE)
    return rules


async def examine(examination: Examination) -> list[Verdict]:
    """Check rule by rule. A receiver that becomes unreachable breaks that rule; the later ones stay unexamined."""
    verdicts = [Verdict(rule) for rule in rules_of(examination)]
    for verdict in verdicts:
        try:
            verdict.problems = await verdict.rule.check(examination)
        except Unreachable as problem:
            verdict.problems = [f"{problem}; the examination ends here."]
            break
    if verdicts[-1].problems is None and examination.receiver.late:
        verdicts[-1].problems = await in_time(examination)
    return verdicts
