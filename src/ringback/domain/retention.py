"""How long each table's rows are kept, and why."""

from dataclasses import dataclass
from datetime import timedelta

#: Two annual cycles of complaints overlap: a dispute about a call is usually raised within a year of it.
CALLS_KEPT = timedelta(days=400)
#: Decisions, webhooks and replies explain a call while somebody may still ask about it; the call itself says how it
#: ended.
TRACES_KEPT = timedelta(days=90)
#: An Engage that was away longer than this cannot catch up from the feed, and is filled anew from its own side.
EVENTS_KEPT = timedelta(days=30)
#: Delivered, a call message says nothing that its task does not.
MESSAGES_KEPT = timedelta(days=7)

#: A dead letter, which is kept as long as a call, may be replayed on its last day; and a queue may keep a message for
#: weeks before it is dead. After that nothing names an erased call any more.
TOMBSTONES_KEPT = CALLS_KEPT + timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Rule:
    """`what` names rows of one kind; `kept` counts from when they were last of use."""

    what: str
    kept: timedelta


#: In this order: what refers to a call goes before the call, and a contact after its last call. Not here, and kept:
#: suppressions (a stop has no end; they are few), the installation, API keys, the ids of erasure keys. Queues drop what
#: was acknowledged.
RULES = (
    Rule("delivered_call_messages", MESSAGES_KEPT),
    Rule("delivered_events_and_writes", EVENTS_KEPT),
    Rule("dead_outbox_rows", CALLS_KEPT),
    Rule("last_events_of_erased_people", EVENTS_KEPT),
    Rule("dead_queue_messages", CALLS_KEPT),
    Rule("gate_decisions", TRACES_KEPT),
    Rule("provider_events", TRACES_KEPT),
    Rule("action_results", TRACES_KEPT),
    Rule("inbound_calls", CALLS_KEPT),
    Rule("notes", CALLS_KEPT),
    Rule("field_writes", CALLS_KEPT),
    Rule("dispositions", CALLS_KEPT),
    Rule("finished_calls", CALLS_KEPT),
    Rule("contacts_without_calls", CALLS_KEPT),
    Rule("erased", TOMBSTONES_KEPT),
)
