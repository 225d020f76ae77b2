"""The page of the statistics shows what the API answers."""

import re

import pytest

from ringback.web.console.rendering import path

from .conftest import Browser

STEPS_OF_THE_FUNNEL = 5


async def test_the_page_has_every_metric_a_chart_and_a_breakdown(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics", metric="human_rate", by="outcome")).text
    assert "<span>human rate</span>" in page and '2 of <a data-rows="3"' in page
    counts = (await admin.get("/console/analytics", metric="attempts")).text
    assert counts.count('<rect class="bar"') - STEPS_OF_THE_FUNNEL == 24, "a day by hours"
    assert "<h2>Human rate by outcome</h2>" in page
    assert '<th scope="row">completed </th>' in page


async def test_a_range_of_days_is_shown_by_day(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics", **{"from": "2026-11-25", "to": "2026-12-05"})).text
    assert page.count('<rect class="bar"') - STEPS_OF_THE_FUNNEL == 10
    assert ">2026-12-01</text>" in page or "2026-12-01: 3" in page


async def test_what_is_not_counted_together_is_explained(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics", by="local_hour")).text
    assert "These keys are counted by whole months of the report zone" in page
    page = (await admin.get("/console/analytics", **{"from": "2026-11-01", "to": "2026-12-05", "step": "hour"})).text
    assert "A chart has at most 168 steps" in page
    answer = await admin.get("/console/analytics", metric="luck")
    assert answer.status_code == 422 and "query:metric" in answer.text


async def test_an_empty_range_is_said_to_be_empty(admin: Browser) -> None:
    assert "Nothing is counted in this range." in (await admin.get("/console/analytics")).text


async def test_the_series_is_compared_with_the_range_before(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics", **{"from": "2026-12-02", "to": "2026-12-03"})).text
    assert page.count('<line class="before"') == 1, "the hour of yesterday that had attempts"
    assert '<th scope="col" class="number">before</th>' in page
    # The chart of the first page is compared with nothing.
    assert '<line class="before"' not in (await admin.get("/console")).text


@pytest.mark.parametrize("metric", ["attempts", "human_rate"])
async def test_a_month_with_more_days_than_the_month_before_is_shown(calls, admin: Browser, metric: str) -> None:
    month = {"from": "2026-12-01", "to": "2027-01-01", "step": "day"}
    page = (await admin.get("/console/analytics", metric=metric, **month)).text
    before = re.findall(r'<tr><td><time datetime="2026-12-3.*<td class="number">([^<]*)</td></tr>', page)
    assert before == ["0" if metric == "attempts" else "–", "–"], "November has 30 days"


async def test_a_series_of_rates_is_a_line_with_gaps_and_says_of_how_many(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics", metric="human_rate")).text
    assert re.findall(r'<path class="line" d="([^"]*)"', page) == ["M525.0 10.0h0"], "17:00 is the only hour with any"
    told = "2 of 3, 20.8 % to 93.9 %"
    assert f"<title>17:00: 66.7 %, {told}</title>" in page
    assert f'66.7 %</a></td><td class="number">{told}</td><td class="number">–</td>' in page
    assert '<td class="number">–</td><td class="number">0 of 0</td>' in page, "an hour without any"
    # The table of a breakdown has the interval too.
    assert re.search(
        r">1</a>, 20\.7 % to 100\.0 %</td>",
        (await admin.get("/console/analytics", by="outcome", metric="human_rate")).text,
    )


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([0.5, 1.0, 0.0], "M5.0 15.0h0L15.0 10.0L25.0 20.0"),
        ([None, 1.0, None, 0.5, 0.5], "M15.0 10.0h0M35.0 15.0h0L45.0 15.0"),
        ([None, None], ""),
    ],
)
def test_a_line_is_broken_where_there_is_no_value(values, drawn) -> None:
    assert path(values, 10.0, 20.0, 10.0) == drawn


async def test_the_funnel_leads_from_attempts_to_goals_and_to_their_rows(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics")).text
    steps = re.findall(r'<tr><th scope="row">([^<]+)</th><td class="number">(?:<a data-rows="(\d+)"|0<)', page)
    assert steps[:STEPS_OF_THE_FUNNEL] == [
        ("attempts", "3"),
        ("answered", "2"),
        ("a human", "2"),
        ("a conversation", "2"),
        ("calls with the goal", "1"),
    ]
    assert 'aria-label="From an attempt to the goal: attempts 3, answered 2,' in page
    # Goals are counted by person, and several numbers may have called one.
    assert "calls with the goal" not in (await admin.get("/console/analytics", from_number="+14155550199")).text


async def test_distributions_have_percentiles_in_their_units(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics")).text
    assert re.search(r'<th scope="row">talk time</th><td class="number">2</td><td class="number">[\d.]+ s</td>', page)
    assert re.search(r'<th scope="row">cost of an attempt</th><td class="number">\d</td><td class="number">\$\d', page)


async def test_the_heatmap_has_the_hours_of_the_person(calls, admin: Browser) -> None:
    page = (await admin.get("/console/heatmap", metric="attempts")).text
    assert "Attempts by local hour and weekday" in page
    # Tuesday, 17:00 in UTC, is 9 o'clock in Los Angeles.
    (tuesday,) = re.findall(r'<tr><th scope="row">Tuesday</th>(.*?)</tr>', page)
    cells = re.findall(r"<td.*?</td>", tuesday)
    assert len(cells) == 24 and [number for number, cell in enumerate(cells) if "data-rows" in cell] == [9]
    assert 'class="number shade-4"' in cells[9] and 'data-rows="3"' in cells[9] and "<small>" not in cells[9]
    rates = (await admin.get("/console/heatmap", metric="human_rate")).text
    assert "66.7 %</a><small>2 of 3</small><small>20.8 % to 93.9 %</small></td>" in rates
    link = re.search(r'href="([^"]+)"', cells[9])[1].replace("&amp;", "&")
    assert (await admin.get(link)).text.count("<tr data-row>") == 3


async def test_a_heatmap_without_an_answer_says_why(calls, admin: Browser) -> None:
    page = (await admin.get("/console/heatmap", month="2026-01")).text
    # A reader who goes back from month to month comes to an end.
    assert "Nothing is counted in this month." in page and "month=2025-12" not in page and "month=2026-02" in page
    page = (await admin.get("/console/heatmap", metric="goal_rate")).text
    assert "not counted together for this metric" in page
    for query in (*({"month": one} for one in ("2026-13", "12", "0001-01", "9999-12")), {"metric": "luck"}):
        assert (await admin.get("/console/heatmap", **query)).status_code == 422
