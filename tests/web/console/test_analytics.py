"""The page of the statistics shows what the API answers."""

from .conftest import Browser


async def test_the_page_has_every_metric_a_chart_and_a_breakdown(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics", metric="human_rate", by="outcome")).text
    assert "<span>human rate</span>" in page and "2 of 3" in page
    assert page.count('<rect class="bar"') == 24, "a day by hours"
    assert "<h2>Human rate by outcome</h2>" in page
    assert '<th scope="row">completed </th>' in page


async def test_a_range_of_days_is_shown_by_day(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics", **{"from": "2026-11-25", "to": "2026-12-05"})).text
    assert page.count('<rect class="bar"') == 10
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
