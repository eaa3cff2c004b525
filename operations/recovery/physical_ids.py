"""The id that a cloud gives a resource, worked out from what the engine asked for.

The ids are those that each provider documents for ``pulumi import``; the platform's own dynamic resources
have those that their providers give. A type without one here is never looked for: another is made.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable
from typing import Any

Resource = dict[str, Any]
Facts = ChainMap[str, Any]
"""A resource's inputs, then ``account``, ``region`` and ``partition``."""

GROUP = "/subscriptions/{account}/resourceGroups/{resourceGroupName}"
ARM = f"{GROUP}/providers"
ML = f"{ARM}/Microsoft.MachineLearningServices/workspaces/{{workspaceName}}"
STORAGE = f"{ARM}/Microsoft.Storage/storageAccounts/{{accountName}}"
VAULT = f"{ARM}/Microsoft.KeyVault/vaults/{{vaultName}}"
ROLES = "providers/Microsoft.Authorization"
GCP = "projects/{account}"
POOLS = f"{GCP}/locations/global/workloadIdentityPools"


def _aws_secret(facts: Facts) -> str | None:
    """Its ARN ends in six characters that AWS chooses."""
    described = _describe_secret(facts["region"], facts["name"], facts.get("account"))
    return described["ARN"] if described else None


def _aws_secret_version(facts: Facts) -> str | None:
    """The one in force: AWS chooses its id, and no one but this stack writes it."""
    described = _describe_secret(facts["region"], facts["secretId"], facts.get("account"))
    stages = (described or {}).get("VersionIdsToStages", {})
    current = next((id_ for id_, names in stages.items() if "AWSCURRENT" in names), None)
    return f"{described['ARN']}|{current}" if described and current else None


def _describe_secret(region: str, secret: str, account: str | None = None) -> dict[str, Any] | None:
    """What AWS knows of a secret; None if there is none. Leaves when that cannot be told.

    boto3 asks with the terminal's credentials. With `aws:profile` or `aws:assumeRoles` in the settings the
    provider's lead elsewhere, where the secret may well be.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        sts = boto3.client("sts", region_name=region)
        here = sts.get_caller_identity()["Account"] if account else None
        if here == account:
            client = boto3.client("secretsmanager", region_name=region)
            return dict(client.describe_secret(SecretId=secret))
        why = f"the stack is in account {account}, and the terminal's credentials lead to {here}"
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        why = str(error)
    except BotoCoreError as error:
        why = str(error)
    raise SystemExit(
        _untold(
            secret,
            why,
            "secretsmanager:DescribeSecret (AWS_PROFILE=…, if the settings name a profile)",
        )
    )


def _untold(secret: str, why: str, leave: str) -> str:
    return (
        f"Refused: whether the secret {secret} stands cannot be told:"
        f" {why}. Nothing was changed. Sign the terminal in to the stack's account, with leave to"
        f" {leave}, and run the same command again; after a run that was cut short, to go on without"
        " knowing, so that it may be made twice: ALLOW=unseen"
    )


def _gcp_secret_version(facts: Facts) -> str | None:
    """The next one if the state has any, for versions are counted; else the one in force."""
    if facts["next"] > 1:
        return "{secret}/versions/{next}".format_map(facts)
    from components.gcp import rest

    secret = facts["secret"]
    try:
        found = list(rest.listed(f"{rest.secret_manager_url()}{secret}/versions", "versions"))
    except rest.GoogleError as error:
        if error.status == 404:
            return None
        raise SystemExit(_untold(secret, str(error), "secretmanager.versions.list")) from None
    numbers = [int(each["name"].rpartition("/")[2]) for each in found if each["state"] == "ENABLED"]
    return f"{secret}/versions/{max(numbers)}" if numbers else None


def _member(of: str) -> Callable[[Facts], str]:
    """A binding of one member to one role of a thing, ``of``; a condition is known by its title.

    https://registry.terraform.io/providers/hashicorp/google/latest/docs/resources/storage_bucket_iam#import
    """

    def found(facts: Facts) -> str:
        title = (facts.get("condition") or {}).get("title")
        parts = (of.format_map(facts), facts["role"], facts["member"], title)
        return " ".join(part for part in parts if part)

    return found


def _aws_oidc_provider(facts: Facts) -> str:
    host = facts["url"].removeprefix("https://").rstrip("/")
    return f"arn:{facts['partition']}:iam::{facts['account']}:oidc-provider/{host}"


def _vertex_model(facts: Facts) -> str:
    from components.gcp.dynamic.vertex_model import model_name

    wanted = ("project", "region", "display_name", "image", "artifact_uri")
    return model_name({name: facts[name] for name in wanted})


def _vertex_deployment(facts: Facts) -> str:
    from components.gcp.dynamic import vertex_deployment

    return vertex_deployment.deployment_id(
        {name: facts[name] for name in vertex_deployment.IDENTIFIED}
    )


OURS = "pulumi-python:dynamic/triplane:"
"""How the types of the platform's own dynamic resources begin."""
AS_ASKED = ("gcp:storage/bucketObject:BucketObject", OURS)
"""How the types begin that have no import, and are read again by what they were made of."""

IDS: dict[str, str | Callable[[Facts], str | None]] = {
    "aws:appautoscaling/target:Target": "{serviceNamespace}/{resourceId}/{scalableDimension}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "{name}",
    "aws:cloudwatch/logGroup:LogGroup": "{name}",
    # Its documentation still imports it by name, which the provider refuses since it knows resources by
    # identity: https://github.com/hashicorp/terraform-provider-aws/issues/44940
    "aws:codebuild/project:Project": "arn:{partition}:codebuild:{region}:{account}:project/{name}",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "{repository}",
    "aws:ecr/repository:Repository": "{name}",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _aws_oidc_provider,
    "aws:iam/role:Role": "{name}",
    "aws:iam/rolePolicy:RolePolicy": "{role}:{name}",
    "aws:lambda/alias:Alias": "{functionName}/{name}",
    "aws:lambda/function:Function": "{name}",
    "aws:lambda/functionUrl:FunctionUrl": "{functionName}/{qualifier}",
    "aws:lambda/permission:Permission": "{function}:{qualifier}/{statementId}",
    "aws:s3/bucket:Bucket": "{bucket}",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "{bucket}",
    "aws:s3/bucketObjectv2:BucketObjectv2": "{bucket}/{key}",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "{bucket}",
    "aws:s3/bucketPolicy:BucketPolicy": "{bucket}",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "{bucket}",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "{bucket}",
    "aws:s3/bucketVersioning:BucketVersioning": "{bucket}",
    "aws:sagemaker/endpoint:Endpoint": "{name}",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "{name}",
    "aws:sagemaker/model:Model": "{name}",
    "aws:secretsmanager/secret:Secret": _aws_secret,
    "aws:secretsmanager/secretVersion:SecretVersion": _aws_secret_version,
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": _member(
        f"{GCP}/locations/{{location}}/repositories/{{repository}}"
    ),
    "gcp:artifactregistry/repository:Repository": f"{GCP}/locations/{{location}}/repositories/{{repositoryId}}",
    "gcp:cloudrunv2/service:Service": f"{GCP}/locations/{{location}}/services/{{name}}",
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": f"{POOLS}/{{workloadIdentityPoolId}}",
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": f"{POOLS}/{{workloadIdentityPoolId}}/providers/{{workloadIdentityPoolProviderId}}",
    "gcp:projects/iAMCustomRole:IAMCustomRole": f"{GCP}/roles/{{roleId}}",
    "gcp:projects/iAMMember:IAMMember": _member("{project}"),
    "gcp:projects/service:Service": "{account}/{service}",
    "gcp:secretmanager/secret:Secret": f"{GCP}/secrets/{{secretId}}",
    "gcp:secretmanager/secretIamMember:SecretIamMember": _member("{secretId}"),
    # No one but this stack makes any.
    "gcp:secretmanager/secretVersion:SecretVersion": _gcp_secret_version,
    "gcp:serviceaccount/account:Account": f"{GCP}/serviceAccounts/{{accountId}}@{{account}}.iam.gserviceaccount.com",
    "gcp:serviceaccount/iAMMember:IAMMember": _member("{serviceAccountId}"),
    "gcp:storage/bucket:Bucket": "{name}",
    "gcp:storage/bucketIAMMember:BucketIAMMember": _member("b/{bucket}"),
    # As the provider makes it: google_storage_bucket_object has no import.
    "gcp:storage/bucketObject:BucketObject": "{bucket}-{name}",
    "gcp:vertex/aiEndpoint:AiEndpoint": f"{GCP}/locations/{{location}}/endpoints/{{name}}",
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember": _member(
        f"{GCP}/locations/{{location}}/endpoints/{{endpoint}}"
    ),
    "azure-native:applicationinsights:Component": f"{ARM}/Microsoft.Insights/components/{{resourceName}}",
    "azure-native:authorization:RoleAssignment": f"{{scope}}/{ROLES}/roleAssignments/{{roleAssignmentName}}",
    "azure-native:authorization:RoleDefinition": f"/subscriptions/{{account}}/{ROLES}/roleDefinitions/{{roleDefinitionId}}",
    "azure-native:containerregistry:Registry": f"{ARM}/Microsoft.ContainerRegistry/registries/{{registryName}}",
    "azure-native:containerregistry:TaskRun": f"{ARM}/Microsoft.ContainerRegistry/registries/{{registryName}}/taskRuns/{{taskRunName}}",
    "azure-native:keyvault:Secret": f"{VAULT}/secrets/{{secretName}}",
    "azure-native:keyvault:Vault": VAULT,
    "azure-native:machinelearningservices:Datastore": f"{ML}/datastores/{{name}}",
    "azure-native:machinelearningservices:EnvironmentVersion": f"{ML}/environments/{{name}}/versions/{{version}}",
    "azure-native:machinelearningservices:ModelVersion": f"{ML}/models/{{name}}/versions/{{version}}",
    "azure-native:machinelearningservices:OnlineDeployment": f"{ML}/onlineEndpoints/{{endpointName}}/deployments/{{deploymentName}}",
    "azure-native:machinelearningservices:OnlineEndpoint": f"{ML}/onlineEndpoints/{{endpointName}}",
    "azure-native:machinelearningservices:Workspace": ML,
    "azure-native:managedidentity:FederatedIdentityCredential": f"{ARM}/Microsoft.ManagedIdentity/userAssignedIdentities/{{resourceName}}/federatedIdentityCredentials/{{federatedIdentityCredentialResourceName}}",
    "azure-native:managedidentity:UserAssignedIdentity": f"{ARM}/Microsoft.ManagedIdentity/userAssignedIdentities/{{resourceName}}",
    "azure-native:monitor:AutoscaleSetting": f"{ARM}/Microsoft.Insights/autoscalesettings/{{autoscaleSettingName}}",
    "azure-native:operationalinsights:Workspace": f"{ARM}/Microsoft.OperationalInsights/workspaces/{{workspaceName}}",
    "azure-native:resources:ResourceGroup": GROUP,
    "azure-native:storage:BlobContainer": f"{STORAGE}/blobServices/default/containers/{{containerName}}",
    "azure-native:storage:BlobServiceProperties": f"{STORAGE}/blobServices/{{blobServicesName}}",
    "azure-native:storage:ManagementPolicy": f"{STORAGE}/managementPolicies/{{managementPolicyName}}",
    "azure-native:storage:StorageAccount": STORAGE,
    "azure-native:web:AppServicePlan": f"{ARM}/Microsoft.Web/serverfarms/{{name}}",
    "azure-native:web:WebApp": f"{ARM}/Microsoft.Web/sites/{{name}}",
    f"{OURS}AwsBuiltImage": "{repository}:{tag}",
    f"{OURS}AwsServedModel": "{endpoint}",
    f"{OURS}AzureBlobFolder": "{account_url}/{container}/{prefix}",
    f"{OURS}AzureEndpointTraffic": "{endpoint_id}/traffic",
    f"{OURS}GcpBuiltImage": "{repository}:{tag}",
    f"{OURS}VertexDeployment": _vertex_deployment,
    f"{OURS}VertexModel": _vertex_model,
    f"{OURS}VertexTraffic": "{endpoint}",
}


def _partition(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    groups = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((groups[each] for each in groups if region.startswith(each)), "aws")


def physical_id(resource: Resource, resources: Iterable[Resource]) -> str | None:
    """The id that the cloud gave this resource, if it made it; None: it does not follow from the inputs."""
    template = IDS.get(resource["type"])
    if template is None:
        return None
    resources = list(resources)
    inputs, around = resource["inputs"], {"next": 1, **facts(resource, resources)}
    if secret := inputs.get("secret"):
        last = (
            int(each["id"].rpartition("/")[2])
            for each in resources
            if each["type"] == resource["type"] and each["inputs"].get("secret") == secret
        )
        around["next"] = 1 + max(last, default=0)
    known = Facts(inputs, around)
    try:
        return template(known) if callable(template) else template.format_map(known)
    except KeyError:
        return None


def facts(resource: Resource, resources: Iterable[Resource]) -> dict[str, Any]:
    """``account``, ``region`` and ``partition``, as far as these resources tell them for this one."""
    resources = list(resources)
    accounts = (
        each["inputs"]["account"]
        for each in resources
        if each["type"].endswith(":Foundation") and "account" in (each.get("inputs") or {})
    )
    provider = resource.get("provider", "").rpartition("::")[0]
    regions = (each["inputs"].get("region") for each in resources if each["urn"] == provider)
    region = next(regions, None)
    around = {"account": next(accounts, None), "region": region}
    around["partition"] = _partition(region or "")
    return {name: value for name, value in around.items() if value}
