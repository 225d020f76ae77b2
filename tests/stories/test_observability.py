"""A running `up` serves every metric that the alert rules and the dashboard ask for."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field

import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.structure.tree import ROOT

from .running_system import SystemClient, new_call

ALERTS = ROOT / "deploy/observability/alerts.yaml"
DASHBOARD = ROOT / "deploy/observability/dashboard.json"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
#: Grafana replaces its variables before Prometheus reads the expression.
EXPRESSIONS = {f"{rule['alert']} {number}": rule["expr"] for number, rule in enumerate(RULES)} | {
    f"{panel['title']} {target['refId']}": re.sub(r"\$__\w+", "5m", target["expr"])
    for panel in PANELS
    for target in panel["targets"]
}
#: Labels whose values appear only after such an answer or outcome.
SEEN_LATER = ("status", "dial", "reason")


@dataclass
class Served:
    """The names of the samples that a process serves, and the values of their labels."""

    names: set[str] = field(default_factory=set)
    values: dict[str, dict[str, set[str]]] = field(default_factory=dict)  # by name and label

    def has(self, name: str, label: str, value: str) -> bool:
        return value in self.values[name].get(label, set())


def served_by(text: str) -> Served:
    found = Served()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    for family in text_string_to_metric_families(text):
        if family.name.startswith("ringback_"):
            found.names |= {family.name + suffix for suffix in suffixes[family.type]}
        for sample in family.samples:
            labels = found.values.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


@pytest.fixture(scope="module")
def served(client: SystemClient) -> Served:
    """After a conversation, and a call that is not answered."""
    for phone in ("+12125550100", "+12125550101"):
        client.wait_final(client.place(new_call(phone)), 60)
    with urllib.request.urlopen(f"{client.url}/metrics") as answer:
        return served_by(answer.read().decode())


def nodes(expression: str) -> Iterator[promql.Expr]:
    found: list[promql.Expr] = []
    promql.walk(promql.parse(expression), pre_visit=lambda node: found.append(node))
    yield from found


def selectors(expression: str) -> list[promql.VectorSelector]:
    inner = [getattr(node, "vector_selector", node) for node in nodes(expression)]
    return [node for node in inner if isinstance(node, promql.VectorSelector)]


def test_every_rule_and_panel_names_metrics_and_labels_that_are_served(served):
    wrong = []
    for name, expression in EXPRESSIONS.items():
        found = selectors(expression)
        assert found, name
        for selector in found:
            if selector.name not in served.names:
                wrong.append(f"{name}: {selector.name} is not served")
                continue
            for matcher in selector.matchers.matchers:
                if matcher.name not in SEEN_LATER:
                    values = matcher.value.split("|")
                    wrong += [
                        f"{name}: {selector.name} has no {matcher.name}={value}"
                        for value in values
                        if not served.has(selector.name, matcher.name, value)
                    ]
    assert wrong == []


def test_every_aggregation_keeps_labels_that_the_metrics_have(served):
    wrong = []
    for name, expression in EXPRESSIONS.items():
        labels = {label for selector in selectors(expression) for label in served.values.get(selector.name, {})}
        kept = {
            label
            for node in nodes(expression)
            if isinstance(node, promql.AggregateExpr) and node.modifier is not None
            for label in node.modifier.labels
        }
        # No connection was refused, so this metric has no sample yet.
        if labels and not kept <= labels:
            wrong.append(f"{name}: {sorted(kept - labels)}")
    assert wrong == []


def test_the_dashboard_shows_every_metric(served):
    shown = {selector.name for expression in EXPRESSIONS.values() for selector in selectors(expression)}
    bare = {re.sub("_(bucket|sum|count)$", "", name) for name in served.names}
    assert bare - {name.removesuffix("_bucket") for name in shown} == set()


def test_every_panel_has_a_place_of_its_own():
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_has_a_severity_and_a_sentence():
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning"), rule
        assert rule["annotations"]["summary"].endswith("."), rule


def test_prometheus_accepts_the_rules():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing, so Prometheus did not read alerts.yaml: install the package prometheus")
    ran = subprocess.run([promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
