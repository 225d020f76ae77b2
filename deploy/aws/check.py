"""Find the faults that the linter misses: `python -m deploy.aws.check` prints each, and exits with 1."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ringback.config import LEASE_MARGIN_S
from ringback.services.webhook_lambda import handler
from ringback.web.connections import IDLE_WITHIN_S

FOLDER = Path(__file__).parent
TEMPLATES = ("template.yaml", "processes.yaml")
#: AWS's own advice for queues and functions, so that a message is not handled twice at once.
VISIBILITY_PER_TIMEOUT = 6
CREATE_TIMEOUT_S = 30
PROCESSES = {"internal-api", "business-api", "call-processor", "webhook-processor", "scheduler"}
Template = Mapping[str, Any]


class _Loader(yaml.SafeLoader):
    """Reads `!Ref X` as {"Ref": "X"} and `!GetAtt A.B` as {"Fn::GetAtt": "A.B"}."""


def _intrinsic(loader: yaml.Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: node.value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def read(text: str) -> Template:
    """Parse a template. Its intrinsic functions become dictionaries."""
    template: Template = yaml.load(text, _Loader)
    return template


def faults(edge: Template, processes: Template) -> Iterator[str]:
    """Yield a sentence for each fault of template.yaml and processes.yaml."""
    function = edge["Resources"]["WebhookFunction"]["Properties"]
    yield from _queue_faults(edge, function["Timeout"])
    yield from _policy_faults(edge | {"Resources": edge["Resources"] | processes["Resources"]})
    yield from _process_faults(processes)
    yield from _service_faults(processes["Resources"])
    named = f"{handler.__module__}.{handler.__name__}"
    if function["Handler"] != named:
        yield f"WebhookFunction: Handler is {function['Handler']}, and the code has {named}"
    if not any(one["MetricName"] == "5xx" for one in _alarms(edge)):
        yield "WebhookApi: no alarm on 5xx, and the function raises no error when SQS refuses a message"
    limit = edge["Resources"]["EventQueue"]["Properties"]["MaximumMessageSize"]
    if function["Environment"]["Variables"]["RINGBACK_MAX_MESSAGE_BYTES"] != str(limit):
        yield f"WebhookFunction: RINGBACK_MAX_MESSAGE_BYTES must be the MaximumMessageSize of EventQueue, {limit}"
    statements = edge["Resources"]["WebhookRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    allowed = {action for one in statements for action in _list(one["Action"]) if not action.startswith("logs:")}
    if allowed != {"sqs:SendMessage", "secretsmanager:GetSecretValue"}:
        yield f"WebhookRole: may {', '.join(sorted(allowed))}, and needs to send to one queue and to read one secret"
    attributes = processes["Resources"]["Balancer"]["Properties"]["LoadBalancerAttributes"]
    idle_s = {one["Key"]: one["Value"] for one in attributes}["idle_timeout.timeout_seconds"]
    if int(idle_s) >= IDLE_WITHIN_S:
        yield f"Balancer: must close an idle connection before the processes do, after {IDLE_WITHIN_S} s"
    database = processes["Resources"]["Database"]["Properties"]
    for name, wanted in {"MultiAZ": True, "StorageEncrypted": True, "PubliclyAccessible": False}.items():
        if database.get(name) is not wanted:
            yield f"Database: {name} must be {wanted}"


def _queue_faults(template: Template, timeout_s: int) -> Iterator[str]:
    queues = {
        name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == "AWS::SQS::Queue"
    }
    targets = set()
    for name, queue in queues.items():
        if queue["VisibilityTimeout"] < VISIBILITY_PER_TIMEOUT * timeout_s:
            yield f"{name}: VisibilityTimeout must be {VISIBILITY_PER_TIMEOUT} times the function's timeout or more"
        if not queue.get("SqsManagedSseEnabled"):
            yield f"{name}: is not encrypted"
        if redrive := queue.get("RedrivePolicy"):
            target = redrive["deadLetterTargetArn"]["Fn::GetAtt"].partition(".")[0]
            targets.add(target)
            if queues[target]["MaximumMessageSize"] < queue["MaximumMessageSize"]:
                yield f"{target}: must accept messages as large as those of {name}"
            if queues[target]["MessageRetentionPeriod"] <= queue["MessageRetentionPeriod"]:
                yield f"{target}: must keep dead letters longer than {name} keeps messages"
    watched = {(one["MetricName"], str(one.get("Dimensions"))) for one in _alarms(template)}
    for name in queues:
        metric = "ApproximateNumberOfMessagesVisible" if name in targets else "ApproximateAgeOfOldestMessage"
        if not any(metric == seen and f"'{name}.QueueName'" in where for seen, where in watched):
            yield f"{name}: no alarm on {metric}"
        if name not in targets and "RedrivePolicy" not in queues[name]:
            yield f"{name}: has no dead-letter queue"


def _policy_faults(template: Template) -> Iterator[str]:
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        for policy in resource["Properties"].get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                wild = [one for one in _list(statement["Action"]) if "*" in one]
                everything = [one for one in _list(statement["Resource"]) if one == "*"]
                if wild or everything:
                    yield f"{name}: {policy['PolicyName']} has the wildcard {(wild + everything)[0]}"


def _process_faults(template: Template) -> Iterator[str]:
    served, resources = set(), template["Resources"]
    for name, resource in resources.items():
        if resource["Type"] != "AWS::ECS::TaskDefinition":
            continue
        container = resource["Properties"]["ContainerDefinitions"][0]
        if container["StopTimeout"] <= CREATE_TIMEOUT_S + LEASE_MARGIN_S:
            yield f"{name}: StopTimeout must be longer than a lease, {CREATE_TIMEOUT_S + LEASE_MARGIN_S} s"
        if container["Command"][0] == "serve":
            served.add(container["Command"][1])
            if "/healthz" not in str(container.get("HealthCheck")):
                yield f"{name}: has no health check"
        settings = [one["Fn::If"][1] if "Fn::If" in one else one for one in container["Environment"]]
        plain = [one["Name"] for one in settings if re.search("KEY|SECRET|PASSWORD", one["Name"])]
        if plain:
            yield f"{name}: {plain[0]} is not read from a secret"
    if served != PROCESSES:
        yield f"processes: {', '.join(sorted(served ^ PROCESSES))} are served and unknown, or known and not served"


def _service_faults(resources: Template) -> Iterator[str]:
    for name, resource in resources.items():
        given = resource["Properties"]
        match resource["Type"]:
            case "AWS::ECS::Service" if "Migration" not in _list(resource.get("DependsOn")):
                yield f"{name}: must wait for Migration"
            case "AWS::ElasticLoadBalancingV2::TargetGroup" if given["HealthCheckPath"] != "/healthz":
                yield f"{name}: must ask /healthz, or ECS replaces every task while the database fails over"
            case "AWS::ApplicationAutoScaling::ScalableTarget":
                service = given["ResourceId"]["Fn::Sub"].split("${")[-1].removesuffix(".Name}")
                if resources[service]["Properties"]["DesiredCount"] != {"Ref": "AWS::NoValue"}:
                    yield f"{service}: must have no DesiredCount, or a rollout takes tasks away from a backlog"


def _alarms(template: Template) -> list[dict[str, Any]]:
    return [one["Properties"] for one in template["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main() -> None:
    found = list(faults(*(read((FOLDER / name).read_text()) for name in TEMPLATES)))
    for fault in found:
        print(fault)  # noqa: T201
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
