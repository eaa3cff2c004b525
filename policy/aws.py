"""How AWS shows that the rules are kept; who may do what there, and whom it trusts: access/aws.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy import rules, secrecy
from policy.access.aws import USERS, everybody, statements
from policy.record import Plan, Resource, strings

BUCKET = "aws:s3/bucket:Bucket"

UNTAGGED = {
    "aws:appautoscaling/policy:Policy",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy",
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
"""Types that take no tags; a test holds this against the SDK."""


def required(type_: str, what: str, resource: Resource, plan: Plan) -> Iterator[str]:
    """A complaint when a bucket has no such companion."""
    if not rules.companions(resource, plan, type_, "bucket"):
        yield f"{what}: the bucket has no {type_.rpartition(':')[2]}"


rules.PRIVATE.expects(
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    blockPublicAcls=True,
    blockPublicPolicy=True,
    ignorePublicAcls=True,
    restrictPublicBuckets=True,
)
rules.PRIVATE.expects(
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    rule__objectOwnership="BucketOwnerEnforced",  # access control lists have no effect
)


@rules.PRIVATE.on(BUCKET)
def _closed(bucket: Resource, plan: Plan) -> Iterator[str]:
    for type_ in (
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    ):
        yield from required(type_, "it may be opened", bucket, plan)


@rules.PRIVATE.on("aws:*")
def _policy_for_nobody(resource: Resource, _plan: Plan) -> Iterator[str]:
    """Whatever has a policy of its own: a bucket, a repository, a secret, a key, a queue."""
    if resource.type.startswith("aws:iam/"):
        return  # whom a role trusts is for rule trusted-by-name
    written = [value for value in resource.inputs.values() if isinstance(value, Mapping)]
    texts = [text for _, text in strings(resource.inputs) if text.startswith("{")]
    for document in [*written, *(text for text in texts if '"Statement"' in text)]:
        for statement in statements(document):
            if statement["Effect"] != "Allow":
                continue
            if "NotPrincipal" in statement:
                yield "a statement allows something to everybody but some (NotPrincipal)"
            elif everybody(statement.get("Principal")):
                yield "a statement allows something to everybody"


@rules.ONE_DOOR.on("aws:lambda/functionUrl:FunctionUrl")
def _url(url: Resource, plan: Plan) -> Iterator[str]:
    if url.inputs.get("authorizationType") != "NONE":
        return
    for function in plan:
        if function.type == "aws:lambda/function:Function" and (
            url.inputs.get("functionName") in (function.id, function.get("name"))
        ):
            access = function.get("environment.variables.ACCESS")
            if access in ("key", "public"):
                return
            yield f"the URL is open, and ACCESS of its function is {access!r}: it checks no caller"
            return
    yield "the URL is open, and its function is not in this stack"


@rules.ONE_DOOR.on("aws:lambda/permission:Permission")
def _by_url_only(permission: Resource, _plan: Plan) -> Iterator[str]:
    through_url = permission.get("invokedViaFunctionUrl") or permission.get("functionUrlAuthType")
    if permission.inputs.get("principal") == "*" and not through_url:
        yield "every AWS account may invoke the function; only its URL is a door"


@rules.ENCRYPTED.on(BUCKET)
def _bucket_encrypted(bucket: Resource, plan: Plan) -> Iterator[str]:
    type_ = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    yield from required(type_, "how it is encrypted is left open", bucket, plan)


@rules.ENCRYPTED.on(
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
def _algorithm(encryption: Resource, _plan: Plan) -> Iterator[str]:
    for rule in encryption.inputs["rules"]:
        found = (rule.get("applyServerSideEncryptionByDefault") or {}).get("sseAlgorithm")
        if found not in ("AES256", "aws:kms", "aws:kms:dsse"):
            yield f"sseAlgorithm is {found!r}"


@rules.ENCRYPTED.on("aws:ecr/repository:Repository")
def _images_encrypted(repository: Resource, _plan: Plan) -> Iterator[str]:
    if not repository.inputs.get("encryptionConfigurations"):
        yield "how images are encrypted is left open"


@rules.TLS.on(BUCKET)
def _bucket_tls(bucket: Resource, plan: Plan) -> Iterator[str]:
    yield from required(
        "aws:s3/bucketPolicy:BucketPolicy", "clear text is not refused", bucket, plan
    )


@rules.TLS.on("aws:s3/bucketPolicy:BucketPolicy")
def _refuses_clear_text(policy: Resource, _plan: Plan) -> Iterator[str]:
    """On the bucket and on everything in it, and under no other condition, which would let some through."""
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


@rules.IDENTITY.on(*USERS)
def _no_users(resource: Resource, _plan: Plan) -> Iterator[str]:
    yield f"there must be none: {resource.type.rpartition(':')[2]}s have credentials that last"


@rules.PINNED_IMAGE.on("aws:sagemaker/model:Model")
def _model_image(model: Resource, _plan: Plan) -> Iterator[str]:
    yield from rules.pinned(model.get("primaryContainer.image"))


@rules.PINNED_IMAGE.on("aws:ecr/repository:Repository")
def _immutable(repository: Resource, _plan: Plan) -> Iterator[str]:
    if repository.inputs.get("imageTagMutability") != "IMMUTABLE":
        yield "tags can be moved: imageTagMutability must be IMMUTABLE"


@rules.TAGGED.on("aws:*")
def _tags(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in UNTAGGED:
        yield from rules.tagged(resource, resource.inputs.get("tags"))


@rules.VERSIONED.on(BUCKET)
def _bucket_versioned(bucket: Resource, plan: Plan) -> Iterator[str]:
    yield from required(
        "aws:s3/bucketVersioning:BucketVersioning", "nothing can be brought back", bucket, plan
    )


rules.VERSIONED.expects(
    "aws:s3/bucketVersioning:BucketVersioning", versioningConfiguration__status="Enabled"
)


@rules.RETENTION.on("aws:cloudwatch/logGroup:LogGroup")
def _logs_end(group: Resource, _plan: Plan) -> Iterator[str]:
    if not group.inputs.get("retentionInDays"):
        yield "retentionInDays is not set: logs are kept for ever"


@rules.RETENTION.on(BUCKET)
def _bucket_lifecycle(bucket: Resource, plan: Plan) -> Iterator[str]:
    type_ = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    yield from required(type_, "nothing ever ends", bucket, plan)


@rules.RETENTION.on("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
def _ends(lifecycle: Resource, _plan: Plan) -> Iterator[str]:
    enabled = [rule for rule in lifecycle.inputs["rules"] if rule.get("status") == "Enabled"]
    if not any(rule.get("noncurrentVersionExpiration") for rule in enabled):
        yield "old versions are kept for ever"
    if not any((rule.get("expiration") or {}).get("days") for rule in enabled):
        yield "captures are kept for ever"


@rules.RETENTION.on("aws:ecr/repository:Repository")
def _images_end(repository: Resource, plan: Plan) -> Iterator[str]:
    type_ = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
    if not rules.companions(repository, plan, type_, "repository"):
        yield "old images are kept for ever: the repository has no LifecyclePolicy"


@rules.SECRETS.on("aws:lambda/function:Function")
def _variables(function: Resource, _plan: Plan) -> Iterator[str]:
    yield from secrecy.clear(function.get("environment.variables") or {})


@rules.SECRETS.on("aws:codebuild/project:Project")
def _build_variables(project: Resource, _plan: Plan) -> Iterator[str]:
    plain = {
        each["name"]: each["value"]
        for each in project.get("environment.environmentVariables") or []
        if each.get("type", "PLAINTEXT") == "PLAINTEXT"
    }
    yield from secrecy.clear(plain)
