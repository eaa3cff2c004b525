"""CloudWatch's log groups and alarms: checked and recorded, not run.

A service that logs as a role creates its group if it is missing and the role may create it. Then nobody else can.
"""

from __future__ import annotations

from rehearsal.aws import permissions
from rehearsal.aws.arns import arn, set_arn
from rehearsal.aws.tags import check_tags
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
OF_SERVICES = "aws/log-groups-of-services"
"""The namespace of the groups that a service has created, which have no end of their logs."""
RETENTION = (
    *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557),
    *(2922, 3288, 3653),
)


class LogGroup(ResourceType):
    """A group of log streams."""

    token = LOG_GROUP
    source = "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html"
    name = Name(
        property="name",
        pattern=r"(?!aws/)[.\-_/#A-Za-z0-9]+",
        max=512,
        rule="letters, digits and _-/.# are allowed, and the name may not begin with aws/",
        unique=("region",),
        taken="ResourceAlreadyExistsException",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)
        days = inputs.get("retentionInDays", 0)
        if days not in RETENTION:
            allowed = ", ".join(map(str, RETENTION))
            raise CheckFailure("retentionInDays", f"must be one of {allowed}, not {days:g}")

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["name"]
        if context.kv.get(OF_SERVICES, record.id):
            raise Refusal(
                "ResourceAlreadyExistsException", "The specified log group already exists."
            )
        set_arn(context, record, "logs", f"log-group:{record.id}")


def log_as(context: Context, role: Record | None, region: str, group: str) -> None:
    """A service writes a log as a role. It serves on when it may not.

    https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html
    """
    if any(each.id == group for each in context.all(LOG_GROUP)):
        return
    try:
        place = arn(context, "logs", region, f"log-group:{group}:*")
        permissions.require(context, role, "logs:CreateLogGroup", place)
    except Refusal:
        return
    context.kv.put(OF_SERVICES, group, {"region": region})


class MetricAlarm(ResourceType):
    """An alarm on a metric."""

    token = ALARM
    source = (
        "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"
    )
    name = Name(
        property="name",
        pattern=r"(?s).+",
        max=255,
        rule="any characters are allowed",
        unique=("region",),
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)
        given = {"statistic", "extendedStatistic"} & (inputs.keys() | inputs.unknown)
        if "metricName" in inputs and len(given) != 1:
            reason = "ValidationError: exactly one of Statistic and ExtendedStatistic is required"
            raise CheckFailure("statistic", reason)
        period = inputs.get("period", 60)
        if period not in (10, 20, 30) and period % 60:
            raise CheckFailure("period", f"must be 10, 20, 30 or a multiple of 60, not {period:g}")

    def create(self, context: Context, record: Record) -> None:
        record.id = record.inputs["name"]
        set_arn(context, record, "cloudwatch", f"alarm:{record.id}")
