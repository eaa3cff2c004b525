"""Insecure variants: for each check of each rule, a plan that breaks it and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from policy.record import SECRET, Plan, Resource

Change = Callable[[list[Resource]], list[Resource]]


@dataclass(frozen=True)
class Mutation:
    """One thing made insecure."""

    rule: str
    type: str
    """The type whose check must see it."""
    what: str
    change: Change

    @property
    def cloud(self) -> str:
        package = self.type.partition(":")[0]
        return {"azure-native": "azure", "pulumi-python": "gcp"}.get(package, package)

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def put(type_: str, path: str, value: Any, name: str = "") -> Change:
    """Write an input of one resource of a type; steps into lists by number."""

    def change(plan: list[Resource]) -> list[Resource]:
        index = next(i for i, r in enumerate(plan) if r.type == type_ and name in r.name)
        inputs = copy.deepcopy(dict(plan[index].inputs))
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        inner: Any = inputs
        for step in way:
            inner = inner[step] if isinstance(step, int) else inner.setdefault(step, {})
        inner[last] = value
        return [*plan[:index], replace(plan[index], inputs=inputs), *plan[index + 1 :]]

    return change


def drop(type_: str) -> Change:
    """Leave out every resource of a type."""
    return lambda plan: [each for each in plan if each.type != type_]


def add(type_: str, **inputs: Any) -> Change:
    """One more resource."""
    return lambda plan: [*plan, Resource(type_, "added", "added", inputs)]


def edit(type_: str, path: str, old: str, new: str, name: str = "") -> Change:
    """Replace a part of a text."""

    def change(plan: list[Resource]) -> list[Resource]:
        found = next(r for r in plan if r.type == type_ and name in r.name)
        assert old in found.get(path), f"{old} is not in {path} of {found.name}"
        return put(type_, path, found.get(path).replace(old, new), name)(plan)

    return change


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
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ROLE = "aws:iam/role:Role"
BUILD = "aws:codebuild/project:Project"

GCS = "gcp:storage/bucket:Bucket"
RUN = "gcp:cloudrunv2/service:Service"
GAR = "gcp:artifactregistry/repository:Repository"
CUSTOM_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
DYNAMIC = "pulumi-python:dynamic/triplane:"

ACCOUNT = "azure-native:storage:StorageAccount"
BLOBS = "azure-native:storage:BlobServiceProperties"
AZURE_LIFECYCLE = "azure-native:storage:ManagementPolicy"
ACR = "azure-native:containerregistry:Registry"
APP = "azure-native:web:WebApp"
ML = "azure-native:machinelearningservices:"
ASSIGNMENT = "azure-native:authorization:RoleAssignment"
DEFINITION = "azure-native:authorization:RoleDefinition"
VAULT = "azure-native:keyvault:Vault"
OWNER = "/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
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
    yield Mutation("private", S3_POLICY, "everybody reads", with_statement(EVERYBODY_READS))
    url = "aws:lambda/functionUrl:FunctionUrl"
    yield Mutation(
        "one-door", url, "an open function that checks nobody",
        put(FUNCTION, "environment.variables.ACCESS", "anyone"),
    )  # fmt: skip
    yield Mutation(
        "one-door", PERMISSION, "every account may invoke",
        put(PERMISSION, "invokedViaFunctionUrl", None, "may-invoke-by-url"),
    )  # fmt: skip
    yield Mutation("encrypted", S3, "no encryption said", drop(S3_ENCRYPTION))
    yield Mutation(
        "encrypted", S3_ENCRYPTION, "no algorithm",
        put(S3_ENCRYPTION, "rules.0.applyServerSideEncryptionByDefault", {}),
    )  # fmt: skip
    yield Mutation(
        "encrypted", ECR, "images as they come", put(ECR, "encryptionConfigurations", [])
    )
    yield Mutation("tls", S3, "no bucket policy", drop(S3_POLICY))
    yield Mutation(
        "tls", S3_POLICY, "clear text allowed", edit(S3_POLICY, "policy", '"false"', '"true"')
    )
    for credential in ("aws:iam/accessKey:AccessKey", "aws:iam/user:User"):
        tags = {"project": "triplane", "environment": "dev", "managed-by": "pulumi"}
        yield Mutation("identity", credential, credential, add(credential, tags=tags))
    yield Mutation(
        "pinned-image", "aws:sagemaker/model:Model", "the model server by tag",
        put("aws:sagemaker/model:Model", "primaryContainer.image", "images:latest"),
    )  # fmt: skip
    yield Mutation("pinned-image", ECR, "tags that move", put(ECR, "imageTagMutability", "MUTABLE"))
    for what, old, new in (
        ("every action", "s3:PutObject", "s3:*"),
        ("every resource", '"Action": ["s3:PutObject"], "Resource": ["', '"Action": ["s3:PutObject"], "Resource": ["*", "'),
        ("all but one action", '"Action": ["s3:PutObject"]', '"NotAction": ["iam:CreateUser"]'),
    ):  # fmt: skip
        yield Mutation(
            "least-privilege", ROLE_POLICY, what,
            edit(ROLE_POLICY, "policy", old, new, "gateway-grants"),
        )  # fmt: skip
    yield Mutation(
        "least-privilege", "aws:iam/policy:Policy", "a policy that allows everything",
        add("aws:iam/policy:Policy", tags=tags, policy=json.dumps(
            {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})),
    )  # fmt: skip
    attachment = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    yield Mutation(
        "least-privilege", attachment, "AWS's administrator",
        add(attachment, policyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
    )  # fmt: skip
    yield Mutation(
        "least-privilege", ROLE, "any account's builds", edit(ROLE, "assumeRolePolicy", '"Condition"', '"Sid"')
    )  # fmt: skip
    yield Mutation("tagged", "aws:*", "no tags", put(S3, "tags", {}))
    yield Mutation("versioned", S3, "no versions", drop(S3_VERSIONING))
    yield Mutation(
        "versioned", S3_VERSIONING, "versions suspended",
        put(S3_VERSIONING, "versioningConfiguration.status", "Suspended"),
    )  # fmt: skip
    log = "aws:cloudwatch/logGroup:LogGroup"
    yield Mutation("retention", log, "logs for ever", put(log, "retentionInDays", 0))
    yield Mutation("retention", S3, "no lifecycle", drop(S3_LIFECYCLE))
    for index, what in enumerate(("captures", "old versions")):
        yield Mutation(
            "retention", S3_LIFECYCLE, f"{what} for ever",
            put(S3_LIFECYCLE, f"rules.{index}.status", "Disabled"),
        )  # fmt: skip
    yield Mutation(
        "retention", ECR, "images for ever", drop("aws:ecr/lifecyclePolicy:LifecyclePolicy")
    )
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

    yield Mutation(
        "private", GCS, "may become public", put(GCS, "publicAccessPrevention", "inherited")
    )
    yield Mutation(
        "private", GCS, "access control lists", put(GCS, "uniformBucketLevelAccess", False)
    )
    for binding, role in {
        "artifactregistry/repositoryIamMember:RepositoryIamMember": "artifactregistry.reader",
        "cloudrunv2/serviceIamMember:ServiceIamMember": "run.invoker",
        "projects/iAMMember:IAMMember": "logging.logWriter",
        "secretmanager/secretIamMember:SecretIamMember": "secretmanager.secretAccessor",
        "serviceaccount/iAMMember:IAMMember": "iam.serviceAccountUser",
        "storage/bucketIAMMember:BucketIAMMember": "storage.objectViewer",
        "vertex/aiEndpointIamMember:AiEndpointIamMember": "aiplatform.user",
    }.items():
        token = f"gcp:{binding}"
        yield Mutation(
            "private", token, f"{role} for everybody",
            add(token, role=f"roles/{role}", member="allUsers"),
        )  # fmt: skip
        yield Mutation(
            "least-privilege", token, f"editor on {binding}",
            add(token, role="roles/editor", member="serviceAccount:x"),
        )  # fmt: skip
    project = "gcp:projects/iAMMember:IAMMember"
    yield Mutation(
        "least-privilege", project, "every bucket of the project",
        add(project, role="roles/storage.objectViewer", member="serviceAccount:x"),
    )  # fmt: skip
    yield Mutation(
        "one-door", RUN, "an open service that checks nobody",
        put(RUN, "template.containers.0.envs.0", {"name": "ACCESS", "value": "anyone"}),
    )  # fmt: skip
    yield Mutation(
        "identity", "gcp:serviceaccount/key:Key", "a key", add("gcp:serviceaccount/key:Key", labels=tags)
    )  # fmt: skip
    yield Mutation(
        "identity", RUN, "the default account", put(RUN, "template.serviceAccount", None)
    )
    yield Mutation(
        "identity", f"{DYNAMIC}VertexDeployment", "the model as the default account",
        put(f"{DYNAMIC}VertexDeployment", "service_account", None),
    )  # fmt: skip
    yield Mutation(
        "pinned-image", RUN, "the gateway by tag", put(RUN, "template.containers.0.image", "platform:v1")
    )  # fmt: skip
    yield Mutation(
        "pinned-image", f"{DYNAMIC}VertexModel", "the model server by tag",
        put(f"{DYNAMIC}VertexModel", "image", "platform@sha256:0"),
    )  # fmt: skip
    yield Mutation(
        "pinned-image", GAR, "tags that move", put(GAR, "dockerConfig.immutableTags", False)
    )
    yield Mutation(
        "least-privilege", CUSTOM_ROLE, "a role that gives roles",
        put(CUSTOM_ROLE, "permissions", ["resourcemanager.projects.setIamPolicy"]),
    )  # fmt: skip
    yield Mutation("tagged", "gcp:*", "no labels", put(RUN, "labels", None))
    yield Mutation("versioned", GCS, "no versions", put(GCS, "versioning.enabled", False))
    for index, what in enumerate(("captures", "old versions")):
        yield Mutation(
            "retention", GCS, f"{what} for ever",
            put(GCS, f"lifecycleRules.{index}.action.type", "SetStorageClass"),
        )  # fmt: skip
    yield Mutation("retention", GAR, "images for ever", put(GAR, "cleanupPolicyDryRun", True))
    yield Mutation(
        "secrets-by-reference", "gcp:*", "the key in an argument",
        put(RUN, "template.containers.0.args", [f"--key={SECRET}"]),
    )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", RUN, "the key in clear",
        put(RUN, "template.containers.0.envs.1", {"name": "API_KEY", "value": "k"}),
    )  # fmt: skip

    yield Mutation("private", ACCOUNT, "public blobs", put(ACCOUNT, "allowBlobPublicAccess", True))
    yield Mutation(
        "private", ACCOUNT, "copies to another tenant", put(ACCOUNT, "allowCrossTenantReplication", True)
    )  # fmt: skip
    container = "azure-native:storage:BlobContainer"
    yield Mutation(
        "private", container, "a public container", put(container, "publicAccess", "Blob")
    )
    yield Mutation("private", ACR, "anybody pulls", put(ACR, "anonymousPullEnabled", True))
    yield Mutation(
        "one-door", APP, "an open app that checks nobody", put(APP, "siteConfig.appSettings", [])
    )
    yield Mutation(
        "one-door", f"{ML}OnlineEndpoint", "an endpoint with a key",
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
    yield Mutation(
        "least-privilege", ASSIGNMENT, "an owner", put(ASSIGNMENT, "roleDefinitionId", OWNER)
    )
    yield Mutation(
        "least-privilege", ASSIGNMENT, "a role on the subscription",
        put(ASSIGNMENT, "scope", "/subscriptions/11111111-2222-4333-8444-555555555555"),
    )  # fmt: skip
    yield Mutation(
        "least-privilege", DEFINITION, "a role for everything",
        put(DEFINITION, "permissions", [{"actions": ["*"]}]),
    )  # fmt: skip
    yield Mutation("tagged", "azure-native:*", "one tag missing", put(APP, "tags.project", None))
    for path in (
        "isVersioningEnabled",
        "deleteRetentionPolicy.enabled",
        "containerDeleteRetentionPolicy.enabled",
    ):
        yield Mutation("versioned", BLOBS, f"{path} off", put(BLOBS, path, False))
    yield Mutation("versioned", ACCOUNT, "no blob service settings", drop(BLOBS))
    yield Mutation(
        "versioned", VAULT, "deleted is deleted", put(VAULT, "properties.enableSoftDelete", False)
    )
    logs = "azure-native:operationalinsights:Workspace"
    yield Mutation("retention", logs, "logs as it comes", put(logs, "retentionInDays", None))
    yield Mutation("retention", ACCOUNT, "no lifecycle", drop(AZURE_LIFECYCLE))
    for index, what in enumerate(("old versions", "captures")):
        yield Mutation(
            "retention", AZURE_LIFECYCLE, f"{what} for ever",
            put(AZURE_LIFECYCLE, f"policy.rules.{index}.definition.actions", {}),
        )  # fmt: skip
    yield Mutation(
        "secrets-by-reference", "azure-native:*", "the key in a tag", put(ACR, "tags.note", SECRET)
    )
    yield Mutation(
        "secrets-by-reference", APP, "the key in clear",
        put(APP, "siteConfig.appSettings", [*SETTING, {"name": "API_KEY", "value": "k"}]),
    )  # fmt: skip


MUTATIONS = list(listed())


def mutated(plan: Plan, mutation: Mutation) -> list[Resource]:
    """The plan made insecure; the one that was recorded stays as it is."""
    return mutation.change(list(plan))
