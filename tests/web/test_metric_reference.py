"""docs/analytics.md is made from the dictionary of metrics."""

from pathlib import Path

from ringback.domain.contribution import MEASURES
from ringback.domain.metrics import METRICS
from ringback.web.metric_reference import reference


def test_the_document_is_the_one_that_the_code_makes():
    assert (Path(__file__).parents[2] / "docs/analytics.md").read_text() == reference()


def test_every_part_of_a_metric_is_counted():
    assert {name for metric in METRICS.values() for name in metric.needs} <= set(MEASURES)
