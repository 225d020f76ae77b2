"""Faults a test suite switches on while the emulated Retell runs; they are not kept over a restart."""

from dataclasses import dataclass, field
from typing import Any, Literal

_SWITCHES = {"list_calls": {"fail", "lag", None}, "webhooks": {"drop", None}}


@dataclass(slots=True)
class CreateFault:
    """What happens to the next `times` accepted create requests.

    After `delay_s` real seconds, `status` None never answers, 0 resets the connection, 201 answers as usual, any other
    is answered with `body` (or Retell's error shape). With `rings` the call is placed all the same.
    """

    status: int | None
    rings: bool = False
    times: int = 1
    body: str | None = None
    delay_s: float = 0.0

    @property
    def places_call(self) -> bool:
        return self.rings or self.status == 201


@dataclass(slots=True)
class RetellFaults:
    """`account`: every request to the API is answered with that status.

    `list_calls`: "fail" answers 500; "lag" hides every call created since the fault was set.
    """

    create: list[CreateFault] = field(default_factory=list)
    list_calls: Literal["fail", "lag"] | None = None
    lag_since_ms: int = 0
    webhooks: Literal["drop"] | None = None
    account: int | None = None

    def change(self, wanted: dict[str, Any], now_ms: int) -> None:
        """Sets the faults that are named, leaves the others. Raises ValueError or TypeError for what it cannot read."""
        for name, allowed in _SWITCHES.items():
            if name in wanted and wanted[name] not in allowed:
                raise ValueError(f"{name} must be one of {allowed}")
        if "create" in wanted:
            self.create = [CreateFault(**fault) for fault in wanted["create"]]
        if "list_calls" in wanted:
            self.list_calls, self.lag_since_ms = wanted["list_calls"], now_ms
        if "webhooks" in wanted:
            self.webhooks = wanted["webhooks"]
        if "account" in wanted:
            self.account = None if wanted["account"] is None else int(wanted["account"])

    def next_create(self) -> CreateFault | None:
        while self.create:
            fault = self.create[0]
            fault.times -= 1
            if fault.times <= 0:
                self.create.pop(0)
            if fault.times >= 0:
                return fault
        return None
