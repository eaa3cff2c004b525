"""pulumi-aws, bridged from Terraform's provider: how it behaves, as data with its source.

A file after ``TF`` is in https://github.com/hashicorp/terraform-provider-aws/tree/main/internal/service
"""

from __future__ import annotations

import hashlib
from typing import Any

from rehearsal.aws import permissions, s3
from rehearsal.core.account import Account
from rehearsal.core.records import Errors, Json, Record
from rehearsal.provider.bridged import BridgedProvider
from rehearsal.provider.context import Context

CHECK_DEFAULTS: dict[str, dict[str, Any]] = {
    # TF: iam/role.go
    permissions.ROLE: {"path": "/", "maxSessionDuration": 3600},
    # TF: lambda/function.go
    "aws:lambda/function:Function": {
        "memorySize": 128,
        "packageType": "Zip",
        "reservedConcurrentExecutions": -1,
        "timeout": 3,
    },
    # TF: lambda/function_url.go
    "aws:lambda/functionUrl:FunctionUrl": {"invokeMode": "BUFFERED"},
    # TF: ecr/repository.go
    "aws:ecr/repository:Repository": {
        "imageTagMutability": "MUTABLE",
        "encryptionConfigurations.encryptionType": "AES256",
    },
    # TF: codebuild/project.go
    "aws:codebuild/project:Project": {
        "buildTimeout": 60,
        "queuedTimeout": 480,
        "projectVisibility": "PRIVATE",
        "cache.type": "NO_CACHE",
        "environment.imagePullCredentialsType": "CODEBUILD",
        "environment.environmentVariables.type": "PLAINTEXT",
        "fileSystemLocations.type": "EFS",
        "logsConfig.cloudwatchLogs.status": "ENABLED",
        "logsConfig.s3Logs.status": "DISABLED",
    },
    # TF: cloudwatch/metric_alarm.go
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "actionsEnabled": True,
        "treatMissingData": "missing",
    },
    # TF: appautoscaling/policy.go
    "aws:appautoscaling/policy:Policy": {"policyType": "StepScaling"},
    # TF: sagemaker/model.go
    "aws:sagemaker/model:Model": {
        "containers.mode": "SingleModel",
        "primaryContainer.mode": "SingleModel",
    },
    # TF: sagemaker/endpoint_configuration.go
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": {
        "productionVariants.initialVariantWeight": 1,
        "shadowProductionVariants.initialVariantWeight": 1,
    },
    # TF: secretsmanager/secret.go
    "aws:secretsmanager/secret:Secret": {"recoveryWindowInDays": 30},
}


def canonical_user(account: Account) -> str:
    """The account's id in access control lists: 64 hexadecimal digits.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/finding-canonical-user-id.html
    """
    return hashlib.sha256(account.aws_account.encode()).hexdigest()


def bucket_outputs(context: Context, record: Record) -> Json:
    """What other resources have set on the bucket, and S3's own defaults.

    TF: s3/bucket.go (resourceBucketRead). Since 2023 S3 encrypts by itself:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption.html
    """

    def setting(kind: type[s3.BucketSetting]) -> Json:
        found = context.get(kind.token, record.id)
        return found.inputs if found else {}

    rules = setting(s3.Encryption).get("rules") or [{}]
    by_default = rules[0].get("applyServerSideEncryptionByDefault") or {"sseAlgorithm": "AES256"}
    status = (setting(s3.Versioning).get("versioningConfiguration") or {}).get("status")
    owner = {"type": "CanonicalUser", "permissions": ["FULL_CONTROL"], "uri": ""}
    return {
        "grants": [{**owner, "id": canonical_user(context.account)}],
        "lifecycleRules": [
            {"id": each.get("id", ""), "enabled": each.get("status") == "Enabled"}
            for each in setting(s3.Lifecycle).get("rules") or ()
        ],
        "policy": setting(s3.BucketPolicy).get("policy", ""),
        "requestPayer": "BucketOwner",
        "serverSideEncryptionConfiguration": {
            "rule": {
                "applyServerSideEncryptionByDefault": by_default,
                "bucketKeyEnabled": bool(rules[0].get("bucketKeyEnabled")),
            }
        },
        "versioning": {"enabled": status == "Enabled", "mfaDelete": False},
    }


def role_outputs(context: Context, record: Record) -> Json:
    """The role's policies. TF: iam/role.go (resourceRoleRead)"""

    def of_role(token: str) -> list[Record]:
        return [each for each in context.all(token) if each.inputs.get("role") == record.id]

    return {
        "inlinePolicies": [
            {"name": each.inputs["name"], "policy": each.inputs["policy"]}
            for each in of_role(permissions.ROLE_POLICY)
        ],
        "managedPolicyArns": sorted(
            each.inputs["policyArn"] for each in of_role(permissions.ATTACHMENT)
        ),
    }


def place(record: Record, account: Account) -> dict[str, str]:
    """The region."""
    region = record.inputs.get("region") or record.config.get("region")
    return {"region": region or account.aws_region}


class AwsProvider(BridgedProvider):
    """Its ids do not name the account."""

    def sees(self, account: Account, config: Json, record: Record) -> bool:
        return account.aws_account_of(config) == account.aws_account_of(record.config)


PROVIDER = AwsProvider(
    package="aws",
    errors=Errors(
        not_found=("ResourceNotFoundException", "{what} {id} does not exist"),
        taken="AlreadyExistsException",
        throttled=("ThrottlingException", "Rate exceeded"),
        unavailable=(
            "ServiceUnavailable",
            "StatusCode: 503, please reduce your request rate",
        ),
        # https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
        expired=("ExpiredToken", "The security token included in the request is expired"),
    ),
    places=frozenset({"region"}),
    place=place,
    # https://github.com/pulumi/pulumi-aws/blob/master/provider/resources.go
    autonamed={s3.BUCKET: "bucket"},
    check_defaults=CHECK_DEFAULTS,
    read_back={s3.BUCKET: bucket_outputs, permissions.ROLE: role_outputs},
    renewed={
        # TF: lambda/function.go: Lambda writes it when it updates the runtime of a function, too:
        # https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html (believed)
        "lastModified": "the function's last change, also by Lambda itself (believed)",
    },
)
