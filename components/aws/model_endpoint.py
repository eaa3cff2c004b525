"""The model endpoint on AWS: SageMaker, serverless or on instances."""

from __future__ import annotations

import hashlib
from typing import Any

import pulumi
import pulumi_aws as aws

from components import contracts, names
from components.aws.dynamic import scaling_deregistration
from components.aws.dynamic.scaling_deregistration import ScalingDeregistration
from components.aws.dynamic.served_model import ServedModel
from components.aws.foundation import Foundation
from components.aws.logs import create_log_group
from components.aws.policies import allow, policy

SERVERLESS, INSTANCES = "serverless", "instances"
VARIANT = "live"

# One of the six sizes; CPU grows with it. The model and its server need 66 MB.
# https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-create.html
SERVERLESS_MEMORY_MB = 2048

ENDPOINT_LOGS = "/aws/sagemaker/Endpoints/"
# What SageMaker's page lists for a model's role. It also creates a missing group, which there is none here.
# https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createmodel-perms
ENDPOINT_LOG_ACTIONS = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
)

# A new model runs beside the old one for so long; an alarm in this time rolls it back.
BAKE_SECONDS = 300
# Metric, statistic, threshold. A share of failed answers, and microseconds inside the container.
# https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
ALARMS = {
    "errors": ("Invocation5XXErrors", "Average", 0.01),
    "latency": ("ModelLatency", "p99", 500_000),
}
# A minute. A thousand a second is well below what one core was measured to answer (docs/design/measurements.md):
# another instance takes minutes to start, so it is requested early.
INVOCATIONS_PER_INSTANCE = 60_000


class ModelEndpoint(contracts.ModelEndpoint):
    """Each version has a new model and configuration; the endpoint is updated to use them."""

    endpoint: aws.sagemaker.Endpoint
    arn: pulumi.Output[str]
    """A pattern of the serverless endpoint and of the one on instances: whoever may call one may call the other.

    So a switch changes no permission. With the new endpoint's alone, the gateway's former version was refused while it
    still answered, and the new one until the permission was in force.
    """

    def __init__(
        self,
        name: str,
        args: contracts.ModelEndpointArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:aws:ModelEndpoint", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)

        configuration = _configuration(name, foundation, args, child)
        endpoint_name = _endpoint_name(name, args.machine)
        deregistration = _deregistration(
            name, foundation, args, endpoint_name, configuration, child
        )
        log_permission = _may_log(name, foundation, args, endpoint_name, self)
        alarms = [] if args.machine == SERVERLESS else _alarms(name, endpoint_name, args, child)
        before: list[pulumi.Resource] = [log_permission]
        if deregistration:
            before.append(deregistration)
        if alarms:
            before.append(_may_read_alarms(name, args.identity, alarms, child))
        self.endpoint = aws.sagemaker.Endpoint(
            f"{name}-endpoint",
            name=endpoint_name,
            endpoint_config_name=configuration.name,
            deployment_config=_rollback_on(alarms) if alarms else None,
            tags=foundation.tags,
            # Between serverless and instances the new endpoint, which has another name, serves before the old one goes.
            # The provider would delete first (see components/aws/logs.py).
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=before, delete_before_replace=False
            ),
        )
        if args.max_instances > args.min_instances and deregistration:
            _autoscale(name, self.endpoint, deregistration, args, child)
        served = ServedModel(
            f"{name}-served",
            region=foundation.region,
            endpoint=self.endpoint.name,
            configuration=configuration.name,
            model_version=args.model.version,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.endpoint]),
        )

        self.label = args.label
        self.arn = _arn(name, foundation)
        self.endpoint_name = self.endpoint.name
        self.endpoint_url = pulumi.Output.format(
            "https://runtime.sagemaker.{}.{}/endpoints/{}/invocations",
            foundation.region,
            foundation.dns_suffix,
            self.endpoint.name,
        )
        self.model_version = served.model_version
        self.target = self.endpoint.name
        self.register_outputs(
            {"endpoint_name": self.endpoint_name, "model_version": self.model_version}
        )


def _configuration(
    name: str,
    foundation: Foundation,
    args: contracts.ModelEndpointArgs,
    child: pulumi.ResourceOptions,
) -> aws.sagemaker.EndpointConfiguration:
    """The model and the configuration of an endpoint that serves it.

    Neither has a fixed name: both are immutable, so the new one must exist beside the old one until the endpoint
    uses it.
    """
    model = aws.sagemaker.Model(
        f"{name}-model",
        execution_role_arn=args.identity.principal,
        primary_container={"image": args.image, "model_data_url": args.model.uri},
        # Serverless inference does not offer it.
        enable_network_isolation=args.machine != SERVERLESS,
        tags=foundation.tags,
        opts=pulumi.ResourceOptions.merge(
            child, pulumi.ResourceOptions(depends_on=args.identity.attachments)
        ),
    )
    return aws.sagemaker.EndpointConfiguration(
        # A short word: with the longest name of an endpoint, and what autonaming adds, 63 characters are allowed.
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
        f"{name}-config",
        production_variants=[
            {"variant_name": VARIANT, "model_name": model.name, **_capacity(args)}
        ],
        tags=foundation.tags,
        opts=child,
    )


def _endpoint_name(name: str, machine: str) -> str:
    """The alarms need the endpoint's name and the endpoint needs the alarms: one of the two names must be known
    beforehand.

    The stack's name keeps two stacks of one account apart. Serverless or not is in the name, because instances cannot
    become serverless: a switch makes another endpoint, instead of failing half-way.
    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html
    """
    return _name(name) + (SERVERLESS if machine == SERVERLESS else INSTANCES)


def _name(name: str) -> str:
    """The name without its last word."""
    readable = names.short(f"{name}-{pulumi.get_stack()}", 63 - len(SERVERLESS) - 8, "a-zA-Z0-9-")
    return f"{readable}{_stack_mark()}"


def _stack_mark() -> str:
    """What is in the names of all endpoints of this stack: a stack's name may be the end of another one's, its hash is not."""
    return f"-{hashlib.sha256(pulumi.get_stack().encode()).hexdigest()[:6]}-"


def names_on_instances(prefix: str) -> str:
    """A pattern of the names of this stack's endpoints when they are on instances, which alone are scaled."""
    return f"{prefix}-*{_stack_mark()}{INSTANCES}"


def _arn(name: str, foundation: Foundation) -> pulumi.Output[str]:
    """A pattern of the ARNs of the endpoint of either kind, also where there is none.

    SageMaker writes an ARN in small letters, whatever the name is, and a policy is compared letter by letter.
    https://github.com/philschmid/cdk-samples/issues/2
    """
    return foundation.arn("sagemaker", f"endpoint/{_name(name).lower()}*")


def _deregistration(
    name: str,
    foundation: Foundation,
    args: contracts.ModelEndpointArgs,
    endpoint_name: str,
    configuration: aws.sagemaker.EndpointConfiguration,
    child: pulumi.ResourceOptions,
) -> ScalingDeregistration | None:
    """What lets the endpoint change its machine; None for serverless, which is not scaled automatically."""
    if args.machine == SERVERLESS:
        return None
    return ScalingDeregistration(
        f"{name}-scaling-deregistration",
        region=foundation.region,
        endpoint=endpoint_name,
        variant=VARIANT,
        machine=args.machine,
        # As late as possible: what can fail before has failed by then.
        opts=pulumi.ResourceOptions.merge(
            child, pulumi.ResourceOptions(depends_on=[configuration])
        ),
    )


def _may_log(
    name: str,
    foundation: Foundation,
    args: contracts.ModelEndpointArgs,
    endpoint_name: str,
    parent: pulumi.Resource,
) -> pulumi.Resource:
    """The permission to write into the endpoint's log group.

    SageMaker names the group so, and would create it without an end of its logs.
    https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html
    """
    _, permission = create_log_group(
        name,
        foundation,
        args.identity,
        parent,
        group_name=f"{ENDPOINT_LOGS}{endpoint_name}",
        actions=ENDPOINT_LOG_ACTIONS,
    )
    return permission


def _capacity(args: contracts.ModelEndpointArgs) -> dict[str, Any]:
    if args.machine == SERVERLESS:
        return {
            "serverless_config": {
                "memory_size_in_mb": SERVERLESS_MEMORY_MB,
                "max_concurrency": args.serverless_concurrency,
            }
        }
    return {"instance_type": args.machine, "initial_instance_count": args.min_instances}


def _alarms(
    name: str,
    endpoint_name: str,
    args: contracts.ModelEndpointArgs,
    child: pulumi.ResourceOptions,
) -> list[aws.cloudwatch.MetricAlarm]:
    """The alarms on which a new model version is taken back."""
    return [
        aws.cloudwatch.MetricAlarm(
            f"{name}-{what}",
            alarm_description=f"A new model version on {endpoint_name} is taken back on this",
            namespace="AWS/SageMaker",
            metric_name=metric,
            # Without both dimensions the alarm never fires.
            dimensions={"EndpointName": endpoint_name, "VariantName": VARIANT},
            comparison_operator="GreaterThanThreshold",
            threshold=threshold,
            period=60,
            evaluation_periods=1,
            # An endpoint without requests has no data points: that is no reason for a rollback.
            treat_missing_data="notBreaching",
            tags=args.foundation.args.tags,
            opts=child,
            **(
                {"extended_statistic": statistic}
                if statistic.startswith("p")
                else {"statistic": statistic}
            ),
        )
        for what, (metric, statistic, threshold) in ALARMS.items()
    ]


def _may_read_alarms(
    name: str,
    identity: contracts.Identity,
    alarms: list[aws.cloudwatch.MetricAlarm],
    child: pulumi.ResourceOptions,
) -> aws.iam.RolePolicy:
    """SageMaker reads the alarms with the model's role.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
    """
    return aws.iam.RolePolicy(
        f"{name}-may-read-alarms",
        role=identity.principal.apply(lambda arn: arn.rpartition("/")[2]),
        policy=policy(allow(["cloudwatch:DescribeAlarms"], *(alarm.arn for alarm in alarms))),
        opts=child,
    )


def _rollback_on(alarms: list[aws.cloudwatch.MetricAlarm]) -> dict[str, Any]:
    """Blue/green with alarms. All traffic at once, because a canary needs a second instance."""
    return {
        "blue_green_update_policy": {
            "traffic_routing_configuration": {
                "type": "ALL_AT_ONCE",
                "wait_interval_in_seconds": BAKE_SECONDS,
            },
            "termination_wait_in_seconds": 0,
        },
        "auto_rollback_configuration": {"alarms": [{"alarm_name": a.name} for a in alarms]},
    }


def _autoscale(
    name: str,
    endpoint: aws.sagemaker.Endpoint,
    deregistration: ScalingDeregistration,
    args: contracts.ModelEndpointArgs,
    child: pulumi.ResourceOptions,
) -> None:
    target = aws.appautoscaling.Target(
        f"{name}-capacity",
        service_namespace=scaling_deregistration.NAMESPACE,
        resource_id=endpoint.name.apply(
            lambda found: scaling_deregistration.resource_id(found, VARIANT)
        ),
        scalable_dimension=scaling_deregistration.DIMENSION,
        min_capacity=args.min_instances,
        max_capacity=args.max_instances,
        tags=args.foundation.args.tags,
        # Registered again after each deregistration. Before that it must be deleted: it has the same name.
        opts=pulumi.ResourceOptions.merge(
            child,
            pulumi.ResourceOptions(
                replacement_trigger=deregistration.generation, delete_before_replace=True
            ),
        ),
    )
    aws.appautoscaling.Policy(
        f"{name}-scaling",
        policy_type="TargetTrackingScaling",
        service_namespace=target.service_namespace,
        resource_id=target.resource_id,
        scalable_dimension=target.scalable_dimension,
        target_tracking_scaling_policy_configuration={
            "target_value": INVOCATIONS_PER_INSTANCE,
            "predefined_metric_specification": {
                "predefined_metric_type": "SageMakerVariantInvocationsPerInstance"
            },
        },
        opts=child,
    )
