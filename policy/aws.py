"""How AWS shows that the rules are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from policy import rules
from policy.record import SECRET, Plan, Resource, strings

BUCKET = "aws:s3/bucket:Bucket"

# Actions that AWS defines for no resource, so that "*" is the only one to write.
# https://docs.aws.amazon.com/service-authorization/latest/reference/
ANY_RESOURCE = {
    "ecr:GetAuthorizationToken": "a token for the whole registry; what it opens is granted elsewhere",
    "application-autoscaling:DescribeScalableTargets": "a list; what it shows is no secret",
    "application-autoscaling:DescribeScalingPolicies": "a list; what it shows is no secret",
    "cloudwatch:PutMetricData": "metrics are no resources; held by a condition on the namespace",
}
# The resource part of an ARN that means every resource of a service, or of a kind.
EVERY = re.compile(r"\*|(function|log-group|repository|role|secret|user)[:/]\*")
UNTAGGED = {
    "aws:appautoscaling/policy:Policy",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
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
}
"""Types that take no tags; a test holds this against the SDK."""


def statements(document: Any) -> list[dict[str, Any]]:
    """The statements of a policy document, with lists where AWS also takes one string."""
    found = json.loads(str(document)).get("Statement", [])
    listed = found if isinstance(found, list) else [found]
    return [
        {
            **each,
            **{
                key: value if isinstance(value, list) else [value]
                for key in ("Action", "NotAction", "Resource", "NotResource")
                if (value := each.get(key)) is not None
            },
        }
        for each in listed
    ]


def everybody(principal: Any) -> bool:
    """Whether a statement's principal is the whole world."""
    return principal == "*" or (isinstance(principal, dict) and "*" in str(principal.get("AWS")))


def every(arn: str) -> bool:
    """Whether an ARN stands for everything of a service, or of a kind."""
    return bool(EVERY.fullmatch(arn.split(":", 5)[-1]))


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


@rules.PRIVATE.on("aws:s3/bucketPolicy:BucketPolicy")
def _policy_for_nobody(policy: Resource, _plan: Plan) -> Iterator[str]:
    for statement in statements(policy.inputs["policy"]):
        if statement["Effect"] == "Allow" and everybody(statement.get("Principal")):
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
    for statement in statements(policy.inputs["policy"]):
        insecure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
        if (
            statement["Effect"] == "Deny"
            and everybody(statement.get("Principal"))
            and statement.get("Action") == ["s3:*"]
            and str(insecure).lower() == "false"
        ):
            return
    yield "no statement denies requests without TLS (aws:SecureTransport)"


@rules.IDENTITY.on("aws:iam/accessKey:AccessKey", "aws:iam/user:User")
def _no_users(resource: Resource, _plan: Plan) -> Iterator[str]:
    yield f"there must be none: {resource.type.rpartition(':')[2]}s have credentials that last"


@rules.PINNED_IMAGE.on("aws:sagemaker/model:Model")
def _model_image(model: Resource, _plan: Plan) -> Iterator[str]:
    yield from rules.pinned(model.get("primaryContainer.image"))


@rules.PINNED_IMAGE.on("aws:ecr/repository:Repository")
def _immutable(repository: Resource, _plan: Plan) -> Iterator[str]:
    if repository.inputs.get("imageTagMutability") != "IMMUTABLE":
        yield "tags can be moved: imageTagMutability must be IMMUTABLE"


@rules.LEAST_PRIVILEGE.on("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy")
def _narrow(policy: Resource, _plan: Plan) -> Iterator[str]:
    for statement in statements(policy.inputs["policy"]):
        if statement["Effect"] != "Allow":
            continue
        if "NotAction" in statement or "NotResource" in statement:
            yield "allows all but something (NotAction, NotResource)"
        actions = statement.get("Action", [])
        for action in actions:
            if "*" in action:
                yield f"allows the actions {action}"
        wide = [each for each in statement.get("Resource", []) if every(each)]
        unreasoned = sorted(set(actions) - set(ANY_RESOURCE))
        if wide and unreasoned:
            yield f"allows {', '.join(unreasoned)} on {', '.join(wide)}"


@rules.LEAST_PRIVILEGE.on("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
def _no_broad_managed_policy(attachment: Resource, _plan: Plan) -> Iterator[str]:
    name = str(attachment.inputs.get("policyArn")).rpartition("/")[2]
    if name.endswith(("FullAccess", "AdministratorAccess", "PowerUserAccess")):
        yield f"attaches {name}"


@rules.LEAST_PRIVILEGE.on("aws:iam/role:Role")
def _trusts_on_condition(role: Resource, _plan: Plan) -> Iterator[str]:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    for statement in statements(role.inputs["assumeRolePolicy"]):
        if everybody(statement.get("Principal")):
            yield "everybody may assume the role"
        if not statement.get("Condition"):
            yield "trusts without a condition: on behalf of any account"


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


@rules.SECRETS.on("aws:*")
def _no_secret_values(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type == "aws:secretsmanager/secretVersion:SecretVersion":
        return
    for path, text in strings(resource.inputs):
        if SECRET in text:
            yield f"{path} holds a secret"


@rules.SECRETS.on("aws:lambda/function:Function")
def _variables(function: Resource, _plan: Plan) -> Iterator[str]:
    yield from rules.clear(function.get("environment.variables") or {})


@rules.SECRETS.on("aws:codebuild/project:Project")
def _build_variables(project: Resource, _plan: Plan) -> Iterator[str]:
    plain = {
        each["name"]: each["value"]
        for each in project.get("environment.environmentVariables") or []
        if each.get("type", "PLAINTEXT") == "PLAINTEXT"
    }
    yield from rules.clear(plain)
