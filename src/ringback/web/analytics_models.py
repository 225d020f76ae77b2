"""The queries of the statistics and of exports, and the shapes of their answers."""

from datetime import date, datetime, timedelta, tzinfo
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote_plus
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, Field

from ringback.domain.abt_event import iso
from ringback.domain.analytics_query import DAY_AFTER_LAST, FIRST_DAY, NONE, PARAMETERS, Filter, midnight
from ringback.domain.metrics import COUNTED_ROWS, METRICS
from ringback.domain.time_zone import report_zone
from ringback.flows.analytics import BREAKDOWNS
from ringback.web.problems import FieldProblem, invalid
from ringback.web.request_fields import Cursor, Name, PageSize, Phone, read_moment
from ringback.web.request_models import RequestModel
from ringback.web.response_models import AnswerModel, Time


def _zone(name: str) -> str:
    try:
        report_zone(name)
    except ValueError as error:
        raise ValueError(f"unknown_time_zone: This {error}.") from None
    return name


def _day_or_time(text: str) -> str:
    try:
        moment = date.fromisoformat(text) if len(text) == 10 else read_moment(text)
    except ValueError:
        message = "This is a day or a time with its offset, for example 2026-12-01 or 2026-12-01T17:00:00Z."
        raise ValueError(f"not_a_time: {message}") from None
    if not FIRST_DAY.year <= moment.year < DAY_AFTER_LAST.year:
        raise ValueError("out_of_range: This is before 2000 or after 2199.")
    return text


def _one_of(*known: str) -> AfterValidator:
    def check(text: str) -> str:
        if text not in known:
            raise ValueError(f"unknown: Choose one of {', '.join(known)}.")
        return text

    return AfterValidator(check)


DayOrTime = Annotated[str, AfterValidator(_day_or_time)]
Zone = Annotated[Name, AfterValidator(_zone)]
MetricName = Annotated[str, _one_of(*METRICS), Field(json_schema_extra={"enum": list(METRICS)})]
Measure = Annotated[str, _one_of(*COUNTED_ROWS), Field(json_schema_extra={"enum": list(COUNTED_ROWS)})]
BreakdownKey = Annotated[str, _one_of(*BREAKDOWNS), Field(json_schema_extra={"enum": list(BREAKDOWNS)})]
_RANGE: dict[str, Any] = {"from": "2026-12-01", "to": "2026-12-02", "agent_id": "agent_1"}


class RangeQuery(RequestModel):
    from_: DayOrTime | None = Field(None, alias="from", description="The first day or moment. Default: today.")
    to: DayOrTime | None = Field(None, description="The day or moment after the last one. Default: tomorrow.")
    zone: Zone | None = Field(None, description="The zone of days. Default: RINGBACK_REPORT_ZONE.")
    campaign_id: Name | None = Field(None, description="Only of this campaign; `none`: without one.")
    agent_id: Name | None = Field(None, description="Only of this agent.")
    agent_version: Name | None = Field(None, description="Only of this version of the agent; `none`: unknown.")
    from_number: Phone | None = Field(None, description="Only from this number of yours.")
    direction: Literal["outbound", "inbound"] | None = Field(None, description="Inbound calls are not counted.")
    attempt_no: Annotated[int, Field(ge=1, le=10, strict=False)] | None = Field(
        None, description="Only first, second, or third and later attempts (3)."
    )
    outcome: Name | None = Field(None, description="Only of this outcome, for example `completed`.")

    def filter(self, of_reports: tzinfo, now: datetime) -> Filter:
        """Resolve days in the zone. Raises Problem 422 for a range that is empty."""
        zone = ZoneInfo(self.zone) if self.zone is not None else of_reports
        today = now.astimezone(zone).date()
        since = _moment(self.from_, zone, today)
        until = _moment(self.to, zone, today + timedelta(days=1))
        if since >= until:
            raise invalid([FieldProblem("query:to", "not_after_from", "This must be after `from`.")])
        return Filter(since=since, until=until, zone=zone, **self._keys())

    def _keys(self) -> dict[str, Any]:
        return {
            "campaign": "" if self.campaign_id == NONE else self.campaign_id,
            "agent": self.agent_id,
            "agent_version": "" if self.agent_version == NONE else self.agent_version,
            "from_number": self.from_number,
            "direction": self.direction,
            "attempt_no": self.attempt_no,
            "outcome": self.outcome,
        }


def _moment(text: str | None, zone: tzinfo, default: date) -> datetime:
    if text is not None and len(text) > 10:
        return read_moment(text)
    return midnight(default if text is None else date.fromisoformat(text), zone)


class SummaryQuery(RangeQuery):
    EXAMPLE = _RANGE | {"compare": "previous"}

    compare: Literal["previous"] | None = Field(None, description="Also the value of the range just before.")


class SeriesQuery(SummaryQuery):
    EXAMPLE = _RANGE | {"metric": "human_rate", "step": "day"}

    metric: MetricName = Field(description="A metric of docs/analytics.md.")
    step: Literal["hour", "day", "week"] = Field("day", description="The length of a step.")


class BreakdownQuery(SummaryQuery):
    EXAMPLE = _RANGE | {"metric": "human_rate", "by": "agent", "limit": 10}

    metric: MetricName = Field(description="A metric of docs/analytics.md.")
    by: BreakdownKey = Field(description="The key whose values are the groups.")
    limit: PageSize = Field(50, description="The most groups.")


class RowsQuery(RangeQuery):
    EXAMPLE = _RANGE | {"measure": "human", "limit": 50}

    measure: Measure = Field(description="What is counted, as a `rows_url` names it.")
    reason: Name | None = Field(None, description="Only of this reason.")
    weekday: Annotated[int, Field(ge=0, le=6, strict=False)] | None = Field(
        None, description="0 is Monday, by the contact's clock. The range is then of months by that clock."
    )
    local_hour: Annotated[int, Field(ge=0, le=23, strict=False)] | None = Field(
        None, description="By the contact's clock."
    )
    cursor: Cursor | None = Field(None, description="The `next_cursor` of the page before.")
    limit: PageSize = Field(50, description="The most items of a page.")

    def _keys(self) -> dict[str, Any]:
        more = {"reason": self.reason, "weekday": self.weekday, "local_hour": self.local_hour}
        return super()._keys() | more


class ReportQuery(RangeQuery):
    """The query of the console's page. Without a step it is the one that suits the range."""

    metric: MetricName = "attempts"
    by: BreakdownKey = "outcome"
    step: Literal["hour", "day", "week"] | None = None


class ExportQuery(RangeQuery):
    EXAMPLE = _RANGE

    call_id: Name | None = Field(None, description="Of events: only of this call.")
    contact_id: Name | None = Field(None, description="Of events: only of this contact.")
    type: Name | None = Field(None, description="Of events: only of this type, for example `voice_ai_call_completed`.")
    safe_for_spreadsheets: Annotated[bool, Field(strict=False)] = Field(
        False, description="In a CSV, mark text that a spreadsheet would run as a formula."
    )

    def _keys(self) -> dict[str, Any]:
        return super()._keys() | {"call_id": self.call_id, "contact_id": self.contact_id, "event_type": self.type}


def rows_url(asked: Filter) -> str:
    """The address of the list of rows. With `&measure=` it is the list of exactly the rows that a measure counts."""
    keys = "".join(
        f"&{PARAMETERS.get(name, name)}={quote_plus(str(value)) or NONE}" for name, value in asked.keys.items()
    )
    since, until = _in_address(asked.since), _in_address(asked.until)
    return f"/v1/analytics/rows?from={since}&to={until}&zone={quote_plus(str(asked.zone))}{keys}"


def _in_address(moment: datetime) -> str:
    return str(iso(moment)).replace(":", "%3A")


_FIGURE: dict[str, Any] = {
    "value": 0.5,
    "numerator": 1,
    "denominator": 2,
    "interval": [0.09, 0.91],
    "rows": 1,
    "rows_url": "/v1/analytics/rows?from=2026-12-01T00%3A00%3A00.000Z&measure=human",
    "denominator_rows_url": "/v1/analytics/rows?from=2026-12-01T00%3A00%3A00.000Z&measure=attempts",
}
_HEAD: dict[str, Any] = {
    "as_of": "2026-12-01T17:00:00.000Z",
    "zone": "UTC",
    "from": "2026-12-01T00:00:00.000Z",
    "to": "2026-12-02T00:00:00.000Z",
}


class Figure(BaseModel):
    """A number that names what it is made of."""

    value: float | None = Field(description="Null where the denominator is 0. Shares are from 0 to 1.")
    numerator: float = Field(description="In the metric's unit.")
    denominator: int | None = Field(description="Null for a count.")
    interval: list[float] | None = Field(description="The 95 % interval of a share, by Wilson.")
    rows: int = Field(description="The number of rows at `rows_url`.")
    rows_url: str = Field(description="The list of exactly the rows that the numerator counts.")
    denominator_rows_url: str | None = Field(None, description="The list of the denominator's rows.")
    previous: float | None = Field(
        None,
        description="The value in the range before, if it was asked for. Null: there is none.",
    )


class SeriesItem(Figure):
    at: Time = Field(description="The start of the step.")


class BreakdownItem(Figure):
    key: dict[str, Any] = Field(description="The key and its value; two keys for `local_hour` and `agent_version`.")


class _Answer(AnswerModel):
    as_of: Time = Field(description="Everything that was committed before is counted.")
    zone: str = Field(description="The zone of days.")
    from_: Time = Field(alias="from", description="The start of the range.")
    to: Time = Field(description="The end of the range, not included.")


class Summary(_Answer):
    EXAMPLE = _HEAD | {
        "metrics": {"human_rate": _FIGURE},
        "distributions": {"talk_s": {"samples": 1, "p50": 83.0, "p90": 83.0, "p99": 83.0}},
        "not_aggregated": [],
        "coverage": {"analysed": 1.0, "cost_known": 1.0, "is_partial": False},
    }

    metrics: dict[str, Figure] = Field(description="By name, as docs/analytics.md lists them.")
    distributions: dict[str, Any] = Field(description="Percentiles, each at most 9 % from the exact one.")
    not_aggregated: list[str] = Field(description="Metrics that are not counted by the asked keys.")
    coverage: dict[str, Any] = Field(description="What part has an analysis and a cost.")


class Series(_Answer):
    EXAMPLE = _HEAD | {
        "metric": "human_rate",
        "step": "day",
        "items": [{"at": "2026-12-01T00:00:00.000Z", **_FIGURE}],
    }

    metric: str = Field(description="The metric.")
    step: str = Field(description="The length of a step.")
    items: list[SeriesItem] = Field(description="In order of time, also steps without anything.")


class Breakdown(_Answer):
    EXAMPLE = _HEAD | {
        "metric": "human_rate",
        "by": "agent",
        "items": [{"key": {"agent": "agent_1"}, **_FIGURE}],
        "others": 0,
    }

    metric: str = Field(description="The metric.")
    by: str = Field(description="The key.")
    items: list[BreakdownItem] = Field(description="The largest groups first.")
    others: int = Field(description="Groups that are left out.")


class Row(BaseModel):
    call_id: str = Field(description="The call's id.")
    contact_id: str = Field(description="Your id of the contact.")
    attempt_id: str | None = Field(description="The attempt. Null: the call itself is counted.")
    number: int | None = Field(description="The attempt's number.")
    sent_at: Time | None = Field(description="When it was dialed.")
    outcome: str = Field(description="How it ended.")
    reason: str | None = Field(description="Why it failed.")
    cost_cents: float | None = Field(description="The cost, in cents.")
    duration_ms: int | None = Field(description="The length, in milliseconds.")


class RowsPage(AnswerModel):
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "items": [
            {
                "call_id": "01a20491-7446-7438-8476-b9da1cc0a52a",
                "contact_id": "crm-42",
                "attempt_id": "01a20491-9c2e-7d51-9d0f-2f4a1be64c11",
                "number": 1,
                "sent_at": "2026-12-01T17:00:00.000Z",
                "outcome": "completed",
                "reason": None,
                "cost_cents": 14.5,
                "duration_ms": 83000,
            }
        ],
        "next_cursor": None,
    }

    items: list[Row] = Field(
        description="In order of time; of `persons_goal` and `persons_opted_out` in order of days, of `denied` in "
        "order of acceptance."
    )
    next_cursor: str | None = Field(description="The value of `cursor` for the next page. Null: this is the last.")
