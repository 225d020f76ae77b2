"""Recognise late evidence about an erased person, and drop everything of it except a stop."""

from datetime import datetime

from ringback.domain.provider_report import ProviderReport
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.caller_ids import caller_number
from ringback.flows.suppression import suppress
from ringback.storage import Suppression, UnitOfWork


def ids_of(report: ProviderReport) -> list[str | None]:
    """All ids by which a report may name a call."""
    return [report.provider_call_id, report.attempt_id, report.call_id, report.inbound_id]


def person_of(report: ProviderReport, rules: OutcomeRules) -> str | None:
    """The canonical phone of the person in the conversation. None if the report has none."""
    if report.direction == "inbound":
        return caller_number(report.from_number, report.to_number, rules)
    return caller_number(report.to_number, report.from_number, rules)


async def keep_stop_of_erased(tx: UnitOfWork, report: ProviderReport, rules: OutcomeRules, now: datetime) -> None:
    """Keep a late opt-out. The phone is kept only as a keyed hash. Raises ErasureKeyMissing."""
    phone = person_of(report, rules)
    if phone is None or report.end_facts is None or not report.end_facts.opt_out:
        return
    await tx.lock_contacts(await tx.calls.phones_of_open(phone, None), None)
    if not await tx.suppressions.covers(phone, ""):
        stop = Suppression(rules.new_id(), phone, None, "opt_out", "provider", now, of_erased=True)
        await suppress(tx, stop, now)
