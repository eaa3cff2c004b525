"""The rules of the rehearsed AWS: what it refuses, in the words of AWS, and what it allows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal.aws import codebuild, credentials, permissions, s3
from rehearsal.aws.policy_documents import check_policy
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.runtime import sigv4
from tests.unit.rehearsal.aws_account import Account, allow, trust

BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


@pytest.fixture
def account(live_context: Context) -> Account:
    return Account(live_context)


def test_a_request_that_no_policy_allows_is_refused_in_the_words_of_aws(account: Account) -> None:
    role = account.role("gateway", "lambda", allow("s3:PutObject", "arn:aws:s3:::lake/captures/*"))
    permissions.require(account.context, role, "s3:PutObject", "arn:aws:s3:::lake/captures/a.json")
    with pytest.raises(
        Refusal,
        match=r"AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/gateway-"
        r".* is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::lake/raw/a.json"
        " because no identity-based policy allows the s3:PutObject action",
    ):
        permissions.require(account.context, role, "s3:PutObject", "arn:aws:s3:::lake/raw/a.json")


def test_the_deployer_may_do_everything_and_an_unknown_key_nothing(account: Account) -> None:
    key = account.context.access_keys.deployer
    assert credentials.caller(account.context, key.id, sigv4.JSON) == (key, None)
    with pytest.raises(Refusal, match="UnrecognizedClientException"):
        credentials.caller(account.context, "AKIASOMEBODYELSE0000", sigv4.JSON)


def test_an_explicit_deny_outweighs_every_allow(account: Account) -> None:
    deny = {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::lake/secret/*"}
    role = account.role("reader", "lambda", allow("s3:GetObject", "*"), deny)
    permissions.require(account.context, role, "s3:GetObject", "arn:aws:s3:::lake/raw/a")
    with pytest.raises(Refusal, match="with an explicit deny"):
        permissions.require(account.context, role, "s3:GetObject", "arn:aws:s3:::lake/secret/a")


def test_a_condition_narrows_what_is_allowed(account: Account) -> None:
    statement = {
        **allow("s3:ListBucket", "arn:aws:s3:::lake"),
        "Condition": {"StringLike": {"s3:prefix": "models/*"}},
    }
    role = account.role("reader", "lambda", statement)

    def listing(prefix: str) -> None:
        context = {"s3:prefix": prefix}
        permissions.require(account.context, role, "s3:ListBucket", "arn:aws:s3:::lake", **context)

    listing("models/flight-delay")
    with pytest.raises(Refusal, match="s3:ListBucket"):
        listing("captures/")


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("{", "Expecting property name"),
        ("{}", "no Statement"),
        ({"Version": "2013-01-01", "Statement": [allow("s3:GetObject", "*")]}, "unknown Version"),
        ({"Statement": [allow("GetObject", "*")]}, "is written service:Action"),
        ({"Statement": [allow("s3:GetObject", "lake/*")]}, "must be in ARN format"),
        ({"Statement": [{"Effect": "Allow", "Action": "s3:GetObject"}]}, "must contain resources"),
        (
            {"Statement": [{**allow("s3:GetObject", "*"), "Principal": "*"}]},
            "not specify a principal",
        ),
        ({"Statement": [{**allow("s3:GetObject", "*"), "Effect": "allow"}]}, "not Allow or Deny"),
        ({"Note": "x", "Statement": [allow("s3:GetObject", "*")]}, "no element Note"),
        ({"Statement": [{**allow("s3:GetObject", "*"), "Note": "x"}]}, "no element Note"),
        ({"Statement": [{**allow("s3:Get", "*"), "NotAction": "s3:Put"}]}, "Action excludes"),
        ({"Statement": [{**allow("s3:Get", "*"), "NotResource": "*"}]}, "Resource excludes"),
        ({"Statement": [{**allow("s3:Get", "*"), "Sid": "a"}] * 2}, "must be unique"),
        (
            {"Statement": [{**allow("s3:Get", "*"), "Condition": {"StringAlmost": {"a:b": "c"}}}]},
            "Invalid Condition type : StringAlmost",
        ),
        ({"Statement": [{**allow("s3:Get", "*"), "Condition": "x"}]}, "is not an object"),
        (
            {"Statement": [{**allow("s3:Get", "*"), "Condition": {"DateEquals": {"a:b": "soon"}}}]},
            "is not a date",
        ),
        ({"Statement": [allow("s3:GetObject", "arn:mars:s3:::lake/*")]}, "Partition"),
        ({"Statement": [allow("s3:GetObject", "arn:aws:s3:eu-west-1::lake/*")]}, "region"),
    ],
)
def test_a_malformed_policy_is_refused_before_anything_is_built(policy: Any, reason: str) -> None:
    text = policy if isinstance(policy, str) else json.dumps(policy)
    with pytest.raises(CheckFailure, match=f"MalformedPolicyDocument.*{reason}"):
        check_policy(Inputs({"policy": text}), "policy")


@pytest.mark.parametrize(
    "changes",
    [
        {"Resource": "arn:aws:sqs"},
        {"Resource": "arn:aws:s3:eu-west-1:123456789012:accesspoint/lake"},
        {"Condition": {"ForAllValues:StringEqualsIfExists": {"aws:TagKeys": ["a"]}}},
        {"Condition": {"Null": {"aws:TokenIssueTime": "true"}}},
        {"Condition": {"DateLessThan": {"aws:CurrentTime": "2026-11-28T10:00:00Z"}}},
        {"Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::1:role/*"}}},
        {"Condition": {"NumericGreaterThanEquals": {"s3:max-keys": "10"}}},
    ],
)
def test_a_policy_that_iam_accepts_is_not_refused(changes: dict[str, Any]) -> None:
    policy = json.dumps({"Statement": [{**allow("s3:GetObject", "*"), **changes}]})
    check_policy(Inputs({"policy": policy}), "policy")


def test_a_trust_document_names_no_resource() -> None:
    document = json.loads(trust("lambda"))
    document["Statement"][0]["Resource"] = "*"
    with pytest.raises(CheckFailure, match="prohibited field Resource"):
        check_policy(Inputs({"policy": json.dumps(document)}), "policy", trust=True)


def test_iam_and_s3_have_codes_of_their_own_for_what_is_missing_or_exists(account: Account) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:GetObject", "*")]})
    with pytest.raises(Refusal, match="NoSuchEntity"):
        account.create(permissions.ROLE_POLICY, "one", role="missing", policy=policy)
    with pytest.raises(Refusal, match="NoSuchBucket"):
        account.create("aws:s3/bucketPolicy:BucketPolicy", "one", bucket="missing")
    account.create(permissions.POLICY, "own", name="own", policy=policy)
    with pytest.raises(Refusal, match="EntityAlreadyExists"):
        account.create(permissions.POLICY, "again", name="own", policy=policy)
    account.create(BUCKET, "lake", bucket="lake")
    with pytest.raises(Refusal, match="BucketAlreadyOwnedByYou"):
        account.create(BUCKET, "again", bucket="lake")


def test_a_policy_that_is_attached_exists(account: Account) -> None:
    role = account.role("reader", "lambda")
    own = account.create(
        permissions.POLICY, "own", policy=json.dumps({"Statement": [allow("s3:Get*", "*")]})
    )
    for arn in (own.outputs["arn"], "arn:aws:iam::aws:policy/ReadOnlyAccess"):
        account.create(permissions.ATTACHMENT, "one", role=role.id, policyArn=arn)
    permissions.require(account.context, role, "s3:GetObject", "arn:aws:s3:::lake/a")
    missing = "arn:aws:iam::123456789012:policy/missing"
    with pytest.raises(Refusal, match="NoSuchEntity"):
        account.create(permissions.ATTACHMENT, "two", role=role.id, policyArn=missing)


def test_a_policy_of_ones_own_has_at_most_6144_characters(account: Account) -> None:
    long = [allow("s3:GetObject", f"arn:aws:s3:::{'b' * 40}{number}/*") for number in range(60)]
    with pytest.raises(CheckFailure, match="LimitExceeded"):
        account.create(permissions.POLICY, "own", policy=json.dumps({"Statement": long}))


def test_the_inline_policies_of_a_role_have_at_most_10240_characters_together(
    account: Account,
) -> None:
    def policy(count: int) -> str:
        statements = [
            allow("s3:GetObject", f"arn:aws:s3:::{'b' * 40}{number}/*") for number in range(count)
        ]
        return json.dumps({"Statement": statements}, indent=8)

    role, other = account.role("reader", "lambda"), account.role("other", "lambda")

    def put(name: str, count: int, owner: Record = role) -> Record:
        return account.create(permissions.ROLE_POLICY, name, role=owner.id, policy=policy(count))

    first = put("first", 40)
    put("second", 40)
    refused = f"LimitExceeded: Maximum policy size of 10240 bytes exceeded for role {role.id}"
    with pytest.raises(Refusal, match=refused):
        put("third", 20)
    put("third", 1)
    put("first", 40, other)
    with pytest.raises(Refusal, match=refused):
        account.update(first, policy=policy(60))
    account.update(first, policy=policy(42))


def test_a_statement_of_a_function_is_for_an_alias_that_exists_and_has_its_own_id(
    account: Account,
) -> None:
    account.function("f", account.role("f", "lambda"), "def handler(event, context): return {}")
    statement = {
        "function": "f-1234567",
        "statementId": "one",
        "action": "lambda:InvokeFunction",
        "principal": "*",
    }
    permission = "aws:lambda/permission:Permission"
    account.create(permission, "one", **statement)
    with pytest.raises(Refusal, match="ResourceConflictException"):
        account.create(permission, "two", **statement)
    with pytest.raises(Refusal, match="ResourceNotFoundException"):
        account.create(permission, "three", **{**statement, "qualifier": "missing"})


def test_a_role_of_another_service_or_account_cannot_be_assumed(account: Account) -> None:
    role = account.role("build", "codebuild")
    assert permissions.role_for(account.context, role.outputs["arn"], "codebuild.amazonaws.com")
    assert (
        permissions.role_for(account.context, role.outputs["arn"], "lambda.amazonaws.com") is None
    )
    foreign = account.create(
        permissions.ROLE, "foreign", assumeRolePolicy=trust("lambda", account="999999999999")
    )
    assert (
        permissions.role_for(account.context, foreign.outputs["arn"], "lambda.amazonaws.com")
        is None
    )
    with pytest.raises(Refusal, match="cannot be assumed by Lambda"):
        account.function("gateway", role, "def handler(event, context): return {}")


def test_a_role_with_policies_is_not_deleted(account: Account) -> None:
    role = account.role("reader", "lambda", allow("s3:GetObject", "*"))
    with pytest.raises(Refusal, match="DeleteConflict"):
        account.lifecycle.delete(permissions.ROLE, role.id)


@pytest.mark.parametrize(
    "name",
    [
        "Lake",
        "la",
        "a" * 64,
        "lake_1",
        "192.168.0.1",
        "la..ke",
        "-lake",
        "xn--lake",
        "lake-s3alias",
    ],
)
def test_a_bucket_name_that_s3_does_not_allow_is_refused(account: Account, name: str) -> None:
    with pytest.raises(CheckFailure, match=r"is not a valid name|are allowed"):
        account.create(BUCKET, "lake", bucket=name)


def many(count: int) -> dict[str, str]:
    return {f"key-{number}": "" for number in range(count)}


@pytest.mark.parametrize(
    ("token", "taken", "refused", "reason"),
    [
        (OBJECT, many(10), many(11), "at most 10 tags are allowed, not 11"),
        (BUCKET, many(50), many(51), "at most 50 tags are allowed, not 51"),
        (BUCKET, {"k" * 128: "v" * 256}, {"k" * 129: ""}, "has 129 characters, above 128"),
        (codebuild.PROJECT, {"k" * 127: "v" * 255}, {"k" * 128: ""}, "128 characters, above 127"),
        (codebuild.PROJECT, {}, {"k": "v" * 256}, "256 characters, above 255"),
        (permissions.ROLE, {"team": ""}, {"team": "", "Team": ""}, "Tag keys are case insensitive"),
        (BUCKET, {"team": "", "Team": ""}, {"AWS:team": ""}, "begins with aws:"),
    ],
)
def test_tags_follow_the_limits_of_each_service(
    account: Account, token: str, taken: dict[str, str], refused: dict[str, str], reason: str
) -> None:
    rules = account.types[token]
    rules.check(account.context, Inputs({"tags": taken}))
    with pytest.raises(CheckFailure, match=reason):
        rules.check(account.context, Inputs({"tags": refused}))


def test_a_bucket_with_objects_is_deleted_only_with_force_destroy(account: Account) -> None:
    kept, destroyed = (
        account.create(BUCKET, name, forceDestroy=force)
        for name, force in (("a", False), ("b", True))
    )
    for bucket in (kept, destroyed):
        account.create(
            "aws:s3/bucketObjectv2:BucketObjectv2",
            f"in-{bucket.name}",
            bucket=bucket.id,
            key="k",
            content="x",
        )
    with pytest.raises(Refusal, match="BucketNotEmpty"):
        account.lifecycle.delete(BUCKET, kept.id)
    account.lifecycle.delete(BUCKET, destroyed.id)
    assert [each.id for each in account.context.all("aws:s3/bucketObjectv2:BucketObjectv2")] == [
        f"{kept.id}/k"
    ]


def test_deleting_an_object_deletes_all_versions_of_its_key_and_no_others(
    account: Account,
) -> None:
    """As the provider does, which lists by prefix. components/aws/delivery.py grants the permissions for it."""
    token = "aws:s3/bucketObjectv2:BucketObjectv2"
    bucket = account.create(BUCKET, "lake").id
    account.create(
        "aws:s3/bucketVersioning:BucketVersioning",
        "versioning",
        bucket=bucket,
        versioningConfiguration={"status": "Enabled"},
    )
    deleted, other = (
        account.create(token, key, bucket=bucket, key=f"builds/{key}", content="x")
        for key in ("former.zip", "former.zip.bak")
    )
    account.update(deleted, content="y")
    keys = [key for key, _ in s3._versions(account.context, bucket)]
    assert keys.count("builds/former.zip") == 2
    account.lifecycle.delete(token, deleted.id)
    assert {key for key, _ in s3._versions(account.context, bucket)} == {other.inputs["key"]}


def test_a_deleted_secret_keeps_its_name_for_the_recovery_window(account: Account) -> None:
    token = "aws:secretsmanager/secret:Secret"
    for days in (0, 30):
        secret = account.create(token, "key", name="key", recoveryWindowInDays=days)
        account.lifecycle.delete(token, secret.id)
    with pytest.raises(Refusal, match="already scheduled for deletion"):
        account.create(token, "key", name="key")


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        (
            {"serverlessConfig": {"memorySizeInMb": 2000, "maxConcurrency": 5}},
            "must be one of 1024, .*, not 2000",
        ),
        ({"serverlessConfig": {"memorySizeInMb": 2048, "maxConcurrency": 201}}, "not in 1 to 200"),
        ({"instanceType": "m5.large", "initialInstanceCount": 1}, "begin with ml."),
    ],
)
def test_a_variant_that_sagemaker_does_not_offer_is_refused(
    account: Account, variant: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CheckFailure, match=reason):
        account.create(
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
            "configuration",
            productionVariants=[{"modelName": "model", **variant}],
        )


def test_reserved_concurrency_leaves_a_hundred_for_the_rest_of_the_account(
    account: Account,
) -> None:
    role = account.role("gateway", "lambda")
    code = "def handler(event, context): return {}"
    account.function("small", role, code, reservedConcurrentExecutions=400)
    with pytest.raises(Refusal, match="UnreservedConcurrentExecution below its minimum"):
        account.function("large", role, code, reservedConcurrentExecutions=501)


def test_reserved_environment_variables_are_refused(account: Account) -> None:
    role = account.role("gateway", "lambda")
    environment = {"variables": {"AWS_REGION": "eu-west-1"}}
    with pytest.raises(CheckFailure, match=r"reserved keys .*AWS_REGION"):
        account.function("gateway", role, "", environment=environment)


def test_an_endpoint_that_does_not_exist_is_not_scaled(account: Account) -> None:
    with pytest.raises(Refusal, match="Endpoint missing or its variant does not exist"):
        account.create(
            "aws:appautoscaling/target:Target",
            "capacity",
            minCapacity=1,
            maxCapacity=2,
            resourceId="endpoint/missing/variant/live",
            scalableDimension="sagemaker:variant:DesiredInstanceCount",
            serviceNamespace="sagemaker",
        )
