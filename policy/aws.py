"""How AWS's resources are checked for each rule. For permissions and trust: access/aws.py."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from api_models.resource import Plan, Resource
from policy import secrecy
from policy.access.aws import USERS, is_everybody, statements
from policy.checks import (
    Check,
    ProblemFinder,
    companions,
    missing_tags,
    requires,
    unpinned_image,
)
from policy.plain import strings
from policy.rules import (
    AUTHENTICATED,
    ENCRYPTED,
    IDENTITY,
    PINNED_IMAGE,
    PRIVATE,
    RETENTION,
    SECRETS,
    TAGGED,
    TLS,
    VERSIONED,
)

BUCKET = "aws:s3/bucket:Bucket"
BUCKET_ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
BUCKET_LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
BUCKET_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
PUBLIC_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
FUNCTION = "aws:lambda/function:Function"
IMAGE_LIFECYCLE = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
REPOSITORY = "aws:ecr/repository:Repository"

UNTAGGED = {
    "aws:appautoscaling/policy:Policy",
    IMAGE_LIFECYCLE,
    "aws:ecr/repositoryPolicy:RepositoryPolicy",
    "aws:iam/policyAttachment:PolicyAttachment",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:iam/userPolicy:UserPolicy",
    "aws:lambda/alias:Alias",
    "aws:lambda/functionUrl:FunctionUrl",
    "aws:lambda/permission:Permission",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:sqs/queuePolicy:QueuePolicy",
}
"""Types that have no tags; a test compares this with the SDK."""


def bucket_needs(type_: str, consequence: str) -> ProblemFinder:
    """A finder for buckets without a companion of this type."""

    def problems(bucket: Resource, plan: Plan) -> Iterator[str]:
        if not companions(bucket, plan, type_, "bucket"):
            yield f"{consequence}: the bucket has no {type_.rpartition(':')[2]}"

    return problems


def policy_for_everybody(resource: Resource, _plan: Plan) -> Iterator[str]:
    """A resource that has a policy of its own: a bucket, a repository, a secret, a key, a queue."""
    if resource.type.startswith("aws:iam/"):
        return  # the rule trusted-by-name examines whom a role trusts
    documents = [value for value in resource.inputs.values() if isinstance(value, Mapping)]
    texts = [text for _, text in strings(resource.inputs) if text.startswith("{")]
    for document in [*documents, *(text for text in texts if '"Statement"' in text)]:
        for statement in statements(document):
            if statement["Effect"] != "Allow":
                continue
            if "NotPrincipal" in statement:
                yield "a statement allows an action to everybody but some (NotPrincipal)"
            elif is_everybody(statement.get("Principal")):
                yield "a statement allows an action to everybody"


def open_url(url: Resource, plan: Plan) -> Iterator[str]:
    """A function URL without AWS's authentication, whose function checks no caller."""
    if url.inputs.get("authorizationType") != "NONE":
        return
    for function in plan:
        if function.type == FUNCTION and (
            url.inputs.get("functionName") in (function.id, function.get("name"))
        ):
            access = function.get("environment.variables.ACCESS")
            if access not in ("key", "public"):
                yield f"the URL is open, and ACCESS of its function is {access!r}: it checks no caller"
            return
    yield "the URL is open, and its function is not in this stack"


def invocation_by_everybody(permission: Resource, _plan: Plan) -> Iterator[str]:
    through_url = permission.get("invokedViaFunctionUrl") or permission.get("functionUrlAuthType")
    if permission.inputs.get("principal") == "*" and not through_url:
        yield "every AWS account may invoke the function; only its URL may be open"


def weak_bucket_encryption(encryption: Resource, _plan: Plan) -> Iterator[str]:
    for rule in encryption.inputs["rules"]:
        found = (rule.get("applyServerSideEncryptionByDefault") or {}).get("sseAlgorithm")
        if found not in ("AES256", "aws:kms", "aws:kms:dsse"):
            yield f"sseAlgorithm is {found!r}"


def unspecified_image_encryption(repository: Resource, _plan: Plan) -> Iterator[str]:
    if not repository.inputs.get("encryptionConfigurations"):
        yield "the encryption of images is not specified"


def accepts_clear_text(policy: Resource, _plan: Plan) -> Iterator[str]:
    """The policy must refuse clear text on the bucket and on everything in it, under no other condition: a further
    condition would accept some clear text."""
    # https://repost.aws/knowledge-center/s3-bucket-policy-for-config-rule
    bucket = f":{policy.inputs.get('bucket')}"
    for statement in statements(policy.inputs["policy"]):
        (operator, keys), *others = (statement.get("Condition") or {"": {}}).items()
        refused = {"aws:securetransport": "false"}
        if (
            statement["Effect"] == "Deny"
            and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
            and statement.get("Action") == ["s3:*"]
            and operator == "Bool"
            and {key.lower(): str(value).lower() for key, value in keys.items()} == refused
            and not others
            and all(
                any(each.endswith(part) for each in statement.get("Resource", []))
                for part in (bucket, f"{bucket}/*")
            )
        ):
            return
    yield "no statement denies requests without TLS (aws:SecureTransport) on the bucket and all in it"


def permanent_credentials(resource: Resource, _plan: Plan) -> Iterator[str]:
    yield f"no {resource.type.rpartition(':')[2]} is allowed: its credentials do not expire"


def unpinned_model_image(model: Resource, _plan: Plan) -> Iterator[str]:
    yield from unpinned_image(model.get("primaryContainer.image"))


def movable_tags(repository: Resource, _plan: Plan) -> Iterator[str]:
    if repository.inputs.get("imageTagMutability") != "IMMUTABLE":
        yield "tags can be moved: imageTagMutability must be IMMUTABLE"


def untagged(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in UNTAGGED:
        yield from missing_tags(resource.inputs.get("tags"))


def endless_logs(group: Resource, _plan: Plan) -> Iterator[str]:
    if not group.inputs.get("retentionInDays"):
        yield "retentionInDays is not set: logs are kept forever"


def endless_objects(lifecycle: Resource, _plan: Plan) -> Iterator[str]:
    enabled = [rule for rule in lifecycle.inputs["rules"] if rule.get("status") == "Enabled"]
    # Of the whole bucket: a rule for captures says nothing about the rest of the lake.
    whole = [rule for rule in enabled if not (rule.get("filter") or {}).get("prefix")]
    if not any(rule.get("noncurrentVersionExpiration") for rule in whole):
        yield "old versions are kept forever"
    if not any((rule.get("expiration") or {}).get("days") for rule in enabled):
        yield "captures are kept forever"


def endless_images(repository: Resource, plan: Plan) -> Iterator[str]:
    if not companions(repository, plan, IMAGE_LIFECYCLE, "repository"):
        yield "old images are kept forever: the repository has no LifecyclePolicy"


def expiring_images_in_use(lifecycle: Resource, _plan: Plan) -> Iterator[str]:
    for rule in json.loads(lifecycle.inputs["policy"])["rules"]:
        if rule["action"]["type"] == "expire" and rule["selection"]["tagStatus"] != "untagged":
            yield f"rule {rule['rulePriority']} deletes images with a tag, which may be in use"


def clear_variables(function: Resource, _plan: Plan) -> Iterator[str]:
    yield from secrecy.clear_credentials(function.get("environment.variables") or {})


def clear_build_variables(project: Resource, _plan: Plan) -> Iterator[str]:
    plain = {
        each["name"]: each["value"]
        for each in project.get("environment.environmentVariables") or []
        if each.get("type", "PLAINTEXT") == "PLAINTEXT"
    }
    yield from secrecy.clear_credentials(plain)


CHECKS = (
    Check(
        PRIVATE,
        (PUBLIC_ACCESS_BLOCK,),
        requires(
            blockPublicAcls=True,
            blockPublicPolicy=True,
            ignorePublicAcls=True,
            restrictPublicBuckets=True,
        ),
    ),
    # Then access control lists have no effect.
    Check(PRIVATE, (BUCKET_OWNERSHIP,), requires(rule__objectOwnership="BucketOwnerEnforced")),
    Check(PRIVATE, (BUCKET,), bucket_needs(PUBLIC_ACCESS_BLOCK, "it may be made public")),
    Check(PRIVATE, (BUCKET,), bucket_needs(BUCKET_OWNERSHIP, "it may be made public")),
    Check(PRIVATE, ("aws:*",), policy_for_everybody),
    Check(AUTHENTICATED, ("aws:lambda/functionUrl:FunctionUrl",), open_url),
    Check(AUTHENTICATED, ("aws:lambda/permission:Permission",), invocation_by_everybody),
    Check(ENCRYPTED, (BUCKET,), bucket_needs(BUCKET_ENCRYPTION, "its encryption is not specified")),
    Check(ENCRYPTED, (BUCKET_ENCRYPTION,), weak_bucket_encryption),
    Check(ENCRYPTED, (REPOSITORY,), unspecified_image_encryption),
    Check(TLS, (BUCKET,), bucket_needs(BUCKET_POLICY, "clear text is not refused")),
    Check(TLS, (BUCKET_POLICY,), accepts_clear_text),
    Check(IDENTITY, USERS, permanent_credentials),
    Check(PINNED_IMAGE, ("aws:sagemaker/model:Model",), unpinned_model_image),
    Check(PINNED_IMAGE, (REPOSITORY,), movable_tags),
    Check(TAGGED, ("aws:*",), untagged),
    Check(VERSIONED, (BUCKET,), bucket_needs(BUCKET_VERSIONING, "nothing can be restored")),
    Check(VERSIONED, (BUCKET_VERSIONING,), requires(versioningConfiguration__status="Enabled")),
    Check(RETENTION, ("aws:cloudwatch/logGroup:LogGroup",), endless_logs),
    Check(RETENTION, (BUCKET,), bucket_needs(BUCKET_LIFECYCLE, "everything is kept forever")),
    Check(RETENTION, (BUCKET_LIFECYCLE,), endless_objects),
    Check(RETENTION, (REPOSITORY,), endless_images),
    Check(RETENTION, (IMAGE_LIFECYCLE,), expiring_images_in_use),
    Check(SECRETS, (FUNCTION,), clear_variables),
    Check(SECRETS, ("aws:codebuild/project:Project",), clear_build_variables),
)
