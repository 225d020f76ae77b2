"""The invariants, each in one line, under the names that every suite uses."""

from enum import StrEnum


class Invariant(StrEnum):
    """`I7.text` says what I7 promises."""

    text: str

    def __new__(cls, name: str, text: str) -> "Invariant":
        member = str.__new__(cls, name)
        member._value_, member.text = name, text
        return member

    I1 = "I1", "no accepted request is lost: each reaches its final event"
    I2 = "I2", "at most one ring per attempt, under any fault"
    I3 = "I3", "at most one attempt holds a person"
    I4 = "I4", "no dial without a committed row that is older than its first byte"
    I5 = "I5", "an unclear answer is never re-sent with another key or other bytes"
    I6 = "I6", "every unknown attempt is resolved or surfaced"
    I7 = "I7", "a webhook before the create answer binds to the same attempt"
    I8 = "I8", "concurrent requests with one idempotency key make one call"
    I9 = "I9", "duplicated, reordered, delayed queue messages change no ring"
    I10 = "I10", "nothing is claimed after an acknowledged stop, nor after its expiry"
    I11 = "I11", "rows and events are the same for every order and duplication of webhooks"
    I12 = "I12", "the receiver answers 2xx only after a durable enqueue, else 5xx within 3 s"
    I13 = "I13", "with every webhook lost, polling reaches the right terminal event"
    I14 = "I14", "no ABT event is lost, doubled under another id, or out of order"
    I15 = "I15", "forged, altered, replayed, wrong-key webhooks: 401, nothing written"
    I16 = "I16", "a poison message ends in the dead letters and blocks nobody"
    I17 = "I17", "delete, reschedule and time-zone change race dispatch linearizably"
    I18 = "I18", "bad input is answered 4xx, never 5xx"
    I19 = "I19", "no phone number, transcript or secret in a log line, metric or error"
    I20 = "I20", "kill -9 of everything: after the restart all settles, I1 to I19 intact"
    I21 = "I21", "an erased person stays erased, whatever evidence comes late"
    I22 = "I22", "one person, however the number is spelled"
    I23 = "I23", "nothing is dialed across the border between the emulator and the real Retell"
    # I24 to I26 are about campaigns, which there are none of yet.
    I27 = "I27", "rollups and deltas equal the recomputation from the rows, at every commit"
