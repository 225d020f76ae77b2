"""Settings of the emulators, fixed at the start, and faults that a client switches on while they run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ringback_emulator.call_request import CallRequest
from ringback_emulator.emulated_time import EmulatedTime, SystemTime
from ringback_emulator.scenarios import Behaviour, scenario_of


def by_magic_number(request: CallRequest, now_ms: int) -> Behaviour:
    """Return the scenario of the metadata or of the number, with its own times."""
    return Behaviour(scenario_of(request.to_number, request.metadata))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetellEmulatorSettings:
    """Settings of the emulated Retell.

    `webhook_key` signs webhooks and functions. On the real platform too it may differ from the API key.
    `control_key` opens the control paths; without it they are closed.
    A function's name is appended to `functions_url`. `inbound_url` is the inbound webhook of every number.
    `speed` is emulated seconds per real second.
    `create_latency_s` is real seconds between the ring and the answer of create-phone-call.
    With an `owner_file` the emulator ends some minutes after the process that the file names.
    `behaviour_of` returns what the called person does, for a request at a time in Unix milliseconds.
    """

    state_dir: Path
    api_key: str
    webhook_key: str
    control_key: str | None = None
    webhook_url: str | None = None
    functions_url: str | None = None
    inbound_url: str | None = None
    speed: float = 20.0
    concurrency_limit: int = 1000
    calls_per_second: int = 1000
    idempotency: bool = True
    create_latency_s: float = 0.0
    seed: int = 0
    time: EmulatedTime = field(default_factory=SystemTime)
    behaviour_of: Callable[[CallRequest, int], Behaviour] = by_magic_number
    owner_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngageEmulatorSettings:
    """Settings of the emulated Engage.

    `secret` is the Standard Webhooks secret (`whsec_` and base64) that signs ABT events and CRM writes.
    `control_key` and `owner_file` mean the same as for Retell.
    """

    state_dir: Path
    secret: str
    control_key: str | None = None
    owner_file: Path | None = None


@dataclass(slots=True)
class CreateFault:
    """The answer to the next `times` valid create requests, after `delay_s` real seconds.

    `status` None: never answers. 0: resets the connection. 201: answers as usual.
    Any other status is answered with `body`, or with an error in Retell's form.
    With `rings` the call is placed although the answer fails.
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
    """Faults of the emulated Retell. A restart removes them.

    `list_calls`: "fail" answers 500, "lag" hides every call created since the fault was set.
    `webhooks`: "drop" sends none. `account` is the status that answers every request of the API.
    """

    create: list[CreateFault] = field(default_factory=list)
    list_calls: Literal["fail", "lag"] | None = None
    lag_since_ms: int = 0
    webhooks: Literal["drop"] | None = None
    account: int | None = None

    def change(self, changes: dict[str, Any], now_ms: int) -> None:
        """Set the named faults and keep the others. Raises ValueError or TypeError for an invalid one."""
        for name, allowed in (("list_calls", {"fail", "lag", None}), ("webhooks", {"drop", None})):
            if name in changes and changes[name] not in allowed:
                raise ValueError(f"{name} must be one of {allowed}")
        if "create" in changes:
            self.create = [CreateFault(**fault) for fault in changes["create"]]
        if "list_calls" in changes:
            self.list_calls, self.lag_since_ms = changes["list_calls"], now_ms
        if "webhooks" in changes:
            self.webhooks = changes["webhooks"]
        if "account" in changes:
            self.account = None if changes["account"] is None else int(changes["account"])

    def next_create(self) -> CreateFault | None:
        while self.create:
            fault = self.create[0]
            fault.times -= 1
            if fault.times <= 0:
                self.create.pop(0)
            if fault.times >= 0:
                return fault
        return None


@dataclass(slots=True)
class EngageFault:
    """The answer to the next `times` deliveries, after `delay_s` real seconds. `keep` stores a rejected delivery."""

    status: int | None = None
    times: int = 1
    delay_s: float = 0.0
    keep: bool = False
