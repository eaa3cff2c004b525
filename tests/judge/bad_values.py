"""Values that the clouds refuse, each put into a recorded plan. They show how sharp the judges of `make judge` are.

`MISSED_…` has values that the judge lets through: it is not sharper than this. The values were chosen from the
services' documents, not from the judges' schemas.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

LEAST = "as little as possible"
MORE = "on instances, with more of everything"
DELIVERED = "deployed by GitHub Actions"


class BadValue(NamedTuple):
    """One input with a value that the cloud refuses."""

    variant: str
    type: str
    path: str
    value: Any
    name: str = ""
    """A part of the resource's name, where the plan has several of the type."""


SCALING = "aws:appautoscaling/policy:Policy"
TARGET = "aws:appautoscaling/target:Target"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
BUILD = "aws:codebuild/project:Project"
IMAGES_LIFECYCLE = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
IMAGES = "aws:ecr/repository:Repository"
OIDC = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
ROLE = "aws:iam/role:Role"
GRANTS = "aws:iam/rolePolicy:RolePolicy"
KMS_KEY = "aws:kms/key:Key"
ALIAS = "aws:lambda/alias:Alias"
FUNCTION = "aws:lambda/function:Function"
URL = "aws:lambda/functionUrl:FunctionUrl"
PERMISSION = "aws:lambda/permission:Permission"
BUCKET = "aws:s3/bucket:Bucket"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
PUBLIC = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
MODEL = "aws:sagemaker/model:Model"
SECRET = "aws:secretsmanager/secret:Secret"  # a type

SERVERLESS = "productionVariants.0.serverlessConfig"
METRIC = (
    "targetTrackingScalingPolicyConfiguration.predefinedMetricSpecification.predefinedMetricType"
)
ROUTING = "deploymentConfig.blueGreenUpdatePolicy.trafficRoutingConfiguration.type"
SSE = "rules.0.applyServerSideEncryptionByDefault.sseAlgorithm"


def policy(**statement: Any) -> str:
    """A policy of one statement."""
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **statement}]}
    )


CAUGHT_BY_CFN_LINT = [
    BadValue(LEAST, FUNCTION, "runtime", "python9.9"),
    BadValue(LEAST, FUNCTION, "memorySize", 64),
    BadValue(LEAST, FUNCTION, "timeout", 901),
    BadValue(LEAST, FUNCTION, "architectures.0", "riscv"),
    BadValue(LEAST, FUNCTION, "role", "a-role"),
    BadValue(LEAST, FUNCTION, "loggingConfig.logFormat", "Yaml"),
    BadValue(LEAST, FUNCTION, "reservedConcurrentExecutions", -5),
    BadValue(LEAST, FUNCTION, "memmorySize", 512),
    BadValue(LEAST, FUNCTION, "environment.variables", {"1A": "x"}),
    BadValue(LEAST, FUNCTION, "environment.variables", {"AWS_REGION": "eu-west-1"}),
    BadValue(LEAST, URL, "authorizationType", "KEY"),
    BadValue(LEAST, PERMISSION, "action", "Invoke"),
    BadValue(LEAST, PERMISSION, "functionUrlAuthType", "KEY"),
    BadValue(LEAST, ALIAS, "functionVersion", "one"),
    BadValue(MORE, ALARM, "comparisonOperator", "Bigger"),
    BadValue(MORE, ALARM, "period", 45),
    BadValue(MORE, ALARM, "statistic", "Mean", "errors"),
    BadValue(MORE, ALARM, "treatMissingData", "fine"),
    BadValue(MORE, ALARM, "evaluationPeriods", 0),
    BadValue(MORE, ALARM, "extendedStatistic", "p99", "errors"),  # beside a statistic
    BadValue(LEAST, IMAGES, "imageTagMutability", "FROZEN"),
    BadValue(LEAST, IMAGES, "encryptionConfigurations.0.encryptionType", "ROT13"),
    BadValue(LEAST, IMAGES, "name", "Upper_Case"),
    BadValue(LEAST, IMAGES_LIFECYCLE, "policy", "{}"),
    BadValue(LEAST, BUILD, "buildTimeout", 3),
    BadValue(LEAST, BUILD, "buildTimeout", 5000),
    BadValue(LEAST, LIFECYCLE, "rules.0.status", "On"),
    BadValue(LEAST, LIFECYCLE, "rules.0.id", "x" * 256),
    BadValue(LEAST, LIFECYCLE, "rules.1.abortIncompleteMultipartUpload.daysAfterInitiation", -1),
    BadValue(LEAST, VERSIONING, "versioningConfiguration.status", "On"),
    BadValue(LEAST, ENCRYPTION, SSE, "AES512"),
    BadValue(LEAST, OWNERSHIP, "rule.objectOwnership", "Mine"),
    BadValue(LEAST, PUBLIC, "blockPublicAcls", "perhaps"),
    BadValue(LEAST, BUCKET, "name", "Upper_Case"),
    BadValue(LEAST, BUCKET_POLICY, "policy", policy(Action="s3:GetObject")),  # no principal
    BadValue(LEAST, LOGS, "retentionInDays", 31),
    BadValue(MORE, CONFIGURATION, "productionVariants.0.instanceType", "ml.z9.tiny"),
    BadValue(MORE, CONFIGURATION, "productionVariants.0.initialInstanceCount", -1),
    BadValue(LEAST, CONFIGURATION, f"{SERVERLESS}.maxConcurrency", 201),
    BadValue(MORE, ENDPOINT, ROUTING, "HALF"),
    BadValue(LEAST, ENDPOINT, "name", "under_score"),
    BadValue(LEAST, MODEL, "executionRoleArn", "a-role"),
    BadValue(LEAST, MODEL, "primaryContainer.modelDataUrl", "ftp://models/model.tar.gz"),
    BadValue(MORE, SCALING, "policyType", "Tracking"),
    BadValue(MORE, SCALING, METRIC, "Load"),
    BadValue(MORE, TARGET, "scalableDimension", "sagemaker:variant:Machines"),
    BadValue(MORE, TARGET, "serviceNamespace", "sage"),
    BadValue(LEAST, ROLE, "assumeRolePolicy", policy(Effect="Permit", Action="sts:AssumeRole")),
    BadValue(LEAST, GRANTS, "policy", policy(Action="s3:GetObjekt")),
    BadValue(LEAST, GRANTS, "policy", policy(Action="s3:GetObject", Effect="Permit")),
    BadValue(DELIVERED, ROLE, "maxSessionDuration", 900, "delivery"),
    BadValue(LEAST, SECRET, "description", "x" * 3000),
]
MISSED_BY_CFN_LINT = [
    BadValue(LEAST, FUNCTION, "memorySize", 20000),
    BadValue(LEAST, BUILD, "environment.computeType", "BUILD_GENERAL1_TINY"),
    BadValue(LEAST, BUILD, "environment.type", "LINUX"),
    BadValue(LEAST, BUILD, "artifacts.type", "NONE"),
    BadValue(LEAST, BUILD, "source.type", "S4"),
    BadValue(LEAST, BUILD, "logsConfig.cloudwatchLogs.status", "ON"),
    BadValue(LEAST, LIFECYCLE, "rules.0.expiration.days", 0),
    BadValue(LEAST, CONFIGURATION, f"{SERVERLESS}.memorySizeInMb", 2000),
    BadValue(MORE, TARGET, "maxCapacity", 1),  # below the smallest capacity
    BadValue(DELIVERED, OIDC, "url", "token"),
    BadValue(LEAST, SECRET, "recoveryWindowInDays", 3),  # not part of a template
]

REPOSITORY = "gcp:artifactregistry/repository:Repository"
SERVICE = "gcp:cloudrunv2/service:Service"
CUSTOM_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
ACCOUNT = "gcp:serviceaccount/account:Account"
GCP_SECRET = "gcp:secretmanager/secret:Secret"  # a type
GCP_BUCKET = "gcp:storage/bucket:Bucket"
AI_ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
POOL = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"
DYNAMIC = "pulumi-python:dynamic/triplane:"
CAUGHT_BY_DISCOVERY = [
    BadValue(LEAST, SERVICE, "ingress", "ALL"),
    BadValue(LEAST, SERVICE, "template.timeout", "soon"),
    BadValue(LEAST, SERVICE, "template.executionEnvironment", "GEN9"),
    BadValue(LEAST, SERVICE, "template.containers.0.imagge", "x"),
    BadValue(LEAST, SERVICE, "template.containers.0.livenessProbe.httpGet.port", "http"),
    BadValue(LEAST, SERVICE, "template.scaling.maxInstanceCount", "many"),
    BadValue(LEAST, SERVICE, "name", "ends-with-"),
    BadValue(LEAST, SERVICE, "uri", "https://mine"),
    BadValue(LEAST, REPOSITORY, "format", "PYTHN"),
    BadValue(LEAST, REPOSITORY, "mode", "MIRROR"),
    BadValue(LEAST, REPOSITORY, "cleanupPolicies.0.action", "HOLD"),
    BadValue(LEAST, REPOSITORY, "cleanupPolicies.0.condition.olderThan", "30 days"),
    BadValue(LEAST, GCP_BUCKET, "versioning.enabled", "yes"),
    BadValue(LEAST, GCP_BUCKET, "lifecycleRules.0.condition.withState", "ALVE"),
    BadValue(LEAST, GCP_BUCKET, "lifecycleRules.0.condition.age", "90 days"),
    BadValue(LEAST, GCP_BUCKET, "softDeletePolicy.retentionDurationSeconds", "a week"),
    BadValue(LEAST, CUSTOM_ROLE, "roleId", "a-role"),
    BadValue(LEAST, CUSTOM_ROLE, "stage", "BETTA"),
    BadValue(LEAST, ACCOUNT, "accountId", "x"),
    BadValue(LEAST, AI_ENDPOINT, "name", "0123"),
    BadValue(LEAST, AI_ENDPOINT, "displayName", None),
    BadValue(DELIVERED, POOL, "workloadIdentityPoolId", "gcp-mine"),
    BadValue(LEAST, f"{DYNAMIC}VertexModel", "labels", {"team": 1}),
    BadValue(LEAST, f"{DYNAMIC}VertexDeployment", "min_instances", "one"),
]
MISSED_BY_DISCOVERY = [
    BadValue(LEAST, GCP_BUCKET, "location", "MARS"),
    BadValue(LEAST, GCP_BUCKET, "storageClass", "HOT"),
    BadValue(LEAST, GCP_BUCKET, "publicAccessPrevention", "yes"),
    BadValue(LEAST, GCP_BUCKET, "lifecycleRules.0.action.type", "Remove"),
    BadValue(
        LEAST, GCP_BUCKET, "softDeletePolicy.retentionDurationSeconds", 60
    ),  # 7 to 90 days, or 0
    BadValue(LEAST, SERVICE, "template.containers.0.resources.limits", {"memory": "lots"}),
    BadValue(LEAST, SERVICE, "template.maxInstanceRequestConcurrency", 5000),
    BadValue(LEAST, REPOSITORY, "location", "europe-mars1"),
    BadValue(LEAST, GCP_SECRET, "labels", {"Upper": "case"}),
    BadValue(LEAST, f"{DYNAMIC}VertexDeployment", "machine", "n9-tiny-1"),
]
"""Google's documents state the allowed words and numbers of these as prose, or not at all. No test demands
that they pass: the models in `api_models/gcp.py` may become sharper; then move the value, and the number in the docs."""
