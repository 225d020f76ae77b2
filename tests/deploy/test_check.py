"""Each fault that `make deploy-check` names is planted into the templates."""

import re

import pytest
import yaml

from deploy.aws.check import FOLDER, TEMPLATES, faults, read

EDGE, PROCESSES = ((FOLDER / name).read_text() for name in TEMPLATES)


def test_the_templates_have_no_fault():
    assert list(faults(read(EDGE), read(PROCESSES))) == []


def test_every_alarm_has_a_row_in_the_operations_document():
    resources = read(EDGE)["Resources"] | read(PROCESSES)["Resources"]
    alarms = {name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    groups = yaml.safe_load((FOLDER.parent / "observability" / "alerts.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    operations = (FOLDER.parents[1] / "docs" / "operations.md").read_text()
    section = operations.partition("## Alarms")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([AP, ]+) \|", section, re.M))
    assert {name for name, where in rows.items() if "A" in where} == alarms
    assert {name for name, where in rows.items() if "P" in where} == alerts
    assert len(re.findall(r"^\| `", section, re.M)) == len(rows) == len(alarms | alerts)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("VisibilityTimeout: 60", "VisibilityTimeout: 59", "VisibilityTimeout must be 6 times"),
        ("      Timeout: 10\n", "      Timeout: 11\n", "VisibilityTimeout must be 6 times"),
        ("SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false", "is not encrypted"),
        ("MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 345600", "longer than CallQueue keeps messages"),
        ('BYTES: "1048576"', 'BYTES: "262144"', "must be the MaximumMessageSize of EventQueue, 1048576"),
        (
            "MaximumMessageSize: 1048576\n      MessageRetentionPeriod: 1209600",
            "MaximumMessageSize: 262144\n      MessageRetentionPeriod: 1209600",
            "CallDeadLetters: must accept messages as large as those of CallQueue",
        ),
        ("GetAtt CallQueue.QueueName}]", "GetAtt EventQueue.QueueName}]", "CallQueue: no alarm on ApproximateAge"),
        ("Action: sqs:SendMessage", "Action: sqs:*", "WebhookRole: webhook has the wildcard sqs:*"),
        ("Action: sqs:SendMessage", "Action: sqs:ReceiveMessage", "WebhookRole: may"),
        ("Resource: !GetAtt EventQueue.Arn", 'Resource: "*"', "WebhookRole: webhook has the wildcard *"),
        (
            "webhook_lambda.handler",
            "webhook_lambda.handle",
            "and the code has ringback.services.webhook_lambda.handler",
        ),
        ("StopTimeout: 90", "StopTimeout: 60", "longer than a lease, 60 s"),
        ("[serve, scheduler,", "[serve, clock,", "clock, scheduler are served and unknown"),
        ("/healthz", "/", "has no health check"),
        ("DependsOn: Migration\n", "DependsOn: Cluster\n", "must wait for Migration"),
        (
            'idle_timeout.timeout_seconds, Value: "60"',
            'idle_timeout.timeout_seconds, Value: "75"',
            "Balancer: must close",
        ),
        ("HealthCheckPath: /healthz", "HealthCheckPath: /readyz", "InternalApiTargets: must ask /healthz"),
        ("DesiredCount: !Ref AWS::NoValue", "DesiredCount: 2", "CallProcessor: must have no DesiredCount"),
        ("MetricName: 5xx", "MetricName: 4xx", "WebhookApi: no alarm on 5xx"),
        ("MultiAZ: true", "MultiAZ: false", "Database: MultiAZ must be True"),
        ("{Name: RINGBACK_ENGAGE_URL,", "{Name: RINGBACK_ENGAGE_SECRET,", "is not read from a secret"),
    ],
)
def test_a_planted_fault_is_named(old, new, fault):
    assert old in EDGE + PROCESSES
    found = list(faults(read(EDGE.replace(old, new)), read(PROCESSES.replace(old, new))))
    assert any(fault in one for one in found), found
