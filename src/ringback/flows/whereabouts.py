"""Where a person may be: the zones in which calling hours must all be open."""

from ringback.domain.call import Contact
from ringback.domain.number_plan import NumberPlan


def zones_of(contact: Contact, phone: str, numbers: NumberPlan) -> tuple[str, ...]:
    """The zone that a person or the CRM named, else every zone the number may lie in; empty if nothing is known."""
    if contact.time_zone is not None:
        return (contact.time_zone,)
    return numbers.time_zones(phone)
