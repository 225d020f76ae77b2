"""An accepted call with its first task, as the storage takes it."""

from datetime import datetime, timedelta

from ringback.domain.call import Call, RetryPolicy, Task, TaskKind
from ringback.domain.contact import Contact
from ringback.storage import AcceptedCall


def accepted_call(number: int, contact: Contact, now: datetime) -> AcceptedCall:
    """The call `call-NUMBER` to a contact, accepted and due at `now`."""
    call = Call(
        call_id=f"call-{number}",
        contact_id=contact.contact_id,
        phone=contact.phone,
        agent_id="agent_1",
        from_number="+14155550199",
        variables={},
        metadata={},
        retry=RetryPolicy(),
        accepted_at=now,
        expires_at=now + timedelta(days=7),
        expiry_is_explicit=False,
    )
    return AcceptedCall(contact, call, Task(f"task-{number}", call.call_id, TaskKind.FIRST, now, created_at=now))
