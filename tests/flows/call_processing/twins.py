"""The provider's twin: answers what its script says, and keeps its own ledger of the requests that reached it."""

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialFact, DialRequest, Party, VoicemailAction
from ringback.domain.errors import ProviderUnavailable
from ringback.domain.provider_report import Analysis, EndFacts, ProviderReport, ProviderStatus, ReportKind

K = DialAnswerKind

NOT_SENT = DialAnswer(K.NOT_SENT, "client_connector")
REFUSED = DialAnswer(K.REJECTED, "http_422")
ACCOUNT_REFUSED = DialAnswer(K.ACCOUNT_REFUSED, "http_402")
DEFERRED = DialAnswer(K.DEFERRED, "http_429")
AMBIGUOUS = DialAnswer(K.AMBIGUOUS, "http_500")

TALKED = EndFacts(DialFact.ANSWERED, Party.HUMAN, "person", connected=True)
NO_ANSWER = EndFacts(DialFact.NO_ANSWER, Party.UNKNOWN, "network", connected=False)


class ProviderTwin:
    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.script: deque[DialAnswer] = deque()
        self.dials: list[DialRequest] = []
        self.during_dial: Callable[[DialRequest], Awaitable[None]] | None = None
        self.before_send: Callable[[], None] | None = None
        self.known: dict[str, ProviderReport] = {}
        self.is_reachable = True
        self.details_are_reachable = True
        self.lookups = 0
        self.polls = 0
        self.action = VoicemailAction.MESSAGE
        self.stopped: list[str] = []
        self.emulated: bool | None = True

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        if self.before_send is not None:
            self.before_send()
        if self._clock.monotonic() >= lease_deadline:
            return DialAnswer(K.NOT_SENT, "lease_over")
        self.dials.append(request)
        answer = self.script.popleft() if self.script else self.placed(len(self.dials))
        if self.during_dial is not None:
            await self.during_dial(request)
        return answer

    @staticmethod
    def placed(number: int) -> DialAnswer:
        return DialAnswer(K.PLACED, "http_201", f"call_{number}")

    async def find_attempt(self, attempt_id: str) -> list[ProviderReport]:
        self.lookups += 1
        if not self.is_reachable:
            raise ProviderUnavailable("list-calls answered 503")
        return [report for report in self.known.values() if report.attempt_id == attempt_id]

    async def fetch_call(self, provider_call_id: str) -> ProviderReport | None:
        self.polls += 1
        if not (self.is_reachable and self.details_are_reachable):
            raise ProviderUnavailable("get-call answered 503")
        return self.known.get(provider_call_id)

    async def stop_call(self, provider_call_id: str) -> None:
        self.stopped.append(provider_call_id)

    async def is_emulated(self) -> bool | None:
        return self.emulated

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        return self.action

    def rang(self, attempt_id: str, provider_call_id: str = "call_1", **facts: Any) -> ProviderReport:
        """From now on the provider says this of the call."""
        facts = {"instance": "test-instance", "status": ProviderStatus.REGISTERED, **facts}
        report = ProviderReport(ReportKind.SNAPSHOT, provider_call_id, attempt_id=attempt_id, **facts)
        self.known[provider_call_id] = report
        return report

    def no_answer(self, attempt_id: str, provider_call_id: str = "call_1") -> ProviderReport:
        return self.rang(
            attempt_id,
            provider_call_id,
            status=ProviderStatus.NOT_CONNECTED,
            disconnection_reason="dial_no_answer",
            end_facts=NO_ANSWER,
        )

    def talked(
        self, attempt_id: str, provider_call_id: str = "call_1", *, analysis: Analysis | None = None
    ) -> ProviderReport:
        """A conversation that has just ended."""
        now = self._clock.now()
        return self.rang(
            attempt_id,
            provider_call_id,
            status=ProviderStatus.ENDED,
            started_at=now - timedelta(seconds=20),
            ended_at=now,
            duration_ms=20_000,
            disconnection_reason="user_hangup",
            end_facts=TALKED,
            transcript="Agent: Hello\nUser: Hi",
            agent_spoke=True,
            user_turns=1,
            analysis=analysis,
        )
