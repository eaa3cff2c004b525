"""Insecure variants: for each check of each rule, a plan that breaks it and nothing else.

For permissions and trust: mutations_access.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from api_models.resource import Resource
from components.resource_type import DYNAMIC
from policy.plain import SECRET
from tests.policy import mutations_access
from tests.policy.changes import Change, Mutation, add, drop, edit, put

TAGS = mutations_access.TAGS

AUTHENTICATED = "authenticated-callers"

S3 = "aws:s3/bucket:Bucket"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
S3_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
S3_ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
S3_LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
S3_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
FUNCTION = "aws:lambda/function:Function"
PERMISSION = "aws:lambda/permission:Permission"
ECR = "aws:ecr/repository:Repository"
ECR_LIFECYCLE = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
BUILD = "aws:codebuild/project:Project"

GCS = "gcp:storage/bucket:Bucket"
RUN = "gcp:cloudrunv2/service:Service"
GAR = "gcp:artifactregistry/repository:Repository"

ACCOUNT = "azure-native:storage:StorageAccount"
BLOBS = "azure-native:storage:BlobServiceProperties"
AZURE_LIFECYCLE = "azure-native:storage:ManagementPolicy"
ACR = "azure-native:containerregistry:Registry"
APP = "azure-native:web:WebApp"
ML = "azure-native:machinelearningservices:"
VAULT = "azure-native:keyvault:Vault"
SETTING = [{"name": "ACCESS", "value": "key"}]

EVERYBODY_READS = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}


def with_statement(statement: dict[str, Any]) -> Change:
    """A bucket policy with one more statement."""

    def change(plan: list[Resource]) -> list[Resource]:
        policy = next(r for r in plan if r.type == S3_POLICY)
        document = json.loads(policy.inputs["policy"])
        document["Statement"].append(statement)
        return put(S3_POLICY, "policy", json.dumps(document))(plan)

    return change


def listed() -> Iterator[Mutation]:
    """All of them, cloud by cloud."""
    yield from aws_exposure()
    yield from aws_encryption()
    yield from aws_operation()
    yield from gcp_exposure()
    yield from gcp_operation()
    yield from azure_exposure()
    yield from azure_identity()
    yield from azure_operation()


def aws_exposure() -> Iterator[Mutation]:
    for switch in (
        "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets",
    ):  # fmt: skip
        yield Mutation("private", BLOCK, f"{switch} off", put(BLOCK, switch, False))
    yield Mutation("private", S3, "no public access block", drop(BLOCK))
    yield Mutation("private", S3, "no ownership controls", drop(OWNERSHIP))
    yield Mutation(
        "private", OWNERSHIP, "access control lists",
        put(OWNERSHIP, "rule.objectOwnership", "ObjectWriter"),
    )  # fmt: skip
    but_one = {**EVERYBODY_READS, "NotPrincipal": {"AWS": "arn:aws:iam::123456789012:root"}}
    del but_one["Principal"]
    for what, statement in (
        ("everybody reads", EVERYBODY_READS),
        ("every AWS account reads", {**EVERYBODY_READS, "Principal": {"AWS": ["*"]}}),
        ("everybody but one reads", but_one),
    ):
        yield Mutation("private", "aws:*", what, with_statement(statement))
    yield Mutation(
        "private", "aws:*", "everybody reads, by a policy that is not text",
        add("aws:sqs/queuePolicy:QueuePolicy", policy={"Statement": [EVERYBODY_READS]}),
    )  # fmt: skip
    pull = json.dumps({"Statement": {**EVERYBODY_READS, "Action": "ecr:BatchGetImage"}})
    yield Mutation(
        "private", "aws:*", "everybody pulls",
        add("aws:ecr/repositoryPolicy:RepositoryPolicy", policy=pull),
    )  # fmt: skip
    url = "aws:lambda/functionUrl:FunctionUrl"
    yield Mutation(
        AUTHENTICATED, url, "an open function that checks nobody",
        put(FUNCTION, "environment.variables.ACCESS", "anyone"),
    )  # fmt: skip
    yield Mutation(
        AUTHENTICATED, PERMISSION, "every account may invoke",
        put(PERMISSION, "invokedViaFunctionUrl", None, "may-invoke-by-url"),
    )  # fmt: skip


def aws_encryption() -> Iterator[Mutation]:
    yield Mutation("encrypted", S3, "encryption not specified", drop(S3_ENCRYPTION))
    yield Mutation(
        "encrypted", S3_ENCRYPTION, "no algorithm",
        put(S3_ENCRYPTION, "rules.0.applyServerSideEncryptionByDefault", {}),
    )  # fmt: skip
    yield Mutation(
        "encrypted", ECR, "image encryption not specified", put(ECR, "encryptionConfigurations", [])
    )
    yield Mutation("tls", S3, "no bucket policy", drop(S3_POLICY))
    for what, old, new in (
        ("clear text allowed", '"false"', '"true"'),
        ("clear text refused in one zone only", '/*"', '/captures/*"'),
        ("clear text refused on the bucket only", '/*"', '"'),
        ("clear text refused to one account", '"Principal": "*"', '"Principal": {"AWS": "1*"}'),
        ("clear text refused at one address", '"Condition": {', '"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.1"}, '),
    ):  # fmt: skip
        yield Mutation("tls", S3_POLICY, what, edit(S3_POLICY, "policy", old, new))


def aws_operation() -> Iterator[Mutation]:
    for credential in ("aws:iam/accessKey:AccessKey", "aws:iam/user:User"):
        yield Mutation("identity", credential, credential, add(credential, tags=TAGS))
    yield Mutation(
        "pinned-image", "aws:sagemaker/model:Model", "the model server by tag",
        put("aws:sagemaker/model:Model", "primaryContainer.image", "images:latest"),
    )  # fmt: skip
    yield Mutation("pinned-image", ECR, "movable tags", put(ECR, "imageTagMutability", "MUTABLE"))
    yield Mutation("tagged", "aws:*", "no tags", put(S3, "tags", {}))
    yield Mutation("tagged", "aws:*", "no stack tag", put(S3, "tags.stack", None))
    yield Mutation("versioned", S3, "no versions", drop(S3_VERSIONING))
    yield Mutation(
        "versioned", S3_VERSIONING, "versions suspended",
        put(S3_VERSIONING, "versioningConfiguration.status", "Suspended"),
    )  # fmt: skip
    log = "aws:cloudwatch/logGroup:LogGroup"
    yield Mutation("retention", log, "logs forever", put(log, "retentionInDays", 0))
    yield Mutation("retention", S3, "no lifecycle", drop(S3_LIFECYCLE))
    for index, what in enumerate(("captures", "old versions")):
        yield Mutation(
            "retention", S3_LIFECYCLE, f"{what} forever",
            put(S3_LIFECYCLE, f"rules.{index}.status", "Disabled"),
        )  # fmt: skip
    yield Mutation("retention", ECR, "images forever", drop(ECR_LIFECYCLE))
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 20}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    yield Mutation(
        "retention", ECR_LIFECYCLE, "images with a tag expire",
        put(ECR_LIFECYCLE, "policy", json.dumps({"rules": [rule]})),
    )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", "aws:*", "the key in a variable",
        put(FUNCTION, "environment.variables.GREETING", SECRET),
    )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", FUNCTION, "a password in a variable",
        put(FUNCTION, "environment.variables.DB_PASSWORD", "hunter2"),
    )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", BUILD, "a token in a build",
        put(BUILD, "environment.environmentVariables.0", {"name": "API_TOKEN", "value": "t"}),
    )  # fmt: skip


def gcp_exposure() -> Iterator[Mutation]:
    yield Mutation(
        "private", GCS, "may become public", put(GCS, "publicAccessPrevention", "inherited")
    )
    yield Mutation(
        "private", GCS, "access control lists", put(GCS, "uniformBucketLevelAccess", False)
    )
    for binding, role in mutations_access.BINDINGS.items():
        token = f"gcp:{binding}"
        yield Mutation(
            "private", token, f"{role} foreverybody",
            add(token, role=f"roles/{role}", member="allUsers"),
        )  # fmt: skip
    yield Mutation(
        AUTHENTICATED, RUN, "an open service that checks nobody",
        put(RUN, "template.containers.0.envs.0", {"name": "ACCESS", "value": "anyone"}),
    )  # fmt: skip
    yield Mutation(
        "identity", "gcp:serviceaccount/key:Key", "a key", add("gcp:serviceaccount/key:Key", labels=TAGS)
    )  # fmt: skip
    yield Mutation(
        "identity", RUN, "the default account", put(RUN, "template.serviceAccount", None)
    )
    yield Mutation(
        "identity", f"{DYNAMIC}VertexDeployment", "the model as an account of the project",
        put(f"{DYNAMIC}VertexDeployment", "service_account", "sa@triplane-dev.iam.gserviceaccount.com"),
    )  # fmt: skip
    yield Mutation(
        "pinned-image", RUN, "the gateway by tag", put(RUN, "template.containers.0.image", "platform:v1")
    )  # fmt: skip
    yield Mutation(
        "pinned-image", f"{DYNAMIC}VertexModel", "the model server by tag",
        put(f"{DYNAMIC}VertexModel", "image", "platform@sha256:0"),
    )  # fmt: skip
    yield Mutation(
        "pinned-image", GAR, "movable tags", put(GAR, "dockerConfig.immutableTags", False)
    )


def gcp_operation() -> Iterator[Mutation]:
    yield Mutation("tagged", "gcp:*", "no labels", put(RUN, "labels", None))
    yield Mutation("tagged", "gcp:*", "no stack label", put(RUN, "labels.stack", None))
    yield Mutation("versioned", GCS, "no versions", put(GCS, "versioning.enabled", False))
    for index, what in enumerate(("captures", "old versions")):
        yield Mutation(
            "retention", GCS, f"{what} forever",
            put(GCS, f"lifecycleRules.{index}.action.type", "SetStorageClass"),
        )  # fmt: skip
    yield Mutation("retention", GAR, "images forever", put(GAR, "cleanupPolicyDryRun", True))
    yield Mutation(
        "retention", GAR, "images with a tag are deleted",
        put(GAR, "cleanupPolicies.0.condition.tagState", "ANY"),
    )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", "gcp:*", "the key in an argument",
        put(RUN, "template.containers.0.args", [f"--key={SECRET}"]),
    )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", "pulumi-python:*", "the key in a name",
        put(f"{DYNAMIC}VertexModel", "display_name", SECRET),
    )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", RUN, "the key in clear text",
        put(RUN, "template.containers.0.envs.1", {"name": "API_KEY", "value": "k"}),
    )  # fmt: skip


def azure_exposure() -> Iterator[Mutation]:
    yield Mutation("private", ACCOUNT, "public blobs", put(ACCOUNT, "allowBlobPublicAccess", True))
    yield Mutation(
        "private", ACCOUNT, "copies to another tenant", put(ACCOUNT, "allowCrossTenantReplication", True)
    )  # fmt: skip
    container = "azure-native:storage:BlobContainer"
    yield Mutation(
        "private", container, "a public container", put(container, "publicAccess", "Blob")
    )
    yield Mutation("private", ACR, "everybody pulls", put(ACR, "anonymousPullEnabled", True))
    yield Mutation(
        AUTHENTICATED, APP, "an open app that checks nobody", put(APP, "siteConfig.appSettings", [])
    )
    yield Mutation(
        AUTHENTICATED, f"{ML}OnlineEndpoint", "an endpoint with a key",
        put(f"{ML}OnlineEndpoint", "properties.authMode", "Key"),
    )  # fmt: skip
    for path, value in (("enableHttpsTrafficOnly", False), ("minimumTlsVersion", "TLS1_0")):
        yield Mutation("tls", ACCOUNT, f"{path}={value}", put(ACCOUNT, path, value))
    for path, value in (
        ("httpsOnly", False),
        ("siteConfig.minTlsVersion", "1.0"),
        ("siteConfig.scmMinTlsVersion", "1.1"),
        ("siteConfig.ftpsState", "AllAllowed"),
    ):
        yield Mutation("tls", APP, f"{path}={value}", put(APP, path, value))


def azure_identity() -> Iterator[Mutation]:
    for type_, path, value in (
        (ACCOUNT, "allowSharedKeyAccess", True),
        (ACCOUNT, "isLocalUserEnabled", True),
        (ACR, "adminUserEnabled", True),
        (APP, "identity", {"type": "None"}),
        (APP, "siteConfig.acrUseManagedIdentityCreds", False),
        (f"{ML}Datastore", "properties.credentials.credentialsType", "AccountKey"),
        (f"{ML}Workspace", "systemDatastoresAuthMode", "AccessKey"),
        (f"{ML}Workspace", "identity.type", "SystemAssigned"),
        (f"{ML}OnlineEndpoint", "identity.type", "None"),
        (VAULT, "properties.enableRbacAuthorization", False),
    ):
        yield Mutation("identity", type_, f"{path} of {type_}", put(type_, path, value))
    yield Mutation(
        "pinned-image", f"{ML}EnvironmentVersion", "the model server by tag",
        put(f"{ML}EnvironmentVersion", "properties.image", "images.azurecr.io/triplane:v1"),
    )  # fmt: skip
    yield Mutation(
        "pinned-image", APP, "the gateway by tag",
        put(APP, "siteConfig.linuxFxVersion", "DOCKER|images.azurecr.io/triplane:v1"),
    )  # fmt: skip


def azure_operation() -> Iterator[Mutation]:
    yield Mutation("tagged", "azure-native:*", "one tag missing", put(APP, "tags.project", None))
    yield Mutation("tagged", "azure-native:*", "no stack tag", put(APP, "tags.stack", None))
    for path in (
        "isVersioningEnabled",
        "deleteRetentionPolicy.enabled",
        "containerDeleteRetentionPolicy.enabled",
    ):
        yield Mutation("versioned", BLOBS, f"{path} off", put(BLOBS, path, False))
    yield Mutation("versioned", ACCOUNT, "no blob service settings", drop(BLOBS))
    yield Mutation(
        "versioned", VAULT, "no soft delete", put(VAULT, "properties.enableSoftDelete", False)
    )
    logs = "azure-native:operationalinsights:Workspace"
    yield Mutation("retention", logs, "log retention not set", put(logs, "retentionInDays", None))
    yield Mutation("retention", ACCOUNT, "no lifecycle", drop(AZURE_LIFECYCLE))
    for index, what in enumerate(("old versions", "captures")):
        yield Mutation(
            "retention", AZURE_LIFECYCLE, f"{what} forever",
            put(AZURE_LIFECYCLE, f"policy.rules.{index}.definition.actions", {}),
        )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", "azure-native:*", "the key in a tag", put(ACR, "tags.note", SECRET)
    )
    yield Mutation(
        "secrets-by-reference", "azure-native:*", "the key in a secret's tag",
        put("azure-native:keyvault:Secret", "tags.note", SECRET),
    )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", APP, "the key in clear text",
        put(APP, "siteConfig.appSettings", [*SETTING, {"name": "API_KEY", "value": "k"}]),
    )  # fmt: skip


MUTATIONS = [*listed(), *mutations_access.listed()]
