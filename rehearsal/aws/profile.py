"""AWS as a whole: its resource types with rules, its functions, its routes and its clients' variables."""

from __future__ import annotations

from rehearsal.aws import (
    application_autoscaling,
    cloudwatch,
    codebuild,
    ecr,
    iam,
    lambda_functions,
    lambda_urls,
    policy_documents,
    s3,
    sagemaker,
    secrets_manager,
)
from rehearsal.aws.provider import PROVIDER
from rehearsal.aws.required_permissions import require_for_step
from rehearsal.aws.routes import routes
from rehearsal.aws.sts import DEPLOYER_ID
from rehearsal.core.records import Json
from rehearsal.provider.cloud_profile import CloudProfile, Invoke
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

RESOURCE_TYPES: tuple[type[ResourceType], ...] = (
    s3.Bucket,
    s3.BucketObject,
    s3.BucketPolicy,
    s3.Encryption,
    s3.Lifecycle,
    s3.OwnershipControls,
    s3.PublicAccessBlock,
    s3.Versioning,
    codebuild.Project,
    ecr.Repository,
    ecr.LifecyclePolicy,
    lambda_urls.FunctionUrl,
    lambda_functions.Function,
    lambda_functions.Alias,
    lambda_functions.Permission,
    iam.Role,
    iam.RolePolicy,
    iam.Policy,
    iam.RolePolicyAttachment,
    iam.OpenIdConnectProvider,
    cloudwatch.LogGroup,
    cloudwatch.MetricAlarm,
    application_autoscaling.ScalingTarget,
    application_autoscaling.ScalingPolicy,
    sagemaker.Model,
    sagemaker.EndpointConfiguration,
    sagemaker.Endpoint,
    secrets_manager.Secret,
    secrets_manager.SecretVersion,
)


def get_caller_identity(context: Context, arguments: Json, config: Json) -> Json:
    """The account and the user of the provider's settings."""
    account = context.account.aws_account_of(config)
    return {
        "accountId": account,
        "arn": f"arn:aws:iam::{account}:user/rehearsal",
        "id": account,
        "userId": DEPLOYER_ID,
    }


def get_region(context: Context, arguments: Json, config: Json) -> Json:
    """The region of the arguments, or of the provider's settings."""
    region = arguments.get("region") or config.get("region") or context.account.aws_region
    return {
        "id": region,
        "name": region,
        "region": region,
        "endpoint": f"ec2.{region}.amazonaws.com",
        "description": region,
    }


def get_partition(context: Context, arguments: Json, config: Json) -> Json:
    """The partition: always the public one."""
    return {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


def get_availability_zones(context: Context, arguments: Json, config: Json) -> Json:
    """Three zones in the region."""
    region = arguments.get("region") or config.get("region") or context.account.aws_region
    return {
        "id": region,
        "region": region,
        "names": [f"{region}{letter}" for letter in "abc"],
        "zoneIds": [f"{region}-az{number}" for number in (1, 2, 3)],
        "groupNames": [region],
    }


INVOKES: dict[str, Invoke] = {
    "aws:index/getCallerIdentity:getCallerIdentity": get_caller_identity,
    "aws:index/getRegion:getRegion": get_region,
    "aws:index/getPartition:getPartition": get_partition,
    "aws:index/getAvailabilityZones:getAvailabilityZones": get_availability_zones,
    "aws:iam/getPolicyDocument:getPolicyDocument": policy_documents.get_policy_document,
}


def environment(context: Context) -> dict[str, str]:
    """The variables by which AWS's own clients find the rehearsal.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    return {
        "AWS_ENDPOINT_URL": f"{context.base_url}/aws/",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{context.object_stores.port('s3')}",
        "AWS_ACCESS_KEY_ID": context.access_keys.deployer.id,
        "AWS_SECRET_ACCESS_KEY": context.access_keys.deployer.secret,
    }


PROFILE = CloudProfile(
    title="AWS",
    provider=PROVIDER,
    path="/aws",
    resource_types=RESOURCE_TYPES,
    invokes=INVOKES,
    require_for_step=require_for_step,
    routes=routes,
    environment=environment,
)
