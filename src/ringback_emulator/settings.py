"""What an emulator is started with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RetellEmulatorSettings:
    """`speed` is emulated seconds per real second; `create_latency_s` is real seconds and passes after the phone rang.

    `functions_url` is the prefix to which a tool's name is appended; `inbound_url` is the inbound webhook of every
    number. The webhook key may differ from the API key,
    as it does on the real platform, where only the key with the webhook badge signs. `control_key` opens the control
    paths; without one they are closed. An emulator with an `owner_file` ends some
    minutes after the process that the file names.
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
    owner_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngageEmulatorSettings:
    """`secret` is the Standard Webhooks secret (`whsec_` and base64) that signs ABT events and CRM writes.

    `control_key` and `owner_file` are as for Retell's.
    """

    state_dir: Path
    secret: str
    control_key: str | None = None
    owner_file: Path | None = None
