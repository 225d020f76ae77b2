"""Runs `ringback db upgrade` as a Fargate task before new tasks serve: the custom resource of processes.yaml.

CloudFormation waits for the answer at ResponseURL, and rolls back after FAILED.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
"""

import json
import time
import urllib.request

import botocore.session

PAUSE_S = 5
#: The time that is kept for the answer.
MARGIN_MS = 20_000


def handler(event, context):
    """Run the task for Create and Update, and answer CloudFormation in every case."""
    try:
        if event["RequestType"] != "Delete":
            migrate(event["ResourceProperties"], context)
        answer(event, "SUCCESS", "the database has the newest schema")
    except Exception as error:  # noqa: BLE001 - CloudFormation waits an hour for an answer that never comes
        answer(event, "FAILED", f"{type(error).__name__}: {error}"[:1000])


def migrate(properties, context):
    """Run the migration task and wait for its end. Raises RuntimeError with its reason if it fails."""
    ecs = botocore.session.get_session().create_client("ecs")
    started = ecs.run_task(
        cluster=properties["Cluster"],
        taskDefinition=properties["TaskDefinition"],
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": properties["Subnets"],
                "securityGroups": [properties["SecurityGroup"]],
                "assignPublicIp": "DISABLED",
            }
        },
    )
    if not started["tasks"]:
        raise RuntimeError(f"the migration task did not start: {started['failures']}")
    arn = started["tasks"][0]["taskArn"]
    while context.get_remaining_time_in_millis() > MARGIN_MS:
        found = ecs.describe_tasks(cluster=properties["Cluster"], tasks=[arn])["tasks"]
        # A task that has just been started may not be found yet.
        if found and found[0]["lastStatus"] == "STOPPED":
            task = found[0]
            container = task["containers"][0]
            if container.get("exitCode") != 0:
                reason = container.get("reason") or task.get("stoppedReason")
                raise RuntimeError(f"the migration ended with {container.get('exitCode')}: {reason}")
            return
        time.sleep(PAUSE_S)
    raise RuntimeError(f"the migration goes on as {arn}: repeat the deployment once it has ended")


def answer(event, status, reason):
    """Tell CloudFormation the result."""
    fields = ("StackId", "RequestId", "LogicalResourceId")
    body = {"Status": status, "Reason": reason, "PhysicalResourceId": "migration"} | {key: event[key] for key in fields}
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=10).close()
    print(json.dumps({"message": "migration.answered", "status": status, "reason": reason}))  # noqa: T201
