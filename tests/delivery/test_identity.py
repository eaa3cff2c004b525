"""Who may deploy from GitHub Actions, and what the delivery identity may do, on each cloud."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import import_module
from typing import get_args

import pulumi
import pytest

from components.contracts import Cloud, Reach
from stack_config import StackConfig
from tests.engine import Build

CLOUDS = get_args(Cloud)
ISSUER = "https://token.actions.githubusercontent.com"
IN_PRODUCTION = "repo:acme/triplane:environment:production"
ON_MAIN = "repo:acme/triplane:ref:refs/heads/main"
Configured = Callable[..., StackConfig]


@pytest.fixture
def delivered(platform: Build) -> Build:
    """The platform with a delivery identity for ``acme/triplane``, and changes to that setting."""
    return lambda cloud, **changes: platform(
        cloud,
        delivery={"repository": "acme/triplane", **changes},
        # Instances, not serverless: the most resource types that there can be.
        machine={"aws": "ml.m5.large"},
    )


def reach(cloud: Cloud) -> Reach:
    found: Reach = import_module(f"components.{cloud}.delivery").REACH
    return found


@pytest.mark.parametrize("cloud", CLOUDS)
def test_without_the_setting_no_pipeline_may_do_anything(platform: Build, cloud: Cloud) -> None:
    engine, outputs = platform(cloud)
    assert not [each.name for each in engine if "delivery" in each.name]
    assert not [name for name in outputs if "delivery" in name]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_identity_is_a_part_of_the_contract_when_it_is_asked_for(
    delivered: Build, cloud: Cloud
) -> None:
    engine, outputs = delivered(cloud)
    assert outputs["delivery_identity"]
    assert outputs["delivery_provider"]
    assert engine.of(f"triplane:{cloud}:Delivery")


@pytest.mark.parametrize(
    ("setting", "subject"),
    [({}, ON_MAIN), ({"environment": "production"}, IN_PRODUCTION)],
    ids=["branch", "environment"],
)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_only_one_repository_and_one_branch_or_environment_is_trusted(
    delivered: Build, cloud: Cloud, setting: dict[str, str], subject: str
) -> None:
    engine, _ = delivered(cloud, **setting)
    match cloud:
        case "aws":
            (role,) = (r for r in engine.of("aws:iam/role:Role") if "delivery" in r.name)
            (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
            host = ISSUER.removeprefix("https://")
            assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
            assert set(trust["Principal"]) == {"Federated"}
            # StringEquals, not StringLike: no wildcard can slip in.
            assert trust["Condition"] == {
                "StringEquals": {f"{host}:aud": "sts.amazonaws.com", f"{host}:sub": subject}
            }
        case "gcp":
            token = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
            provider = engine.one(token).inputs
            assert provider["oidc"] == {"issuerUri": ISSUER}
            assert provider["attributeCondition"] == (
                f"assertion.sub == '{subject}' && assertion.ref == 'refs/heads/main'"
            )
            (member,) = (
                r.inputs["member"]
                for r in engine.of("gcp:serviceaccount/iAMMember:IAMMember")
                if r.inputs["role"] == "roles/iam.workloadIdentityUser"
            )
            assert member.startswith("principal://")
            assert member.endswith(f"/subject/{subject}")
        case "azure":
            token = "azure-native:managedidentity:FederatedIdentityCredential"
            credential = engine.one(token).inputs
            assert credential["issuer"] == ISSUER
            assert credential["subject"] == subject
            assert credential["audiences"] == ["api://AzureADTokenExchange"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("repository", "acme/*"),
        ("repository", "acme"),
        ("repository", "https://github.com/acme/triplane"),
        ("branch", "*"),
        ("branch", "main' || true || '"),
        ("environment", "prod*"),
        ("environment", "production:ref"),
    ],
)
def test_trust_cannot_be_widened_by_what_is_written_in_the_settings(
    configured: Configured, key: str, value: str
) -> None:
    with pytest.raises(pulumi.RunError, match=f"delivery.{key}"):
        configured("aws", delivery={"repository": "acme/triplane", key: value})


def test_an_account_that_knows_github_already_gets_no_second_provider(
    delivered: Build,
) -> None:
    engine, outputs = delivered("aws", existing_provider=True)
    assert not engine.of("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
    arn = outputs["delivery_provider"]
    assert arn == "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_type_of_the_platform_is_within_reach_once(delivered: Build, cloud: Cloud) -> None:
    engine, _ = delivered(cloud)
    registered = {each.type for each in engine if each.custom}
    parts = [set(part) for part in (reach(cloud).runs, reach(cloud).holds, reach(cloud).grants)]
    assert registered == set().union(*parts), "components/*/delivery.py: say what a delivery may do"
    assert sum(map(len, parts)) == len(registered), "a type stands in two parts"


# How the clouds spell what takes away data, and what gives rights.
DELETES = re.compile(r":(Delete|Purge)|\.(delete|destroy)$|/delete$")
GIVES = re.compile(
    r"iam:(Create|Put|Attach|Update|Delete|Add|Set|Tag)|:Put\w*(Policy|PublicAccessBlock|Ownership\w*|Acl)$"
    r"|setIamPolicy|iam\.\w+\.(create|update|delete|actAs)|Microsoft\.Authorization/.+/(write|delete)"
    r"|listKeys|serviceusage\.services\.enable|federatedIdentityCredentials/(write|delete)"
)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_permission_is_a_wildcard(cloud: Cloud) -> None:
    permissions = reach(cloud).permissions
    assert len(permissions) > 30
    assert not [each for each in permissions if "*" in each]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_pipeline_deletes_no_data_and_grants_no_rights(cloud: Cloud) -> None:
    kept = [p for part in reach(cloud).holds.values() for p in part]
    seen = [p for part in reach(cloud).grants.values() for p in part]
    assert not [p for p in kept if DELETES.search(p)]
    assert not [p for p in (*kept, *seen) if GIVES.search(p) and p != "ecr:PutLifecyclePolicy"]
    # In what runs: who may call the gateway (components/gcp/delivery.py says why), and two policies that
    # grant nothing.
    runs = [p for part in reach(cloud).runs.values() for p in part]
    allowed = {
        "run.services.setIamPolicy",
        "application-autoscaling:PutScalingPolicy",
        "logs:PutRetentionPolicy",
    }
    assert not [p for p in runs if GIVES.search(p) and p not in allowed]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_runs_can_be_made_read_and_taken_away(cloud: Cloud) -> None:
    makes = re.compile(r":(Create|Put|Register|Add|Start)|\.(create|add|upload|deploy)$|/write$")
    reads = re.compile(r":(Get|Describe|List|BatchGet)|\.(get|access)$|/read$")
    for token, permissions in reach(cloud).runs.items():
        if permissions and "ServedModel" not in token and "VertexTraffic" not in token:
            assert any(makes.search(p) for p in permissions), f"{token}: nothing makes it"
            assert any(reads.search(p) for p in permissions), f"{token}: nothing reads it"
            dynamic = token.startswith("pulumi-python") or "permission:" in token
            assert dynamic or any(DELETES.search(p) or "Deregister" in p for p in permissions), (
                f"{token}: nothing deletes it"
            )


def test_every_aws_action_exists() -> None:
    """Held against AWS's own API models: an action is an operation, but for the ones listed here."""
    import botocore.session

    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
    unlike_operations = {
        "s3:GetAccelerateConfiguration",
        "s3:GetBucketCORS",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:GetReplicationConfiguration",
        "s3:ListBucket",
        "s3:ListTagsForResource",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:TagResource",
        "s3:UntagResource",
    }
    session = botocore.session.get_session()
    operations: dict[str, set[str]] = {}
    for action in set(reach("aws").permissions) - unlike_operations:
        service, _, operation = action.partition(":")
        if service not in operations:
            operations[service] = set(session.get_service_model(service).operation_names)
        assert operation in operations[service], f"{action} is no operation of {service}"


def test_aws_permissions_are_on_the_platforms_own_resources_and_fit_in_a_policy(
    delivered: Build,
) -> None:
    from components.aws.delivery import NO_RESOURCE

    engine, _ = delivered("aws")
    (granted,) = (
        r.inputs["policy"]
        for r in engine.of("aws:iam/rolePolicy:RolePolicy")
        if r.name == "triplane-delivery-reach"
    )
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(re.sub(r"\s", "", granted)) < 10_240
    everywhere = set()
    for statement in json.loads(granted)["Statement"]:
        if "*" in statement["Resource"]:
            everywhere |= set(statement["Action"])
        elif statement["Action"] == ["iam:PassRole"]:
            assert len(statement["Resource"]) == 3
            assert not [arn for arn in statement["Resource"] if "delivery" in arn or "*" in arn]
            assert set(statement["Condition"]["StringEquals"]) == {"iam:PassedToService"}
    assert everywhere == NO_RESOURCE


def test_a_pipeline_on_google_cloud_hands_over_the_workloads_accounts_and_writes_three_zones(
    delivered: Build,
) -> None:
    engine, _ = delivered("gcp")
    handed = {
        r.inputs["serviceAccountId"].split("-")[1]
        for r in engine.of("gcp:serviceaccount/iAMMember:IAMMember")
        if r.inputs["role"] == "roles/iam.serviceAccountUser"
    }
    assert handed == {"build", "gateway", "serving"}
    zones = {
        r.inputs["condition"]["title"]
        for r in engine.of("gcp:storage/bucketIAMMember:BucketIAMMember")
        if "delivery" in r.name
    }
    assert zones == {"upload builds", "upload models", "upload state"}
    (deployer,) = (
        r.inputs["permissions"]
        for r in engine.of("gcp:projects/iAMCustomRole:IAMCustomRole")
        if r.name == "triplane-delivery-deployer"
    )
    assert not [p for p in deployer if p.startswith("storage.objects.")]


def test_a_pipeline_on_azure_acts_in_the_platforms_resource_group_alone(
    delivered: Build,
) -> None:
    engine, _ = delivered("azure")
    scopes = {
        r.name: r.inputs["scope"]
        for r in engine.of("azure-native:authorization:RoleAssignment")
        if "delivery" in r.name
    }
    assert scopes["triplane-delivery-deploy"].startswith("triplane-foundation-group")
    for zone in ("builds", "models", "state"):
        assert scopes[f"triplane-delivery-upload-{zone}"].startswith(f"triplane-lake-{zone}")
    assert len(scopes) == 4
