"""Scaling of a deployment by its processor load."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import monitor

from components.azure.foundation import Foundation


def autoscale(
    name: str,
    foundation: Foundation,
    deployment: ml.OnlineDeployment,
    instances: tuple[int, int],
    opts: pulumi.ResourceOptions,
) -> None:
    """An autoscale setting that keeps the deployment between the least and the most ``instances``.

    https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints

    The target of a setting is immutable, and azure-native would change it in place. So another deployment gets a setting
    of its own, before the former one is deleted. https://github.com/Azure/vm-scale-sets/issues/4
    """
    least, most = (str(count) for count in instances)
    monitor.AutoscaleSetting(
        f"{name}-autoscale",
        resource_group_name=foundation.group.name,
        location=foundation.region,
        enabled=True,
        target_resource_uri=deployment.id,
        profiles=[
            monitor.AutoscaleProfileArgs(
                name="load",
                capacity=monitor.ScaleCapacityArgs(minimum=least, maximum=most, default=least),
                rules=[
                    _rule(deployment, "GreaterThan", 60, "Increase"),
                    _rule(deployment, "LessThan", 25, "Decrease"),
                ],
            )
        ],
        # https://learn.microsoft.com/rest/api/monitor/autoscale-settings/create-or-update
        tags=foundation.platform_tags,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                replace_on_changes=["targetResourceUri"], delete_before_replace=False
            ),
        ),
    )


def _rule(
    deployment: ml.OnlineDeployment, operator: str, threshold: int, direction: str
) -> monitor.ScaleRuleArgs:
    """One instance more or less, when the load of five minutes is above or below a percentage."""
    return monitor.ScaleRuleArgs(
        metric_trigger=monitor.MetricTriggerArgs(
            metric_name="CpuUtilizationPercentage",
            metric_resource_uri=deployment.id,
            operator=operator,
            statistic="Average",
            threshold=threshold,
            time_aggregation="Average",
            time_grain="PT1M",
            time_window="PT5M",
        ),
        scale_action=monitor.ScaleActionArgs(
            direction=direction, type="ChangeCount", value="1", cooldown="PT5M"
        ),
    )
