"""Where a person may be: the zones in which calling hours must all be open."""

from ringback.domain.call import Contact
from ringback.domain.number_plan import NumberPlan
from ringback.domain.time_zone import region_zone
from ringback.domain.zone_names import resolve_zone_code


def zones_of(contact: Contact, phone: str, numbers: NumberPlan) -> tuple[str, ...]:
    """The zone that a person or the CRM named, else every zone the number may lie in; empty if nothing is known.

    A stored name that is no region ("EST", "Etc/GMT+5") is no clock to call by. Then the zones are the number's, and
    those that the name may mean: hours must be open in all of them.
    """
    near = numbers.time_zones(phone)
    if contact.time_zone is None:
        return near
    region = region_zone(contact.time_zone)
    if region is not None:
        return (region,)
    answer = resolve_zone_code(contact.time_zone, near)
    meant = (answer.zone,) if answer.zone is not None else answer.candidates
    return tuple(dict.fromkeys(near + meant))
