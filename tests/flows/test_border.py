"""The check at a start: the first one marks the installation, and every later one must be of the same side."""

import asyncio

import pytest

from ringback.adapters.postgres.installation import PostgresBorder
from ringback.domain.errors import StartRefused
from ringback.flows import border
from ringback.flows.border import EMULATED_FOR_REAL, NOT_IDENTIFIED, REAL_FOR_EMULATOR, Border

EMULATED, REAL = True, False
REFUSAL = {EMULATED: REAL_FOR_EMULATOR, REAL: EMULATED_FOR_REAL}


class Provider:
    """`answers` are what it is taken for, one after the other; the last one stays."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def is_emulated(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
async def installation(pool):
    """Before its first start."""
    await pool.execute("UPDATE installation SET emulated = NULL")
    return PostgresBorder(pool)


@pytest.fixture
def in_haste(monkeypatch):
    monkeypatch.setattr(border, "IDENTIFIED_WITHIN_S", 0.03)
    monkeypatch.setattr(border, "ASK_EVERY_S", 0.01)


async def start(installation, *answers, before=None):
    await Border(installation, Provider(*answers), before).enter()


async def refused(installation, *answers, before=None):
    with pytest.raises(StartRefused) as refusal:
        await start(installation, *answers, before=before)
    return str(refusal.value)


@pytest.mark.parametrize("side", [EMULATED, REAL])
async def test_the_first_start_marks_the_installation_for_ever(installation, side):
    await start(installation, side)
    assert await installation.emulated() is side
    await start(installation, side)
    assert await refused(installation, not side) == REFUSAL[not side]
    assert await installation.emulated() is side


@pytest.mark.parametrize("side", [EMULATED, REAL])
async def test_a_refusal_is_one_sentence_that_says_what_to_do(side):
    sentence = REFUSAL[side]
    assert "\n" not in sentence and "--data-dir" in sentence and "RETELL_BASE_URL" in sentence


async def test_a_mark_is_written_once(installation):
    assert await installation.mark(REAL) is REAL
    assert await installation.mark(EMULATED) is REAL
    assert await installation.emulated() is REAL


async def test_of_two_first_starts_at_once_one_side_wins(installation):
    ends = await asyncio.gather(*(start(installation, side) for side in (EMULATED, REAL) * 5), return_exceptions=True)
    mark = await installation.emulated()
    losers = [str(end) for end in ends if end is not None]
    assert losers == [REFUSAL[not mark]] * 5


async def test_a_first_start_waits_for_a_provider_that_is_starting_too(installation, in_haste):
    await start(installation, None, None, EMULATED)
    assert await installation.emulated() is EMULATED


async def test_a_first_start_without_a_provider_is_refused_and_marks_nothing(installation, in_haste):
    assert await refused(installation, None) == NOT_IDENTIFIED
    assert await installation.emulated() is None


async def test_a_later_start_does_not_depend_on_the_provider(installation):
    """Calls are accepted while Retell is unavailable. The claim checks the border itself."""
    await start(installation, REAL)
    await start(installation, None)
    assert await installation.emulated() is REAL


# From before there was a mark.


OF_ATTEMPT = (
    "attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence, resent, waits, lookups,"
    " clean_lookups, polls, holds_person, holds_slot, provider_call_id, voicemail_action, business,"
    " transcript_withheld, agent_spoke, initiated_event, started_event, revision, recording_url"
)


async def placed(pool, number, recording_url=None, body=None):
    """A call that was placed, with what the provider said of it."""
    named = {"n": str(number), "call": f"call_{number}"}
    await pool.execute("INSERT INTO contacts VALUES ($1, '+14155550100', NULL, NULL, '{}', now())", f"crm-{number}")
    await pool.execute(
        "INSERT INTO calls (call_id, contact_id, phone, agent_id, from_number, variables, metadata, retry, accepted_at,"
        " expires_at, expiry_is_explicit, status, final) VALUES"
        " ($1, $2, '+14155550100', 'agent_1', '+14155550199', '{}', '{}', '{}', now(), now(), false, 'failed', true)",
        named["n"],
        f"crm-{number}",
    )
    await pool.execute(
        "INSERT INTO tasks (task_id, call_id, kind, due_at, status, redispatches, created_at)"
        " VALUES ($1, $1, 'first', now(), 'consumed', 0, now())",
        named["n"],
    )
    await pool.execute(
        f"INSERT INTO attempts ({OF_ATTEMPT}) VALUES ($1, $1, $2, '+14155550100', 1, $1, '{{}}', 'analyzed', 1, false,"
        " 0, 0, 0, 0, false, false, $3, 'unknown', '{}', false, false, true, true, 0, $4)",
        named["n"],
        f"crm-{number}",
        named["call"],
        recording_url,
    )
    if body is not None:
        await pool.execute(
            "INSERT INTO provider_events VALUES ($1, 'call_ended', '\\x00', now(), $2, $2, 'applied', $3)",
            named["call"],
            named["n"],
            body,
        )


EMULATORS_RECORDING = "https://recordings.emulator.invalid/call_1/recording.wav"
EMULATORS_WEBHOOK = '{"event":"call_ended","call":{"call_id":"call_1","agent_name":"Emulated agent"}}'
REAL_RECORDING = "https://dxc03zgurdly9.cloudfront.net/call_1/recording.wav"
REAL_WEBHOOK = '{"event":"call_ended","call":{"call_id":"call_1","agent_name":"Sales"}}'


@pytest.mark.parametrize(
    ("said", "side"),
    [
        pytest.param({"recording_url": EMULATORS_RECORDING}, EMULATED, id="a recording of the emulator's"),
        pytest.param({"body": EMULATORS_WEBHOOK}, EMULATED, id="a webhook of the emulator's"),
        pytest.param({"recording_url": REAL_RECORDING}, REAL, id="a recording of Retell's"),
        pytest.param({"body": REAL_WEBHOOK}, REAL, id="a webhook of Retell's"),
        pytest.param({}, REAL, id="nothing but the call"),
    ],
)
async def test_a_database_that_was_used_before_is_of_the_side_that_its_calls_show(installation, pool, said, side):
    await placed(pool, 1, **said)
    assert await refused(installation, not side) == REFUSAL[not side]
    assert await installation.emulated() is None
    await start(installation, side)
    assert await installation.emulated() is side


async def test_one_call_of_the_emulators_among_others_is_enough(installation, pool):
    """The calls are mixed already. The emulated ones that are left are never dialed for real."""
    await placed(pool, 1, recording_url=EMULATORS_RECORDING)
    await placed(pool, 2, recording_url=REAL_RECORDING)
    assert await refused(installation, REAL) == EMULATED_FOR_REAL


@pytest.mark.parametrize("side", [EMULATED, REAL])
async def test_without_a_placed_call_the_data_directory_remembers(installation, side):
    assert await refused(installation, not side, before=side) == REFUSAL[not side]
    await start(installation, side, before=side)
    assert await installation.emulated() is side


async def test_the_mark_counts_more_than_what_the_directory_remembers(installation):
    await start(installation, REAL)
    await start(installation, REAL, before=EMULATED)
