"""The business actions. Each has its own file and one line here."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ringback.domain.catalog import Catalog
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.business_operations import (
    call_analysed,
    delete_scheduled_task,
    field_writeback,
    incoming_call,
    note_writeback,
    reschedule_call,
    send_abt_event,
    set_disposition,
    update_timezone,
)
from ringback.flows.business_operations.action import Action, ActionDeclaration
from ringback.flows.call_outcome import OutcomeRules
from ringback.ports import SpokenTime


def business_actions(
    rules: OutcomeRules,
    catalog: Catalog,
    spoken_time: SpokenTime,
    read_call: Callable[[object, ReportKind], ProviderReport],
    identify: Callable[[dict[str, Any]], tuple[bytes, str]],
    now: Callable[[], datetime],
) -> dict[str, Action]:
    """Every action by its wire name. `read_call` and `identify` are the provider's edge: see `CallAnalysed`."""
    new_id, policy = rules.new_id, rules.policy
    actions: list[Action] = [
        field_writeback.FieldWriteback(catalog, new_id),
        reschedule_call.RescheduleCall(spoken_time, rules.numbers, policy, new_id),
        delete_scheduled_task.DeleteScheduledTask(),
        update_timezone.UpdateTimezone(rules.numbers, policy, new_id),
        incoming_call.IncomingCall(rules, catalog.told_to_callers),
        set_disposition.SetDisposition(catalog, rules, now),
        send_abt_event.SendAbtEvent(catalog, new_id),
        call_analysed.CallAnalysed(read_call, identify, rules),
        note_writeback.NoteWriteback(new_id),
    ]
    return {action.declaration.name: action for action in actions}


def declarations(catalog: Catalog) -> list[ActionDeclaration]:
    """The declarations of all actions under this catalogue."""
    return [
        field_writeback.declare(catalog),
        reschedule_call.DECLARATION,
        delete_scheduled_task.DECLARATION,
        update_timezone.DECLARATION,
        incoming_call.DECLARATION,
        set_disposition.declare(catalog),
        send_abt_event.declare(catalog),
        call_analysed.DECLARATION,
        note_writeback.DECLARATION,
    ]
