"""What the clouds allow an account: its quotas, and the services that are switched on in it.

`USUAL` is an account that has asked for enough; `FRESH` is one that was opened today. Its numbers without an address are
believed: the clouds say that new accounts have less, and not how much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ENOUGH = 100_000
"""More than any program here asks for."""


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """The limits of an account on each cloud, for one region."""

    lambda_executions: int
    lambda_unreserved: int
    """Executions that can never be reserved."""
    sagemaker_serverless: int
    """Requests at a time of all serverless endpoints together."""
    sagemaker_instances: int
    """Instances of one type, for endpoints."""
    codebuild_builds: int
    """Builds at a time on the small Linux machine."""
    vertex_cpus: int
    """CPUs of one family of machines, for online predictions."""
    cloud_run_cpus: int
    """Thousandths of a CPU, of all instances together."""
    cloud_build_cpus: int
    google_apis: frozenset[str] | None
    """The APIs that a project has before anybody enables one; None: those with which others are enabled."""
    machine_learning_cores: int
    """Of all managed endpoints together."""
    machine_learning_family_cores: int
    """Of the machines of one family."""
    app_service_machines: Mapping[str, int]
    """By tier; one that is not listed has `ENOUGH`."""
    resource_providers: frozenset[str] | None
    """The providers that are registered in a subscription from the start; None: all of them."""
    offer: str = "PayAsYouGo_2014-09-01"
    """The offer of the subscription: https://learn.microsoft.com/rest/api/resources/subscriptions/get"""


USUAL = Quotas(
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    lambda_executions=1000,
    lambda_unreserved=100,
    sagemaker_serverless=ENOUGH,
    sagemaker_instances=ENOUGH,
    codebuild_builds=ENOUGH,
    vertex_cpus=ENOUGH,
    cloud_run_cpus=1000 * ENOUGH,
    cloud_build_cpus=ENOUGH,
    google_apis=None,
    machine_learning_cores=ENOUGH,
    machine_learning_family_cores=ENOUGH,
    app_service_machines={},
    resource_providers=None,
)
FRESH = Quotas(
    # Seen in new accounts, with the refusal "below its minimum value of [10]":
    # https://github.com/awslabs/fhir-works-on-aws-deployment/issues/691
    lambda_executions=10,
    lambda_unreserved=10,
    # https://repost.aws/questions/QUY0gXNLrdTH6eqqA4hv5FeA/total-concurrency-for-serverless-infernece-is-not-200-only-10
    sagemaker_serverless=10,
    # https://github.com/aws-samples/sagemaker-custom-project-templates/issues/51
    sagemaker_instances=0,
    # Some new accounts have 0, and then nothing can be built: https://github.com/aws-samples/aws-gateway-load-balancer-suricata-ids-ips-nsm/issues/12
    codebuild_builds=1,
    vertex_cpus=4,
    cloud_run_cpus=20_000,
    cloud_build_cpus=10,
    # Some of those that a new project has; Resource Manager is not among them.
    # https://docs.cloud.google.com/service-usage/docs/enabled-service#default
    google_apis=frozenset(
        f"{each}.googleapis.com" for each in ("cloudbilling", "logging", "serviceusage", "storage")
    ),
    # The least that is documented:
    # https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#azure-machine-learning-compute
    machine_learning_cores=24,
    machine_learning_family_cores=10,
    # https://github.com/Azure/Commercial-Marketplace-SaaS-Accelerator/issues/854: Basic has 0 in new subscriptions.
    app_service_machines={"Basic": 0, "Standard": 10, "Premium0V3": 10, "PremiumV3": 10},
    # https://learn.microsoft.com/azure/azure-resource-manager/management/resource-providers-and-types
    resource_providers=frozenset(("Microsoft.Authorization", "Microsoft.Resources")),
)
