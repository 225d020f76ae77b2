"""The stories behind the examples of ABT events: each is played by the real flows, with ids and times of its own."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.retell.events import report_from_call
from ringback.adapters.retell.wire import identified
from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.domain.call import RetryPolicy
from ringback.domain.catalog import built_in_catalog
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.business_operations import business_actions
from ringback.flows.business_operations.action import ActionRequest, Scope
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.ending_calls import cancel_call
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.flows.suppression import SuppressionOrder, suppress_now
from tests.audit_log import TESTER
from tests.fixed_clock import FixedClock
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import INSTANCE, EventStack, Talk
from tests.flows.stack import QueueDepth

TWICE = RetryPolicy(max_attempts=2)
UNCLEAR = DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")
REJECTED = DialAnswer(DialAnswerKind.REJECTED, "http_422")
DAY_S = 86400


class ExampleStack(EventStack):
    """A stack for one story. Its ids are the same in each run."""

    def __init__(self, store: PostgresStore, pool: Pool, story: int) -> None:
        super().__init__(store, pool, FixedClock())
        self.story = story
        self.person = 100_000 + story  # beyond the people of all other tests
        actions = business_actions(
            self.rules, built_in_catalog(), EnglishSpokenTime(), report_from_call, identified, self.clock.now
        )
        self.operations = BusinessOperations(store, self.clock, actions, self.rules)

    def _next_id(self) -> str:
        """In the form of a UUID of version 7, as the product makes them."""
        self.last_id += 1
        return f"01a20491-7446-7{self.story:03d}-8476-{self.last_id:012d}"

    def contact(self, number: int = 0) -> str:
        return f"crm-{self.story}"

    async def agent_asks(self, talk: Talk, action: str, args: dict[str, Any]) -> None:
        """A function call of the agent, during the talk."""
        report = ProviderReport(
            ReportKind.TOOL,
            talk.provider_call_id,
            attempt_id=talk.attempt_id,
            call_id=talk.call_id,
            instance=INSTANCE,
            started_at=self.clock.now() + timedelta(seconds=6.5),
        )
        ids = {"attempt_id": talk.attempt_id, "provider_call_id": talk.provider_call_id}
        reply = await self.operations.perform(
            ActionRequest(action, Scope.RETELL, f"tool-{self.story}", args, report=report, **ids)
        )
        assert reply.ok, reply

    async def system_asks(self, action: str, args: dict[str, Any], **target: str) -> None:
        reply = await self.operations.perform(
            ActionRequest(action, Scope.SYSTEMS, f"system-{self.story}", args, **target)
        )
        assert reply.ok, reply

    async def check(self, *after_s: float) -> None:
        for seconds in after_s:
            self.clock.advance(seconds)
            await self.watchdog.reconcile_due_attempts()


Story = Callable[[ExampleStack], Awaitable[str]]


def played(recording: dict[str, r.Body], **given: Any) -> Story:
    """A call whose only dial ends as recorded."""

    async def story(stack: ExampleStack) -> str:
        talk = await stack.talk(**given)
        await stack.play(talk, recording)
        return talk.call_id

    return story


def answered(answer: DialAnswer, *checks_after_s: float) -> Story:
    """A call whose create-phone-call is answered so."""

    async def story(stack: ExampleStack) -> str:
        stack.provider.answer = answer
        talk = await stack.talk()
        await stack.check(*checks_after_s)
        return talk.call_id

    return story


def dialing(phone: str) -> Story:
    """A call to a number that is not allowed."""

    async def story(stack: ExampleStack) -> str:
        stack.phone = lambda number=0: phone  # type: ignore[method-assign]
        return await stack.accept()

    return story


async def retried(stack: ExampleStack) -> str:
    talk = await stack.talk(retry=TWICE)
    await stack.play(talk, r.NO_ANSWER)
    second = await stack.dial_next(talk.call_id)
    times = {"start_timestamp": r.START_MS + 3_600_000, "end_timestamp": r.END_MS + 3_600_000}
    await stack.play(second, r.COMPLETED, **times)
    return talk.call_id


async def retry_cancelled(stack: ExampleStack) -> str:
    talk = await stack.talk(retry=TWICE)
    await stack.play(talk, r.BUSY)
    stack.clock.advance(600)
    await cancel_call(stack.store, stack.clock, talk.call_id, TESTER)
    return talk.call_id


async def corrected(stack: ExampleStack) -> str:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL)
    await stack.play(talk, r.connected("agent_hangup", r.analysis(True)), "call_analyzed")
    return talk.call_id


async def corrected_retry(stack: ExampleStack) -> str:
    talk = await stack.talk(retry=TWICE)
    await stack.play(talk, r.NO_ANSWER)
    await stack.play(talk, r.COMPLETED, "call_analyzed")
    return talk.call_id


async def retried_voicemail(stack: ExampleStack) -> str:
    talk = await stack.talk(retry=RetryPolicy(3, rules={"voicemail": (86400,)}))
    await stack.play(talk, r.VOICEMAIL)
    return talk.call_id


async def analysis_missing(stack: ExampleStack) -> str:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL, "call_started", "call_ended")
    stack.record(talk, r.PARTIAL, "call_ended", call_status="ended")
    await stack.check(DAY_S + 600)
    return talk.call_id


async def rescheduled(stack: ExampleStack) -> str:
    talk = await stack.talk()
    await stack.agent_asks(talk, "reschedule_call", {"when": "tomorrow at 3pm", "reason": "in a meeting"})
    await stack.play(talk, r.PARTIAL)
    return talk.call_id


async def rescheduled_by_api(stack: ExampleStack) -> str:
    call_id = await stack.accept(not_before=stack.clock.now() + timedelta(days=2))
    await stack.system_asks("reschedule_call", {"when": "2026-12-02T18:30:00Z"}, call_id=call_id)
    return call_id


async def rescheduled_by_timezone(stack: ExampleStack) -> str:
    talk = await stack.talk()
    await stack.agent_asks(talk, "reschedule_call", {"when": "tomorrow at 3pm"})
    await stack.play(talk, r.PARTIAL)
    await stack.system_asks("update_timezone", {"time_zone": "America/New_York"}, contact_id=stack.contact())
    return talk.call_id


async def custom_event(stack: ExampleStack) -> str:
    talk = await stack.talk()
    await stack.agent_asks(talk, "send_abt_event", {"type": "lead_qualified", "data": {"budget": 1200}})
    await stack.play(talk, r.COMPLETED)
    return talk.call_id


async def lost(stack: ExampleStack) -> str:
    """Retell does not know the call any more, for a day."""
    talk = await stack.talk()
    await stack.check(180, *[3600] * 25)
    return talk.call_id


async def cancelled(stack: ExampleStack) -> str:
    call_id = await stack.accept(not_before=stack.clock.now() + timedelta(hours=1))
    await cancel_call(stack.store, stack.clock, call_id, TESTER)
    return call_id


async def expired(stack: ExampleStack) -> str:
    now = stack.clock.now()
    call_id = await stack.accept(not_before=now + timedelta(hours=1), expires_at=now + timedelta(hours=2))
    stack.clock.advance(7200)
    scheduled = ScheduledCalls(stack.store, stack.clock, QueueDepth())  # type: ignore[arg-type]
    await scheduled.end_expired_calls()
    return call_id


async def suppressed(stack: ExampleStack) -> str:
    await suppress_now(
        stack.store,
        stack.clock,
        stack.new_id,
        SuppressionOrder(phone=stack.phone(), contact_id=None, reason="asked by letter", actor=TESTER),
    )
    return await stack.accept()


STORIES: dict[str, Story] = {
    "completed": played(r.COMPLETED),
    "partially_completed": played(r.PARTIAL),
    "left_voicemail": played(r.VOICEMAIL),
    "rescheduled": rescheduled,
    "rescheduled_by_api": rescheduled_by_api,
    "rescheduled_by_timezone": rescheduled_by_timezone,
    "custom_event": custom_event,
    "retried": retried,
    "retry_cancelled": retry_cancelled,
    "corrected": corrected,
    "corrected_retry": corrected_retry,
    "analysis_missing": analysis_missing,
    "failed_no_answer": played(r.NO_ANSWER),
    "failed_busy": played(r.BUSY, retry=TWICE),
    "failed_declined": played(r.DECLINED),
    "failed_invalid_number": played(r.INVALID),
    "failed_provider_error": played(r.BROKEN_DIAL),
    "failed_refused": answered(REJECTED),
    "failed_capacity": played(r.CAPACITY),
    "failed_voicemail_no_message": played(r.connected("voicemail_reached", r.analysis(False), **r.SILENCE)),
    "failed_answered_no_speech": played(r.connected("inactivity", r.analysis(False), **r.LEFT_MESSAGE)),
    "failed_ivr": played(r.connected("ivr_reached", r.analysis(False))),
    "failed_outcome_unknown": answered(UNCLEAR, 5, 30),
    "failed_provider_lost": lost,
    "failed_cancelled": cancelled,
    "failed_expired": expired,
    "failed_suppressed": suppressed,
    "failed_country_not_allowed": dialing("+442079460100"),
    "failed_number_type_not_allowed": dialing("+18005550100"),
    "retried_voicemail": retried_voicemail,
}


async def play_all(store: PostgresStore, pool: Pool) -> dict[str, list[dict[str, Any]]]:
    """The events of each story's call, in order, as Engage gets them."""
    streams = {}
    for number, (name, story) in enumerate(STORIES.items(), 101):
        stack = ExampleStack(store, pool, number)
        streams[name] = await stack.events(await story(stack))
    return streams
