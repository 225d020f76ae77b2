"""What the load is made of: phone numbers, call requests and signed webhooks, all from one seed."""

import hashlib
import hmac
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import phonenumbers

API_KEY = "rbk_benchmark-key-of-no-value"
PROVIDER_KEY = "key_benchmark_of_no_value"
WEBHOOK_KEY = "key_benchmark_webhook_of_no_value"
#: The Base64 of 32 bytes.
ENGAGE_SECRET = "whsec_YmVuY2htYXJrLXNlY3JldC1vZi1uby12YWx1ZS1hdC1hbGw="
INSTANCE = "benchmark"
AGENT = "agent_benchmark"
CALLER = "+14155550199"

WEBHOOK_BYTES = 20_000
EVENTS = ("call_started", "call_ended", "call_analyzed")
#: Stand for the three ids of a webhook, so that one body can be written for any call.
PROVIDER_CALL_MARK, CALL_MARK, ATTEMPT_MARK = "~provider-call~", "~call~", "~attempt~"

#: Far enough that nothing becomes due, inside what the Voice API takes.
LATER = timedelta(days=300)

_WORDS = """
about account after again agent answer appointment because better billing call change check clock date email every
friday good great help hello house insurance know later maybe minute moment monday morning need number office payment
people please price question really right schedule service something sure thank their think today tomorrow visit want
week what when where work would year yes
"""


@lru_cache(maxsize=1)
def fictional_phones() -> tuple[str, ...]:
    """Every 555-01xx number of every area code of the United States, about 36,000: numbers that are never assigned."""
    codes = [code for code in range(201, 990) if _is_american(code)]
    return tuple(f"+1{code}55501{line:02}" for line in range(100) for code in codes)


def _is_american(code: int) -> bool:
    number = phonenumbers.parse(f"+1{code}2345678")
    # Not the codes of services, such as 800 and 900, whose numbers are not dialed.
    is_a_line = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
    return is_a_line and phonenumbers.region_code_for_number(number) == "US"


def call_request(number: int, not_before: datetime | None) -> dict[str, Any]:
    """A POST /v1/calls body as a campaign sends it; `number` makes it unique."""
    phones = fictional_phones()
    body: dict[str, Any] = {
        "contact": {
            "contact_id": f"crm-{number}",
            "phone": phones[number % len(phones)],
            "time_zone": "America/Chicago",
            "fields": {"first_name": "Ada", "segment": "renewal"},
        },
        "agent_id": AGENT,
        "from_number": CALLER,
        "variables": {"first_name": "Ada", "product": "home insurance", "renewal_date": "the first of March"},
        "metadata": {"campaign": "benchmark", "wave": 7},
    }
    if not_before is not None:
        body["not_before"] = not_before.isoformat()
    return body


def later() -> datetime:
    return datetime.now(UTC) + LATER


@dataclass(frozen=True, slots=True)
class CallIds:
    provider_call_id: str
    call_id: str
    attempt_id: str


def webhook_text(event: str, seed: int) -> str:
    """A webhook of about 20 KB that carries the marks instead of ids."""
    dice = random.Random(f"{seed}:{event}")
    began_ms = 1_790_000_000_000
    call: dict[str, Any] = {
        "call_id": PROVIDER_CALL_MARK,
        "call_type": "phone_call",
        "agent_id": AGENT,
        "agent_version": 3,
        "agent_name": "Benchmark agent",
        "call_status": "ongoing" if event == "call_started" else "ended",
        "direction": "outbound",
        "from_number": CALLER,
        "to_number": "+12125550100",
        "metadata": {
            "campaign": "benchmark",
            "ringback_call_id": CALL_MARK,
            "ringback_attempt_id": ATTEMPT_MARK,
            "ringback_instance": INSTANCE,
        },
        "start_timestamp": began_ms,
    }
    if event != "call_started":
        call |= {
            "end_timestamp": began_ms + 95_000,
            "duration_ms": 95_000,
            "disconnection_reason": "agent_hangup",
            "recording_url": "https://recordings.invalid/call.wav",
            "call_cost": {"combined_cost": 14.2, "total_duration_seconds": 95, "product_costs": []},
            "latency": {"e2e": {"p50": 800, "p90": 1100, "max": 1400, "num": 12}},
        }
    if event == "call_analyzed":
        call["call_analysis"] = {
            "call_summary": "The user confirmed the renewal and asked for the papers by email.",
            "in_voicemail": False,
            "user_sentiment": "Positive",
            "call_successful": True,
            "custom_analysis_data": {"wants_email": True},
        }
    return _filled({"event": event, "call": call, "event_timestamp": began_ms + 96_000}, dice)


def _filled(webhook: dict[str, Any], dice: random.Random) -> str:
    """Add talk until the webhook has 20 KB, in the three forms of a transcript. Return its JSON."""
    utterances: list[dict[str, Any]] = []
    moment_s, text, vocabulary = 0.0, "", _WORDS.split()
    while len(text) < WEBHOOK_BYTES:
        said = [dice.choice(vocabulary) for _ in range(dice.randint(6, 24))]
        words = []
        for word in said:
            words.append({"word": word, "start": round(moment_s, 3), "end": round(moment_s + 0.25, 3)})
            moment_s += 0.3
        role = ("agent", "user")[len(utterances) % 2]
        utterances.append({"role": role, "content": " ".join(said), "words": words})
        webhook["call"]["transcript"] = "".join(f"{u['role'].capitalize()}: {u['content']}\n" for u in utterances)
        webhook["call"]["transcript_object"] = utterances
        webhook["call"]["transcript_with_tool_calls"] = utterances
        text = json.dumps(webhook, separators=(",", ":"))
    return text


def fill_in(text: str, ids: CallIds) -> str:
    marks = {PROVIDER_CALL_MARK: ids.provider_call_id, CALL_MARK: ids.call_id, ATTEMPT_MARK: ids.attempt_id}
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text


def signature(body: bytes, now_ms: int) -> str:
    """The value of `x-retell-signature`: HMAC-SHA256 over body and time (retell-sdk 6.2.13, lib/webhook_auth.py)."""
    digest = hmac.new(WEBHOOK_KEY.encode(), body + str(now_ms).encode(), hashlib.sha256).hexdigest()
    return f"v={now_ms},d={digest}"
