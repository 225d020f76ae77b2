"""A committed verdict is one line of the log, and counts its attempt once."""

import pytest
from structlog.testing import capture_logs

from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack


async def test_a_verdict_is_logged_and_counted_once_and_a_correction_is_only_logged(stack: EventStack) -> None:
    talk, delays = await stack.talk(), []
    stack.store._on_final = lambda type_, after_s: delays.append((type_, after_s))
    accepted_at = (await stack.call(talk.call_id))["accepted_at"]
    with capture_logs() as lines:
        await stack.play(talk, r.PARTIAL)
        ended_at = stack.clock.now()
        await stack.play(talk, r.PARTIAL)
        await stack.play(talk, r.connected("agent_hangup", r.analysis(True)), "call_analyzed")
    first, second = [line for line in lines if line["event"] == "attempt.concluded"]
    attempt_id = (await stack.attempt(talk.call_id))["attempt_id"]
    for line in (first, second):
        assert (line["call_id"], line["attempt_id"]) == (talk.call_id, attempt_id)
    assert first["type"] == "voice_ai_call_partially_completed"
    assert (first["dial"], first["party"], first["is_final"], first["corrects"]) == ("answered", "human", True, None)
    assert (second["type"], second["corrects"] is not None) == ("voice_ai_call_completed", True)
    assert list(stack.rules.attempts.items()) == [(("answered", "human", first["end"]), 1)]
    assert stack.store.final_events == {("voice_ai_call_partially_completed", "none"): 1}
    assert delays == [("voice_ai_call_partially_completed", (ended_at - accepted_at).total_seconds())]


async def test_a_verdict_that_is_rolled_back_is_neither_logged_nor_counted(stack: EventStack) -> None:
    talk = await stack.talk()
    await stack.execute("ALTER TABLE outbox ADD CONSTRAINT no_more CHECK (id < 0) NOT VALID")
    try:
        with capture_logs() as lines, pytest.raises(Exception, match="no_more"):
            await stack.play(talk, r.PARTIAL, "call_analyzed")
    finally:
        await stack.execute("ALTER TABLE outbox DROP CONSTRAINT no_more")
    assert [line for line in lines if line["event"] == "attempt.concluded"] == []
    assert stack.rules.attempts == {}
    assert stack.store.final_events == {}
