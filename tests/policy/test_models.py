"""The recorded inputs against the clouds' own request models; and that those models bite."""

from __future__ import annotations

import pytest

from policy import record
from policy.models import coverage
from tests.policy.changes import put
from tests.policy.conftest import Plans

LEAST = "as little as possible"


def problems(cloud: str, plan: record.Plan) -> list[str]:
    held = coverage.model_of(cloud)
    return [
        f"{each.name} ({each.type}): {said}"
        for each in plan
        if coverage.mapped(cloud, each.type)
        for said in held.problems(each)
    ]


@pytest.mark.parametrize("variant", record.VARIANTS)
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_clouds_models_accept_what_is_registered(
    cloud: str, variant: str, plans: Plans
) -> None:
    found = problems(cloud, plans[cloud][variant])
    assert not found, "\n".join(found)


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_every_registered_type_is_held_or_has_a_reason(cloud: str, plans: Plans) -> None:
    types = {each.type for plan in plans[cloud].values() for each in plan}
    left = {
        each
        for each in types
        if not coverage.mapped(cloud, each) and not coverage.reason(cloud, each)
    }
    assert not left, f"map them in policy/models/{cloud}.py, or say there why not"


AML = "azure-native:machinelearningservices:"
WRONG = [
    ("aws", "aws:lambda/function:Function", "memorySize", 64),  # a range
    ("aws", "aws:lambda/function:Function", "runtime", "python2.5"),  # an enum
    ("aws", "aws:lambda/function:Function", "role", "a-role"),  # a pattern
    ("aws", "aws:lambda/function:Function", "memmorySize", 512),  # no such member
    ("aws", "aws:sagemaker/model:Model", "executionRoleArn", 5),  # a type
    ("aws", "aws:sagemaker/endpoint:Endpoint", "endpointConfigName", None),  # required
    ("aws", "aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status", "On"),
    ("aws", "aws:iam/rolePolicy:RolePolicy", "role", "arn:aws:iam::123456789012:role/r"),
    ("gcp", "gcp:cloudrunv2/service:Service", "ingress", "ALL"),  # an enum
    ("gcp", "gcp:cloudrunv2/service:Service", "template.timeOut_", {"a": 1}),  # a type
    ("gcp", "gcp:cloudrunv2/service:Service", "template.containers.0.imagge", "x"),
    ("gcp", "gcp:storage/bucket:Bucket", "versioning.enabled", "yes"),
    ("gcp", "gcp:artifactregistry/repository:Repository", "format", "PYTHN"),
    ("azure", "azure-native:storage:StorageAccount", "minimumTlsVersion", "TLS2"),  # an enum
    ("azure", "azure-native:storage:StorageAccount", "allowSharedKeys", False),
    ("azure", "azure-native:storage:StorageAccount", "location", None),  # required
    ("azure", "azure-native:web:WebApp", "httpsOnly", "yes"),  # a type
    ("azure", "azure-native:web:WebApp", "siteConfig.appSettings", "ACCESS=key"),
    ("azure", f"{AML}OnlineDeployment", "properties.livenessProbe.failureThreshold", "often"),
    ("azure", f"{AML}OnlineEndpoint", "properties.authMode", None),  # required
]


@pytest.mark.parametrize(("cloud", "type_", "path", "value"), WRONG)
def test_a_model_refuses_what_the_cloud_would(
    cloud: str, type_: str, path: str, value: object, plans: Plans
) -> None:
    plan = put(type_, path, value)(list(plans[cloud][LEAST]))
    assert problems(cloud, plan), f"{path} = {value!r} was accepted"


def test_the_table_in_the_docs_is_current(plans: Plans) -> None:
    made = coverage.table({cloud: list(variants.values()) for cloud, variants in plans.items()})
    assert coverage.DOCUMENT.read_text() == made, "run `make api-coverage`"
