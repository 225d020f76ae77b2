"""The business actions: one file each, one line each here."""

from collections.abc import Callable

from ringback.domain.catalog import Catalog
from ringback.domain.gate import DialPolicy
from ringback.flows.business_operations.action import Action
from ringback.flows.business_operations.reschedule_call import RescheduleCall
from ringback.flows.business_operations.set_disposition import SetDisposition
from ringback.ports import NumberPlan, SpokenTime


def business_actions(
    *,
    spoken_time: SpokenTime,
    numbers: NumberPlan,
    policy: DialPolicy,
    catalog: Catalog,
    new_id: Callable[[], str],
) -> dict[str, Action]:
    """The implemented actions by their wire names."""
    return {
        "reschedule_call": RescheduleCall(spoken_time, numbers, policy, new_id),
        "set_disposition": SetDisposition(catalog, new_id),
    }
