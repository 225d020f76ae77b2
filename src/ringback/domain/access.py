"""Who may do what over HTTP: the roles of API keys, and the one table of what each role may do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    ENGAGE = "engage"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Permission(StrEnum):
    """What an endpoint needs. The value completes the sentence "may not …"."""

    READ_CALLS = "read calls"
    READ_SUPPRESSIONS = "read suppressions"
    READ_EVENTS = "read events"
    EXPLAIN = "ask why a person is or is not called"
    PLACE_CALLS = "place calls"
    CANCEL_CALLS = "cancel calls"
    SUPPRESS = "suppress a person or lift a suppression"
    ACT = "perform business actions"
    PAUSE = "pause or resume dialing"


_P = Permission
_VIEWER = frozenset({_P.READ_CALLS, _P.READ_SUPPRESSIONS, _P.READ_EVENTS, _P.EXPLAIN})

#: A viewer only reads. Engage triggers and follows its own calls. An operator stops, and does not place calls.
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _VIEWER | {_P.CANCEL_CALLS, _P.SUPPRESS, _P.PAUSE},
    Role.ENGAGE: frozenset(
        {
            _P.PLACE_CALLS,
            _P.READ_CALLS,
            _P.CANCEL_CALLS,
            _P.READ_SUPPRESSIONS,
            _P.SUPPRESS,
            _P.ACT,
            _P.READ_EVENTS,
            _P.EXPLAIN,
        }
    ),
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class KnownKey:
    """An API key that is valid now."""

    name: str
    role: Role

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is told of a key; the key itself is known to nobody but its owner. `last_used_at` is a minute exact."""

    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
