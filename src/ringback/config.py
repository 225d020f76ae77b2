"""The settings. Only this module reads the environment; all settings are validated before anything starts."""

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.domain.follow_up import Deadlines
from ringback.domain.operations import MASK, masked_url
from ringback.domain.phone_number import NumberType
from ringback.domain.time_zone import report_zone
from ringback.log_text import LogFormat

#: A lease outlives the create call by this much, for the time to record an answer.
LEASE_MARGIN_S = 30
#: Retell forgets an idempotency key after an hour; a later resend would ring a second time.
PROVIDER_KEY_MEMORY_S = 3600
#: 32 hexadecimal digits are 128 bits, too many to try out.
MIN_KEY_LENGTH = 32
#: The origin of a value that has no default and is not in the environment.
MADE_BY_UP = "a running ringback up"


class SettingsError(Exception):
    """All problems of the environment, one sentence each, without the values of secrets."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the setting of the same name, without the product's prefix. None means not set.

    `given` has the names of the settings that are set. With `emulated` the others have the emulators' defaults.
    """

    database_url: str | None
    call_queue: str
    event_queue: str
    max_message_bytes: int | None
    aws_endpoint_url_sqs: str | None
    aws_region: str | None
    retell_api_key: str | None
    retell_webhook_key: tuple[str, ...]
    retell_base_url: str | None
    engage_url: str | None
    engage_secret: str | None
    api_key: str | None
    instance: str | None
    erasure_key: tuple[str, ...]
    countries: frozenset[str]
    number_types: frozenset[NumberType]
    calling_hours: CallingHours
    max_live_calls: int
    calls_per_second: int
    attempts_per_day: int
    attempt_gap_s: int
    create_timeout_s: float
    unknown_lookups_s: tuple[int, ...]
    same_key_window_s: int
    silence_deadline_s: int
    not_connected_deadline_s: int
    analysis_deadline_s: int
    analysis_give_up_s: int
    max_call_s: int
    inbound_hold_s: int
    catalog: Path | None
    report_zone: ZoneInfo
    console: Literal["on", "off"]
    emulator_speed: float
    traces_url: str | None
    log_format: LogFormat | None
    emulated: bool
    given: frozenset[str]

    @property
    def dial_policy(self) -> DialPolicy:
        """The limits of dialing."""
        return DialPolicy(
            countries=self.countries,
            calling_hours=self.calling_hours,
            max_live_calls=self.max_live_calls,
            calls_per_second=self.calls_per_second,
            attempts_per_day=self.attempts_per_day,
            attempt_gap_s=self.attempt_gap_s,
            lease_s=self.create_timeout_s + LEASE_MARGIN_S,
            number_types=self.number_types,
        )

    @property
    def deadlines(self) -> Deadlines:
        """The times after which an attempt is looked up or given up."""
        return Deadlines(
            silence_s=self.silence_deadline_s,
            not_connected_s=self.not_connected_deadline_s,
            analysis_s=self.analysis_deadline_s,
            analysis_give_up_s=self.analysis_give_up_s,
            max_call_s=self.max_call_s,
            unknown_lookups_s=self.unknown_lookups_s,
            same_key_window_s=self.same_key_window_s,
            inbound_hold_s=self.inbound_hold_s,
        )


@dataclass(frozen=True, slots=True)
class Access:
    """The address of a running Ringback, and an API key."""

    url: str
    api_key: str


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return float(text)

    return read


def _url(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        begins = f"must be a URL that begins with {' or '.join(f'{known}://' for known in schemes)}"
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError(begins) from None
        if parts.scheme not in schemes or "//" not in text:
            raise ValueError(begins)
        if parts.scheme.startswith("http") and not parts.hostname:
            raise ValueError("must name a host")
        try:
            # A PostgreSQL URL may name several hosts, each with its port.
            for address in parts.netloc.rpartition("@")[2].split(","):
                _ = urlsplit(f"//{address}").port
        except ValueError:
            raise ValueError("must have a number from 0 to 65535 as its port") from None
        return text

    return read


def _queue(text: str) -> str:
    if not re.fullmatch(r"https?://\S+|[A-Za-z0-9_-]{1,40}", text):
        raise ValueError("must be an SQS queue URL, or a name of letters, digits, - and _ for a queue in the database")
    return text


def _secret(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("must be printable ASCII without spaces")
    return text


def _secrets(text: str) -> tuple[str, ...]:
    return tuple(_secret(part.strip()) for part in text.split(","))


def _long_secrets(text: str) -> tuple[str, ...]:
    keys = _secrets(text)
    if min(map(len, keys)) < MIN_KEY_LENGTH:
        raise ValueError(f"must be at least {MIN_KEY_LENGTH} random characters, for example of `openssl rand -hex 32`")
    return keys


def _signing_secret(text: str) -> str:
    prefix, _, encoded = text.partition("_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if prefix != "whsec" or not key:
        raise ValueError("must be a Standard Webhooks secret: whsec_ and base64")
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError("must be 1 to 64 letters, digits, dots, - or _")
    return text


def _countries(text: str) -> frozenset[str]:
    codes = [part.strip().upper() for part in text.split(",")]
    if not all(re.fullmatch(r"[A-Z]{2}", code) for code in codes):
        raise ValueError("must be ISO 3166 country codes, separated by commas, for example US,CA")
    # The ISO 3166 codes in the time zone database, and three more regions with numbers of their own.
    lines = resources.files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text("utf-8").splitlines()
    known = {line[:2] for line in lines if not line.startswith("#")} | {"AC", "TA", "XK"}
    unknown = sorted(set(codes) - known)
    if unknown:
        raise ValueError(f"{', '.join(unknown)} is no country of ISO 3166, for example GB is the United Kingdom")
    return frozenset(codes)


def _number_types(text: str) -> frozenset[NumberType]:
    names = {part.strip() for part in text.split(",")} - {"none"}
    if not names <= set(NumberType):
        raise ValueError(f"must be none, or some of {', '.join(NumberType)}, separated by commas")
    return frozenset(map(NumberType, names))


def _lookups(text: str) -> tuple[int, ...]:
    read = _whole(0, 86400)
    try:
        seconds = tuple(read(part.strip()) for part in text.split(","))
    except ValueError:
        seconds = ()
    if not seconds or list(seconds) != sorted(set(seconds)):
        raise ValueError("must be rising whole seconds, separated by commas, for example 5,30,120")
    return seconds


def _one_of(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be {' or '.join(known)}")
        return text

    return read


@dataclass(frozen=True, slots=True)
class _Entry:
    """One setting. Defaults have the text form of the environment, so one parser reads both."""

    name: str
    parse: Callable[[str], object]
    default: str | None = None
    emulated: str | None = None  # the default with the emulators, where it differs
    secret: bool = False
    other_names: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        return self.name.removeprefix("RINGBACK_").lower()


_DAY_S = 86400

_ENTRIES = (
    _Entry("RINGBACK_DATABASE_URL", _url("postgresql", "postgres")),
    _Entry("RINGBACK_CALL_QUEUE", _queue, "calls"),
    _Entry("RINGBACK_EVENT_QUEUE", _queue, "events"),
    _Entry("RINGBACK_MAX_MESSAGE_BYTES", _whole(1024, 1024 * 1024)),
    _Entry("AWS_ENDPOINT_URL_SQS", _url("http", "https")),
    _Entry("AWS_REGION", _name, other_names=("AWS_DEFAULT_REGION",)),
    _Entry("RETELL_API_KEY", _secret, secret=True),
    _Entry("RETELL_WEBHOOK_KEY", _secrets, secret=True),
    _Entry("RETELL_BASE_URL", _url("http", "https")),
    _Entry("RINGBACK_ENGAGE_URL", _url("http", "https")),
    _Entry("RINGBACK_ENGAGE_SECRET", _signing_secret, secret=True),
    _Entry("RINGBACK_API_KEY", _secret, secret=True),
    _Entry("RINGBACK_INSTANCE", _name),
    _Entry("RINGBACK_ERASURE_KEY", _long_secrets, secret=True),
    _Entry("RINGBACK_COUNTRIES", _countries, "US"),
    _Entry("RINGBACK_NUMBER_TYPES", _number_types, "none"),
    _Entry("RINGBACK_CALLING_HOURS", CallingHours.parse, "mon-sat 09:00-20:00", "always"),
    _Entry("RINGBACK_MAX_LIVE_CALLS", _whole(1, 100_000), "20", "400"),
    _Entry("RINGBACK_CALLS_PER_SECOND", _whole(1, 10_000), "1", "100"),
    _Entry("RINGBACK_ATTEMPTS_PER_DAY", _whole(0, 1000), "3", "0"),
    _Entry("RINGBACK_ATTEMPT_GAP_S", _whole(0, 7 * _DAY_S), "900", "0"),
    _Entry("RINGBACK_CREATE_TIMEOUT_S", _number(0.1, 300), "30", "3"),
    _Entry("RINGBACK_UNKNOWN_LOOKUPS_S", _lookups, "5,30,120,600,1800,4200", "1,3,10,30,60,120"),
    _Entry("RINGBACK_SAME_KEY_WINDOW_S", _whole(0, PROVIDER_KEY_MEMORY_S - 1), "2700"),
    _Entry("RINGBACK_SILENCE_DEADLINE_S", _whole(1, _DAY_S), "180", "10"),
    _Entry("RINGBACK_NOT_CONNECTED_DEADLINE_S", _whole(1, _DAY_S), "20", "3"),
    _Entry("RINGBACK_ANALYSIS_DEADLINE_S", _whole(1, _DAY_S), "300", "10"),
    _Entry("RINGBACK_ANALYSIS_GIVE_UP_S", _whole(1, 30 * _DAY_S), "86400", "120"),
    _Entry("RINGBACK_MAX_CALL_S", _whole(1, _DAY_S), "3600", "600"),
    _Entry("RINGBACK_INBOUND_HOLD_S", _whole(0, _DAY_S), "1800"),
    _Entry("RINGBACK_CATALOG", Path),
    _Entry("RINGBACK_REPORT_ZONE", report_zone, "UTC"),
    _Entry("RINGBACK_CONSOLE", _one_of("on", "off"), "on"),
    _Entry("RINGBACK_EMULATOR_SPEED", _number(0.01, 100_000), "20"),
    _Entry("RINGBACK_TRACES_URL", _url("http", "https")),
    _Entry("RINGBACK_LOG_FORMAT", _one_of(*get_args(LogFormat))),
)


def process_environment() -> Mapping[str, str]:
    """Return the environment of this process."""
    return os.environ


def read_settings(env: Mapping[str, str], emulated: bool) -> Settings:
    """Read the settings. Those that are not set get the default of production, or of the emulators.

    An empty setting counts as not set. Raises SettingsError.
    """
    values: dict[str, Any] = {}
    given: set[str] = set()
    problems: list[str] = []
    for entry in _ENTRIES:
        names = (entry.name, *entry.other_names)
        text = next((found for name in names if (found := env.get(name, "").strip())), None)
        if text is not None:
            given.add(entry.name)
        else:
            text = entry.emulated if emulated and entry.emulated is not None else entry.default
        try:
            values[entry.field] = None if text is None else entry.parse(text)
        except ValueError as error:
            problems.append(f"{entry.name}: {error}")
            values[entry.field] = None
    if values["engage_url"] and not values["engage_secret"]:
        problems.append("RINGBACK_ENGAGE_SECRET: must be set with RINGBACK_ENGAGE_URL, because every event is signed")
    if values["call_queue"] and values["call_queue"] == values["event_queue"]:
        problems.append("RINGBACK_EVENT_QUEUE: must be another queue than RINGBACK_CALL_QUEUE")
    first, last = values["analysis_deadline_s"], values["analysis_give_up_s"]
    if first and last and first > last:
        problems.append("RINGBACK_ANALYSIS_GIVE_UP_S: must not be shorter than RINGBACK_ANALYSIS_DEADLINE_S")
    if problems:
        raise SettingsError(problems)
    values["retell_webhook_key"] = values["retell_webhook_key"] or tuple(filter(None, (values["retell_api_key"],)))
    values["erasure_key"] = values["erasure_key"] or ()
    return Settings(**values, emulated=emulated, given=frozenset(given))


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """Return (name, value, origin) of every setting, secrets and passwords masked."""
    rows = []
    for entry in _ENTRIES:
        value = getattr(settings, entry.field)
        shown = "" if value in (None, ()) else _shown(entry, value)
        rows.append((entry.name, shown, _origin(entry, settings, is_set=bool(shown))))
    return rows


def read_access(env: Mapping[str, str], up_file: Path) -> Access:
    """Return RINGBACK_URL and RINGBACK_API_KEY, else the values in the file of `ringback up`. Raises SettingsError."""
    url, api_key = read_url(env), env.get("RINGBACK_API_KEY")
    try:
        running = json.loads(up_file.read_text()) if not (url and api_key) else {}
    except (OSError, ValueError):
        running = {}
    # The key in the file of `up` is sent to the URL in that file, and to no other.
    access = Access(url or "", api_key or "") if url else Access(running.get("url", ""), running.get("api_key", ""))
    if not (access.url and access.api_key):
        hint = f"set RINGBACK_URL and RINGBACK_API_KEY, or name the data directory of a running system ({up_file})"
        raise SettingsError([f"no Ringback to talk to: {hint}"])
    return Access(access.url.rstrip("/"), access.api_key)


def read_access_url(env: Mapping[str, str], up_file: Path) -> str:
    """Return RINGBACK_URL, else the address in the file of `ringback up`, for requests without a key."""
    return read_access({"RINGBACK_API_KEY": "unused"} | dict(env), up_file).url


def read_url(env: Mapping[str, str]) -> str | None:
    """Return RINGBACK_URL alone, the public address of a running Ringback. Raises SettingsError."""
    url = env.get("RINGBACK_URL", "").strip()
    try:
        return _url("http", "https")(url) if url else None
    except ValueError as error:
        raise SettingsError([f"RINGBACK_URL: {error}"]) from None


def _origin(entry: _Entry, settings: Settings, *, is_set: bool) -> str:
    if entry.name in settings.given:
        return "environment"
    if settings.emulated and entry.emulated is not None:
        return "default beside the emulators"
    if entry.name == "RETELL_WEBHOOK_KEY" and settings.retell_webhook_key == (settings.retell_api_key,):
        return "RETELL_API_KEY"
    if entry.default is None:
        return MADE_BY_UP if is_set else "not set"
    return "default"


def _shown(entry: _Entry, value: object) -> str:
    if entry.secret:
        return MASK
    if isinstance(value, frozenset | tuple):
        return ",".join(str(part) for part in (sorted(value) if isinstance(value, frozenset) else value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return masked_url(str(value)) if "://" in str(value) else str(value)
