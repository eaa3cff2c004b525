"""Who may deploy from GitHub Actions, and what the delivery identity may do, on each cloud."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import get_args

import pulumi
import pytest

from components.resource_type import DeployPermissions
from components.resource_types import BY_CLOUD
from config.clouds import Cloud
from config.schema import StackConfig
from policy.mock_engine import Build
from policy.mock_values import SUBSCRIPTION
from rehearsal.aws.conditions import like

CLOUDS = get_args(Cloud)
ISSUER = "https://token.actions.githubusercontent.com"
IN_PRODUCTION = "repo:acme/triplane:environment:production"
ON_MAIN = "repo:acme/triplane:ref:refs/heads/main"
# GitHub's form for repositories created or renamed since 15 July 2026, from the example in
# https://github.com/github/docs/pull/45221.
WITH_IDS = {"repository": "octocat@123456/my-repo@456789"}
ON_MAIN_WITH_IDS = "repo:octocat@123456/my-repo@456789:ref:refs/heads/main"
IN_STAGING_WITH_IDS = "repo:octocat@123456/my-repo@456789:environment:staging"
Configured = Callable[..., StackConfig]


@pytest.fixture
def delivered(platform: Build) -> Build:
    """Builds the platform with a delivery identity for ``acme/triplane``; takes changes to that setting."""
    return lambda cloud, **changes: platform(
        cloud,
        delivery={"repository": "acme/triplane", **changes},
        # Instances, not serverless: this has the most resource types.
        machine={"aws": "ml.m5.large"},
    )


def deploy_permissions(cloud: Cloud) -> DeployPermissions:
    return DeployPermissions.of(BY_CLOUD[cloud])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_without_the_setting_there_is_no_delivery_identity(platform: Build, cloud: Cloud) -> None:
    engine, outputs = platform(cloud)
    assert not [each.name for each in engine if "delivery" in each.name]
    assert not [name for name in outputs if "delivery" in name]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_with_the_setting_the_outputs_have_the_delivery_identity(
    delivered: Build, cloud: Cloud
) -> None:
    engine, outputs = delivered(cloud)
    assert outputs["delivery_identity"]
    assert outputs["delivery_provider"]
    assert engine.of(f"triplane:{cloud}:Delivery")


@pytest.mark.parametrize(
    ("setting", "subject"),
    [
        ({}, ON_MAIN),
        ({"environment": "production"}, IN_PRODUCTION),
        (WITH_IDS, ON_MAIN_WITH_IDS),
        ({**WITH_IDS, "environment": "staging"}, IN_STAGING_WITH_IDS),
    ],
    ids=["branch", "environment", "branch-with-ids", "environment-with-ids"],
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
                "StringEquals": {
                    f"{host}:aud": "sts.amazonaws.com",
                    f"{host}:sub": subject,
                    f"{host}:ref": "refs/heads/main",
                }
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
        ("repository", "acme@*/triplane@*"),
        ("repository", "acme@/triplane@"),
        ("repository", "acme@0/triplane@0"),
        ("repository", "acme@١/triplane@٢"),
        ("repository", "acme@123456/triplane"),
        ("repository", "acme/triplane@456789"),
        ("branch", "*"),
        ("branch", "main' || true || '"),
        ("environment", "prod*"),
        ("environment", "production:ref"),
    ],
)
def test_no_setting_can_widen_the_trust(configured: Configured, key: str, value: str) -> None:
    with pytest.raises(pulumi.RunError, match=f"delivery.{key}"):
        configured("aws", delivery={"repository": "acme/triplane", key: value})


@pytest.mark.parametrize("one_id", ["acme@123456/triplane", "acme/triplane@456789"])
def test_a_repository_with_one_id_is_refused_with_how_to_find_both(
    configured: Configured, one_id: str
) -> None:
    with pytest.raises(pulumi.RunError) as raised:
        configured("aws", delivery={"repository": one_id})
    assert "gh api repos/acme/triplane/actions/oidc/customization/sub" in str(raised.value)


@pytest.mark.parametrize(
    "written",
    [
        "repo:acme@123456/triplane@456789",
        "repo:acme@123456/triplane@456789:environment:staging",
        "https://github.com/acme@123456/triplane@456789",
    ],
)
def test_a_whole_claim_is_refused_with_the_repository_in_it(
    configured: Configured, written: str
) -> None:
    with pytest.raises(pulumi.RunError, match=r"Did you mean acme@123456/triplane@456789\?"):
        configured("aws", delivery={"repository": written})


def test_a_subject_that_google_cloud_would_cut_is_refused_only_there(
    configured: Configured,
) -> None:
    # Each in itself is allowed; with the ids they make 128 characters.
    long = {"repository": f"acme@123456/{'t' * 81}@456789", "environment": "production"}
    assert len(f"repo:{long['repository']}:environment:production") == 128
    with pytest.raises(pulumi.RunError, match="127 characters at most"):
        configured("gcp", delivery=long)
    for cloud in ("aws", "azure"):
        assert configured(cloud, delivery=long).delivery.environment == "production"
    configured("gcp", delivery={**long, "environment": "productio"})


def test_an_existing_identity_provider_for_github_is_used_and_not_created_again(
    delivered: Build,
) -> None:
    engine, outputs = delivered("aws", existing_provider=True)
    assert not engine.of("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
    arn = outputs["delivery_provider"]
    assert arn == "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_resource_type_is_in_one_group_of_deploy_permissions(
    delivered: Build, cloud: Cloud
) -> None:
    engine, _ = delivered(cloud)
    registered = {each.type for each in engine if each.custom}
    granted = deploy_permissions(cloud)
    groups = [set(group) for group in (granted.compute, granted.data, granted.access)]
    assert registered == set().union(*groups), (
        "components/*/resource_types.py: say what may be deployed"
    )
    assert sum(map(len, groups)) == len(registered), "a type is in two groups"


# How the clouds spell permissions that read, that delete, and that grant permissions.
READS = re.compile(r":(Get|Describe|List)\w+$|\.(get|list|getIamPolicy)$|/read$")
DELETES = re.compile(r":(Delete|Purge)|\.(delete|destroy)$|/delete$")
GRANTS = re.compile(
    r"iam:(Create|Put|Attach|Update|Delete|Add|Set|Tag)|:Put\w*(Policy|PublicAccessBlock|Ownership\w*|Acl)$"
    r"|setIamPolicy|iam\.\w+\.(create|update|delete|actAs)|Microsoft\.Authorization/.+/(write|delete)"
    r"|listKeys|serviceusage\.services\.enable|federatedIdentityCredentials/(write|delete)"
)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_permission_is_a_wildcard(cloud: Cloud) -> None:
    permissions = deploy_permissions(cloud).permissions
    assert len(permissions) > 30
    assert not [each for each in permissions if "*" in each]


# A rotation of the key writes the new value.
SECRET_VALUES = {
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
    "Microsoft.KeyVault/vaults/secrets/write",
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_settings_of_data_and_access_are_only_read(cloud: Cloud) -> None:
    """The permission to change a lifecycle, a public container or a label includes the others."""
    for group in (deploy_permissions(cloud).data, deploy_permissions(cloud).access):
        for token, permissions in group.items():
            changes = {p for p in permissions if not READS.search(p)}
            assert changes <= SECRET_VALUES, f"{token}: {changes - SECRET_VALUES}"
    # Nor through the permissions of another type: a role is one list of them all.
    settings = re.compile(
        r"s3:Put(?!Object)|s3:(Tag|Untag|Create|DeleteBucket)|ecr:(Put|Delete|Tag|Batch)"
        r"|storage\.buckets\.(?!get)|repositories\.(update|delete|create)"
        r"|Storage/.+/(write|delete|action)$|registries/(write|delete)$|workspaces/(write|delete)$"
        r"|workspaces/datastores/(write|delete)$|vaults/(write|delete)$|[gG]roups/(write|delete)$"
    )
    assert not [p for p in deploy_permissions(cloud).permissions if settings.search(p)]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_pipeline_cannot_grant_permissions(cloud: Cloud) -> None:
    # The exceptions: who may call the gateway (components/gcp/delivery.py gives the reason), and two policies
    # that grant nothing.
    compute = [p for group in deploy_permissions(cloud).compute.values() for p in group]
    allowed = {
        "run.services.setIamPolicy",
        "application-autoscaling:PutScalingPolicy",
        "logs:PutRetentionPolicy",
    }
    assert not [p for p in compute if GRANTS.search(p) and p not in allowed]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_compute_resources_can_be_created_read_and_deleted(cloud: Cloud) -> None:
    creates = re.compile(
        r":(Create|Put|Register|Add|Start)|\.(create|add|upload|deploy)$|/write$|/scheduleRun/action$"
    )
    # App Service returns an app's settings to a POST of config/appsettings/list, which is an action of its own.
    reads = re.compile(r":(Get|Describe|List|BatchGet)|\.(get|access)$|/read$|/config/list/action$")
    for token, permissions in deploy_permissions(cloud).compute.items():
        if token.endswith(("cloudrunv2/service:Service", "vertex/aiEndpoint:AiEndpoint")):
            continue  # rights on one service, and on one endpoint: a person creates it
        # These check, wait or take something away, and create nothing.
        creates_nothing = ("AwsScalingDeregistration", "AwsServedModel", "VertexTraffic")
        if permissions and not token.endswith(creates_nothing):
            assert any(creates.search(p) for p in permissions), f"{token}: nothing creates it"
            assert any(reads.search(p) for p in permissions), f"{token}: nothing reads it"
            dynamic = token.startswith("pulumi-python") or "permission:" in token
            # An app always has its publishing policies: a deletion writes the default again.
            always_exists = token.endswith(("FtpAllowed", "ScmAllowed"))
            assert (
                always_exists
                or dynamic
                or any(DELETES.search(p) or "Deregister" in p for p in permissions)
            ), f"{token}: nothing deletes it"


@pytest.mark.parametrize(
    "action",
    [
        # https://learn.microsoft.com/azure/role-based-access-control/permissions/containers
        "Microsoft.ContainerRegistry/registries/runs/read",
        # https://learn.microsoft.com/azure/role-based-access-control/permissions/web-and-mobile
        "Microsoft.Web/serverfarms/operationresults/read",
        "Microsoft.Web/sites/operationresults/read",
    ],
)
def test_a_pipeline_on_azure_can_wait_for_what_it_writes(action: str) -> None:
    assert action in deploy_permissions("azure").permissions


def test_every_aws_action_exists() -> None:
    """By AWS's own API models: each action is an operation, except those that are listed here."""
    import botocore.session

    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
    not_operations = {
        "s3:GetAccelerateConfiguration",
        "s3:GetBucketCORS",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:DeleteObjectVersion",
        "s3:GetReplicationConfiguration",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:ListTagsForResource",
    }
    session = botocore.session.get_session()
    operations: dict[str, set[str]] = {}
    for action in set(deploy_permissions("aws").permissions) - not_operations:
        service, _, operation = action.partition(":")
        if service not in operations:
            operations[service] = set(session.get_service_model(service).operation_names)
        assert operation in operations[service], f"{action} is not an operation of {service}"


def test_aws_permissions_are_for_the_resources_of_the_platform_and_fit_a_policy(
    delivered: Build,
) -> None:
    from components.aws.delivery import ACCOUNT_LIMITS, NO_RESOURCE

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
            assert not [arn for arn in statement["Resource"] if "delivery" in arn]
            # The roles of the stack's endpoints have its path; the two others are named.
            patterns = [arn for arn in statement["Resource"] if "*" in arn]
            assert patterns == ["arn:aws:iam::123456789012:role/triplane/dev/*"]
            assert set(statement["Condition"]["StringEquals"]) == {"iam:PassedToService"}
    assert everywhere == NO_RESOURCE | ACCOUNT_LIMITS


def test_a_pipeline_on_aws_may_do_all_that_automatic_scaling_asks_of_its_caller(
    delivered: Build,
) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html"""
    engine, _ = delivered("aws")
    (granted,) = (
        r.inputs["policy"]
        for r in engine.of("aws:iam/rolePolicy:RolePolicy")
        if r.name == "triplane-delivery-reach"
    )
    statements = json.loads(granted)["Statement"]

    def resources(action: str) -> list[str]:
        return [arn for s in statements if action in s["Action"] for arn in s["Resource"]]

    endpoint = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/triplane-*"
    assert endpoint in resources("sagemaker:UpdateEndpointWeightsAndCapacities")
    # Application Auto Scaling names its alarms after the target, with the permissions of its caller.
    (scaled,) = engine.of("aws:sagemaker/endpoint:Endpoint")
    alarm = (
        "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:TargetTracking-endpoint/"
        f"{scaled.inputs['name']}/variant/live-AlarmHigh-0"
    )
    for action in ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms"):
        assert any(like(alarm, each) for each in resources(f"cloudwatch:{action}")), action
    # In an account where nothing was scaled before, the role of the service does not exist yet.
    (role,) = (s for s in statements if "iam:CreateServiceLinkedRole" in s["Action"])
    service = "sagemaker.application-autoscaling.amazonaws.com"
    assert role["Resource"] == [
        f"arn:aws:iam::123456789012:role/aws-service-role/{service}/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    ]
    assert role["Condition"] == {"StringEquals": {"iam:AWSServiceName": service}}


def test_a_pipeline_on_aws_deletes_only_versions_of_build_contexts(delivered: Build) -> None:
    """The provider deletes an old context so; see tests/unit/rehearsal/test_aws_rules.py."""
    engine, _ = delivered("aws")
    (granted,) = (
        r.inputs["policy"]
        for r in engine.of("aws:iam/rolePolicy:RolePolicy")
        if r.name == "triplane-delivery-reach"
    )
    statements = json.loads(granted)["Statement"]
    context = engine.one("triplane:aws:ImageBuild").name + "-context"
    (key,) = (
        r.inputs["key"]
        for r in engine.of("aws:s3/bucketObjectv2:BucketObjectv2")
        if r.name == context
    )
    (deletes,) = (s for s in statements if "s3:DeleteObjectVersion" in s["Action"])
    assert deletes["Action"] == ["s3:DeleteObjectVersion"]
    (arn,) = deletes["Resource"]
    assert arn.endswith("/builds/*")
    assert key.startswith("builds/")
    (lists,) = (s for s in statements if "s3:ListBucketVersions" in s["Action"])
    assert lists["Action"] == ["s3:ListBucketVersions"]
    assert lists["Resource"] == [arn.removesuffix("/builds/*")]
    assert lists["Condition"] == {"StringLike": {"s3:prefix": "builds/*"}}
    # A delete marker hides an object until its versions expire. The provider sets none in a versioned bucket.
    assert not [s for s in statements if "s3:DeleteObject" in s["Action"]]


# What has no policy of its own, or does not exist yet when the right is needed.
IN_THE_PROJECT = {
    *(f"aiplatform.models.{verb}" for verb in ("delete", "get", "update", "upload")),
    "aiplatform.operations.list",
    "cloudbuild.builds.create",
    "cloudbuild.builds.get",
    "iam.roles.get",
    "iam.workloadIdentityPoolProviders.get",
    "iam.workloadIdentityPools.get",
    "resourcemanager.projects.get",
    "resourcemanager.projects.getIamPolicy",
    "run.operations.get",
    "serviceusage.quotas.get",
    "serviceusage.services.get",
    "serviceusage.services.list",
}
READ = {"get", "getIamPolicy"}


def test_a_pipeline_on_google_cloud_has_its_rights_on_single_resources_of_its_stack(
    delivered: Build,
) -> None:
    engine, _ = delivered("gcp")
    roles = {r.id: r for r in engine.of("gcp:projects/iAMCustomRole:IAMCustomRole")}
    targets = {
        "serviceAccountId": "gcp:serviceaccount/account:Account",
        "secretId": "gcp:secretmanager/secret:Secret",
        "bucket": "gcp:storage/bucket:Bucket",
        "repository": "gcp:artifactregistry/repository:Repository",
        "endpoint": "gcp:vertex/aiEndpoint:AiEndpoint",
        "name": "gcp:cloudrunv2/service:Service",
    }
    granted: dict[str, set[str]] = {}
    for binding in engine:
        if "delivery" not in binding.name or not binding.type.endswith(("IamMember", "IAMMember")):
            continue
        if binding.inputs["role"] not in roles:
            continue
        (target,) = binding.inputs.keys() & {*targets, "project"}
        permissions = set(roles[binding.inputs["role"]].inputs["permissions"])
        granted[target] = granted.get(target, set()) | permissions
        if target != "project":
            named = engine.of(targets[target])
            own = tuple(each for r in named for each in (r.name, r.inputs.get("name")) if each)
            assert str(binding.inputs[target]).startswith(own), binding.name

    def verbs(target: str, prefix: str) -> set[str]:
        return {p.removeprefix(f"{prefix}.") for p in granted[target] if p.startswith(prefix)}

    assert granted["project"] == IN_THE_PROJECT
    assert granted["serviceAccountId"] == {f"iam.serviceAccounts.{verb}" for verb in READ}
    assert verbs("bucket", "storage.buckets") == READ
    assert verbs("repository", "artifactregistry.repositories") == {*READ, "downloadArtifacts"}
    assert verbs("secretId", "secretmanager.secrets") == READ
    assert verbs("secretId", "secretmanager.versions") == {
        "access",
        "add",
        "destroy",
        "enable",
        "get",
    }
    assert verbs("endpoint", "aiplatform.endpoints") == {*READ, "deploy", "undeploy", "update"}
    assert verbs("name", "run.services") == {*READ, "setIamPolicy", "update"}


def test_a_pipeline_of_a_public_gateway_on_google_cloud_reads_no_secret(platform: Build) -> None:
    delivery = {"repository": "acme/triplane"}
    engine, _ = platform("gcp", delivery=delivery, gateway={"access": "public"})
    for role in engine.of("gcp:projects/iAMCustomRole:IAMCustomRole"):
        assert not [p for p in role.inputs["permissions"] if p.startswith("secretmanager.versions")]


def test_a_pipeline_on_google_cloud_assigns_two_accounts_and_writes_three_zones(
    delivered: Build,
) -> None:
    engine, _ = delivered("gcp")
    assignable = {
        r.inputs["serviceAccountId"].split("-")[1]
        for r in engine.of("gcp:serviceaccount/iAMMember:IAMMember")
        if r.inputs["role"] == "roles/iam.serviceAccountUser"
    }
    assert assignable == {"build", "gateway"}
    zones = {
        r.inputs["condition"]["title"]
        for r in engine.of("gcp:storage/bucketIAMMember:BucketIAMMember")
        if "delivery-upload" in r.name
    }
    assert zones == {"upload builds", "upload models", "upload state"}


def test_a_pipeline_on_azure_only_reads_roles_outside_the_resource_group_of_the_platform(
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
    for workload in ("gateway", "serving-flight-delay"):
        scope = scopes[f"triplane-delivery-as-{workload}"]
        assert scope.startswith(f"triplane-{workload}-identity")
    assert scopes["triplane-delivery-read-roles"] == f"/subscriptions/{SUBSCRIPTION}"
    (reader,) = (
        each
        for each in engine.of("azure-native:authorization:RoleDefinition")
        if each.name == "triplane-delivery-reader"
    )
    assert reader.inputs["permissions"] == [
        {
            "actions": [
                "Microsoft.Authorization/roleDefinitions/read",
                "Microsoft.Authorization/roleAssignments/read",
            ]
        }
    ]
    assert reader.inputs["assignableScopes"] == [f"/subscriptions/{SUBSCRIPTION}"]
    assert len(scopes) == 7


def test_a_pipeline_on_azure_cannot_use_the_workspace_identity_or_delete_blobs(
    delivered: Build,
) -> None:
    """That identity is Contributor of the lake's account, and reads and writes everything in it."""
    engine, _ = delivered("azure")
    definitions = {
        r.name: r.inputs["permissions"][0]
        for r in engine.of("azure-native:authorization:RoleDefinition")
        if "delivery" in r.name
    }
    assign = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
    assigners = [name for name, role in definitions.items() if assign in role.get("actions", ())]
    assert assigners == ["triplane-delivery-assigner"]
    assert definitions["triplane-delivery-assigner"]["actions"] == [assign]
    blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
    assert definitions["triplane-delivery-uploader"] == {
        "dataActions": [f"{blobs}/read", f"{blobs}/write"]
    }
    # Built-in roles have more permissions than their names say: the pipeline has none of them.
    for assignment in engine.of("azure-native:authorization:RoleAssignment"):
        if "delivery" in assignment.name:
            assert assignment.inputs["roleDefinitionId"].startswith("triplane-delivery-")
