"""What AWS's APIs answer about a resource that exists, and how they refuse one that does not.

Shapes are judged by botocore's models (`known_shapes`), names of outputs by the SDK (`known_names`); the tests hold what the
answers say. Each table has the page that states it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from rehearsal.aws import codebuild, lambda_functions, lambda_urls, s3
from rehearsal.aws.profile import INVOKES
from rehearsal.core.assets import ASSET, SIGNATURE
from rehearsal.core.records import CheckFailure, Json, Record, Refusal
from rehearsal.provider.context import Context
from tests.unit.rehearsal.archives import archive
from tests.unit.rehearsal.aws_account import REGION, Account, allow

ACCOUNT = "123456789012"
BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
SECRET = "aws:secretsmanager/secret:Secret"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
TARGET = "aws:appautoscaling/target:Target"


@pytest.fixture
def account(live_context: Context) -> Account:
    return Account(live_context)


# https://www.pulumi.com/registry/packages/aws/api-docs/#functions
@pytest.mark.parametrize(
    ("function", "arguments", "config", "expected"),
    [
        (
            "getCallerIdentity:getCallerIdentity",
            {},
            {},
            {"accountId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:user/rehearsal", "id": ACCOUNT},
        ),
        ("getRegion:getRegion", {}, {"region": "eu-north-1"}, {"region": "eu-north-1"}),
        (
            "getRegion:getRegion",
            {"region": "us-east-1"},
            {"region": "eu-north-1"},
            {
                "id": "us-east-1",
                "name": "us-east-1",
                "region": "us-east-1",
                "endpoint": "ec2.us-east-1.amazonaws.com",
            },
        ),
        (
            "getPartition:getPartition",
            {},
            {},
            {"partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"},
        ),
        (
            "getAvailabilityZones:getAvailabilityZones",
            {},
            {"region": REGION},
            {
                "names": [f"{REGION}a", f"{REGION}b", f"{REGION}c"],
                "zoneIds": [f"{REGION}-az1", f"{REGION}-az2", f"{REGION}-az3"],
                "groupNames": [REGION],
                "id": REGION,
                "region": REGION,
            },
        ),
    ],
)
def test_a_function_of_the_provider_answers_for_the_region_of_its_arguments_or_else_its_settings(
    live_context: Context, function: str, arguments: Json, config: Json, expected: Json
) -> None:
    answer = INVOKES[f"aws:index/{function}"](live_context, arguments, config)
    assert {name: answer.get(name) for name in expected} == expected
    if function.startswith(("getRegion", "getAvailability")):
        usual = INVOKES[f"aws:index/{function}"](live_context, {}, {})
        assert usual["id"] == live_context.account.aws_region


def refused(answer: tuple[int, Json]) -> tuple[int, str]:
    return answer[0], answer[1]["__type"]


def test_a_secret_is_described_with_the_stage_of_its_newest_version_only(account: Account) -> None:
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    secret = account.create(SECRET, "key")
    describe = "secretsmanager.DescribeSecret"
    name = secret.inputs["name"]
    assert account.call(describe, {"SecretId": name})[1] == {
        "ARN": secret.id,
        "Name": name,
        "VersionIdsToStages": {},
    }
    first, second = (
        account.create(SECRET_VERSION, value, secretId=secret.id, secretString=value)
        for value in ("first", "second")
    )
    stages = {first.outputs["versionId"]: [], second.outputs["versionId"]: ["AWSCURRENT"]}
    assert account.call(describe, {"SecretId": secret.id})[1]["VersionIdsToStages"] == stages
    other = account.create(SECRET, "other")
    assert account.call(describe, {"SecretId": other.id})[1]["VersionIdsToStages"] == {}
    assert refused(account.call(describe, {"SecretId": "no"})) == (404, "ResourceNotFoundException")
    assert refused(account.call(describe, {})) == (400, "ValidationException")
    nobody = account.role("nobody", "lambda")
    denied = account.call(describe, {"SecretId": secret.id}, nobody)
    assert refused(denied) == (403, "AccessDeniedException")


def test_the_value_of_a_secret_is_that_of_its_stage_and_says_which(account: Account) -> None:
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    secret = account.create(SECRET, "key")
    get = "secretsmanager.GetSecretValue"
    nothing = account.call(get, {"SecretId": secret.id})
    assert refused(nothing) == (404, "ResourceNotFoundException")
    first = account.create(SECRET_VERSION, "a", secretId=secret.id, secretString="first")
    account.create(SECRET_VERSION, "b", secretId=secret.id, secretBinary="c2Vjb25k")
    _, newest = account.call(get, {"SecretId": secret.id})
    assert newest["VersionStages"] == ["AWSCURRENT"]
    assert newest["SecretBinary"] == "c2Vjb25k"
    assert "SecretString" not in newest
    _, former = account.call(get, {"SecretId": secret.id, "VersionId": first.outputs["versionId"]})
    assert former["VersionStages"] == ["AWSPREVIOUS"]
    assert (former["ARN"], former["Name"]) == (secret.id, secret.inputs["name"])
    assert former["VersionId"] == first.outputs["versionId"]
    assert refused(account.call(get, {"SecretId": "no"})) == (404, "ResourceNotFoundException")


@pytest.mark.parametrize(("days", "is_kept"), [(None, True), (7, True), (0, False)])
def test_a_deleted_secret_keeps_its_name_for_its_recovery_window(
    account: Account, days: int | None, is_kept: bool
) -> None:
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_delete-secret.html
    inputs = {} if days is None else {"recoveryWindowInDays": days}
    secret = account.create(SECRET, "key", name="key", **inputs)
    account.lifecycle.delete(SECRET, secret.id)
    if is_kept:
        with pytest.raises(Refusal, match="already scheduled for deletion: key") as refusal:
            account.create(SECRET, "again", name="key")
        assert refusal.value.code == "InvalidRequestException"
    else:
        assert account.create(SECRET, "again", name="key").id != secret.id


@pytest.mark.parametrize("days", [6, 31, 1])
def test_a_recovery_window_is_none_or_7_to_30_days(account: Account, days: int) -> None:
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
    with pytest.raises(CheckFailure, match="recoveryWindowInDays"):
        account.create(SECRET, "key", recoveryWindowInDays=days)


def test_a_value_of_a_secret_has_65536_bytes_at_most(account: Account) -> None:
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
    secret = account.create(SECRET, "key")
    account.create(SECRET_VERSION, "fits", secretId=secret.id, secretString="é" * 32_768)
    with pytest.raises(CheckFailure, match="65536"):
        account.create(SECRET_VERSION, "long", secretId=secret.id, secretString="é" * 32_768 + "x")


def scaled(account: Account, **inputs: Any) -> Record:
    """A target of a table: Application Auto Scaling takes any service's resource."""
    return account.create(
        TARGET,
        "target",
        **{
            "minCapacity": 1,
            "maxCapacity": 4,
            "resourceId": "table/flights",
            "scalableDimension": "dynamodb:table:ReadCapacityUnits",
            "serviceNamespace": "dynamodb",
            **inputs,
        },
    )


def test_a_scalable_target_is_described_and_deregistered_with_its_policies(
    account: Account,
) -> None:
    # https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DescribeScalableTargets.html
    target = scaled(account)
    policy = account.create(
        "aws:appautoscaling/policy:Policy",
        "policy",
        name="policy",
        resourceId=target.id,
        scalableDimension="dynamodb:table:ReadCapacityUnits",
        serviceNamespace="dynamodb",
        policyType="TargetTrackingScaling",
    )
    describe = "AnyScaleFrontendService.DescribeScalableTargets"
    body: Json = {"ServiceNamespace": "dynamodb"}
    (found,) = account.call(describe, body)[1]["ScalableTargets"]
    assert found.pop("CreationTime") == target.created
    assert found == {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/flights",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "MinCapacity": 1,
        "MaxCapacity": 4,
        "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role",
    }
    assert account.call(describe, {**body, "ResourceIds": ["table/flights"]})[1]["ScalableTargets"]
    other = account.call(describe, {**body, "ResourceIds": ["table/other"]})
    assert other[1] == {"ScalableTargets": []}
    assert target.outputs["arn"].startswith(
        f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/"
    )
    assert len(target.outputs["arn"].rpartition("/")[2]) == 34
    gone = "AnyScaleFrontendService.DeregisterScalableTarget"
    named = {
        **body,
        "ResourceId": "table/flights",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
    }
    nobody = account.role("nobody", "lambda")
    assert refused(account.call(gone, named, nobody)) == (403, "AccessDeniedException")
    assert account.call(gone, named) == (200, {})
    assert account.context.get(TARGET, target.id) is None
    assert account.context.get(policy.token, policy.id) is None
    assert refused(account.call(gone, named)) == (400, "ObjectNotFoundException")
    assert account.call(describe, body)[1] == {"ScalableTargets": []}


def test_a_target_scales_between_its_limits_and_one_of_sagemaker_needs_its_endpoint(
    account: Account,
) -> None:
    with pytest.raises(CheckFailure, match="it is below minCapacity"):
        scaled(account, minCapacity=5)
    scaled(account, minCapacity=4, resourceId="table/other")
    with pytest.raises(Refusal, match="Endpoint nothing or its variant does not exist") as refusal:
        scaled(account, resourceId="endpoint/nothing/variant/live")
    assert refusal.value.code == "ValidationException"


def test_quotas_are_listed_in_pages_by_their_service(account: Account) -> None:
    # https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
    quotas = "ServiceQuotasV20190624.ListServiceQuotas"
    (only,) = account.call(quotas, {"ServiceCode": "lambda"})[1]["Quotas"]
    allowed = account.context.behaviour.quotas
    assert only == {
        "ServiceCode": "lambda",
        "QuotaName": "Concurrent executions",
        "Value": float(allowed.lambda_executions),
        "Adjustable": True,
    }
    (builds,) = account.call(quotas, {"ServiceCode": "codebuild"})[1]["Quotas"]
    assert builds["QuotaName"] == "Concurrently running builds for Linux/Small environment"
    assert builds["Value"] == float(allowed.codebuild_builds)
    names: list[str] = []
    token: Json = {}
    for size in (50, 3, 3):
        body = {"ServiceCode": "sagemaker", "MaxResults": size, **token}
        _, answer = account.call(quotas, body)
        assert len(answer["Quotas"]) <= size
        names += [each["QuotaName"] for each in answer["Quotas"]]
        token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else {}
    everything = account.call(quotas, {"ServiceCode": "sagemaker"})[1]
    assert "NextToken" not in everything
    listed = {each["QuotaName"]: each["Value"] for each in everything["Quotas"]}
    assert names == list(listed)[: len(names)]
    assert listed["ml.m5.large for endpoint usage"] == float(allowed.sagemaker_instances)
    serverless = "Maximum total concurrency that can be shared across all serverless endpoints"
    assert listed[serverless] == float(allowed.sagemaker_serverless)
    assert refused(account.call(quotas, {"ServiceCode": "x"})) == (400, "NoSuchResourceException")


def test_an_account_has_its_regions_and_what_its_functions_leave(account: Account) -> None:
    # https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
    role = account.role("gateway", "lambda")
    account.function("gateway", role, "handler = print", reservedConcurrentExecutions=5)
    auth = account.signed("lambda")
    settings = account.http.get("/aws/2016-08-19/account-settings/", auth=auth).json()
    total = account.context.behaviour.quotas.lambda_executions
    assert settings["AccountLimit"] == {
        "ConcurrentExecutions": total,
        "UnreservedConcurrentExecutions": total - 5,
        "TotalCodeSize": 80530636800,
        "CodeSizeUnzipped": 262144000,
        "CodeSizeZipped": 52428800,
    }
    assert settings["AccountUsage"] == {"TotalCodeSize": 0, "FunctionCount": 1}
    # https://docs.aws.amazon.com/accounts/latest/reference/API_ListRegions.html
    regions = account.http.post("/aws/listRegions", json={}, auth=account.signed("account")).json()
    states = {each["RegionName"]: each["RegionOptStatus"] for each in regions["Regions"]}
    assert states["eu-west-1"] == "ENABLED_BY_DEFAULT"
    assert {"us-east-1", "ap-southeast-2", "sa-east-1"} <= states.keys()
    nobody = account.signed("account", role)
    assert account.http.post("/aws/listRegions", json={}, auth=nobody).status_code == 403
    denied = account.http.get(
        "/aws/2016-08-19/account-settings/", auth=account.signed("lambda", role)
    )
    assert denied.status_code == 403


def invoked(account: Account, name: str, body: Any = None, caller: Record | None = None) -> Any:
    auth = account.signed("lambda", caller)
    path = f"/aws/2015-03-31/functions/{name}/invocations"
    return account.http.post(path, content=json.dumps(body), auth=auth)


CODE = """
def handler(event, context):
    if event == "fail":
        raise ValueError("no")
    return [event, %d]
"""


def test_a_function_is_invoked_by_name_arn_and_qualifier_with_the_permission(
    account: Account,
) -> None:
    # https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
    role = account.role("gateway", "lambda")
    function = account.function("gateway", role, CODE % 1)
    account.create(
        lambda_functions.ALIAS,
        "live",
        name="live",
        functionName=function.id,
        functionVersion="1",
    )
    account.update(function, code=archive({"main.py": CODE % 2}))
    latest = invoked(account, function.id, {"a": 1})
    assert (latest.status_code, latest.json()) == (200, [{"a": 1}, 2])
    assert latest.headers["x-amz-executed-version"] == "$LATEST"
    for name in (f"{function.id}:live", f"{function.outputs['arn']}:live"):
        assert invoked(account, name, 1).json() == [1, 1]
    auth = account.signed("lambda")
    path = f"/aws/2015-03-31/functions/{function.id}/invocations?Qualifier=live"
    assert account.http.post(path, content=b"2", auth=auth).json() == [2, 1]
    failed = invoked(account, function.id, "fail")
    assert (failed.status_code, failed.headers["x-amz-function-error"]) == (200, "Unhandled")
    assert failed.json()["errorType"] == "ValueError"
    assert failed.json()["errorMessage"] == "no"
    missing = invoked(account, "nothing", {})
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:nothing:$LATEST"
    assert missing.status_code == 404
    assert missing.json()["Message"] == f"Function not found: {arn}"
    assert missing.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    odd = account.http.post(
        f"/aws/2015-03-31/functions/{function.id}/invocations", content=b"{", auth=auth
    )
    assert odd.headers["x-amzn-errortype"] == "InvalidRequestContentException"
    assert odd.status_code == 400
    own = function.outputs["arn"]
    may = account.role("caller", "lambda", allow("lambda:InvokeFunction", own))
    assert invoked(account, function.id, 1, may).status_code == 200
    assert invoked(account, function.id, 1, role).status_code == 403


def test_a_deleted_function_and_alias_do_not_run_and_leave_no_code(account: Account) -> None:
    role = account.role("gateway", "lambda")
    function = account.function("gateway", role, CODE % 1)
    other = account.function("other", role, CODE % 3)
    alias = account.create(
        lambda_functions.ALIAS,
        "live",
        name="live",
        functionName=function.id,
        functionVersion="1",
    )
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.id}"
    assert alias.id == alias.outputs["arn"] == f"{arn}:live"
    assert alias.outputs["invokeArn"] == (
        f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}:live/invocations"
    )
    account.lifecycle.delete(alias.token, alias.id)
    assert invoked(account, f"{function.id}:live", 1).status_code == 404
    assert invoked(account, function.id, 1).status_code == 200
    account.lifecycle.delete(function.token, function.id)
    assert invoked(account, function.id, 1).status_code == 404
    assert invoked(account, other.id, 1).json() == [1, 3]
    assert len(list((account.context.state_dir / "lambda").glob("*.zip"))) == 1
    versions = account.context.kv.items(lambda_functions.VERSIONS)
    assert set(versions) == {f"{other.id}:1", f"{other.id}:$LATEST"}


def test_a_function_has_the_outputs_of_its_published_code(account: Account) -> None:
    # https://www.pulumi.com/registry/packages/aws/api-docs/lambda/function/#outputs
    role = account.role("gateway", "lambda")
    function = account.function("gateway", role, CODE % 1)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.id}"
    invoke = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions"
    outputs = function.outputs
    assert outputs["arn"] == arn
    assert outputs["invokeArn"] == f"{invoke}/{arn}/invocations"
    assert (outputs["version"], outputs["qualifiedArn"]) == ("1", f"{arn}:1")
    assert outputs["qualifiedInvokeArn"] == f"{invoke}/{arn}:1/invocations"
    assert outputs["codeSha256"] == outputs["sourceCodeHash"]
    assert outputs["sourceCodeSize"] > 100
    changed = account.update(function, environment={"variables": {"A": "1"}})
    assert changed.outputs["version"] == "2"
    assert changed.outputs["codeSha256"] == outputs["codeSha256"]
    unpublished = account.update(changed, publish=False, timeout=9)
    assert unpublished.outputs["version"] == "2"


@pytest.mark.parametrize(
    ("inputs", "property"),
    [
        ({"memorySize": 127}, "memorySize"),
        ({"memorySize": 10_241}, "memorySize"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 901}, "timeout"),
        ({"reservedConcurrentExecutions": -2}, "reservedConcurrentExecutions"),
        ({"environment": {"variables": {"AWS_REGION": "x"}}}, "environment"),
        ({"environment": {"variables": {"LAMBDA_TASK_ROOT": "x"}}}, "environment"),
        ({"environment": {"variables": {"A": "é" * 2048}}}, "environment"),
    ],
)
def test_a_functions_settings_have_lambdas_limits(
    account: Account, inputs: Json, property: str
) -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    role = account.role("gateway", "lambda")
    with pytest.raises(CheckFailure) as failure:
        account.function("gateway", role, CODE % 1, **inputs)
    assert failure.value.property == property


def test_a_function_at_lambdas_limits_is_taken(account: Account) -> None:
    role = account.role("gateway", "lambda")
    for number, inputs in enumerate(
        (
            {"memorySize": 128, "timeout": 1},
            {"memorySize": 10_240, "timeout": 900},
            {"environment": {"variables": {"A": "é" * 2047 + "x"}}},
        )
    ):
        account.function(f"gateway{number}", role, CODE % 1, **inputs)
    least = account.context.behaviour.quotas.lambda_unreserved
    total = account.context.behaviour.quotas.lambda_executions
    account.function("most", role, CODE % 1, reservedConcurrentExecutions=total - least)
    with pytest.raises(Refusal, match="below its minimum value") as refusal:
        account.function("one-more", role, CODE % 1, reservedConcurrentExecutions=1)
    assert refusal.value.code == "InvalidParameterValueException"
    account.function("none", role, CODE % 1, reservedConcurrentExecutions=0)


def test_a_statement_is_for_what_exists_and_has_an_id_of_its_own(account: Account) -> None:
    # https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
    function = account.function("gateway", account.role("gateway", "lambda"), CODE % 1)
    inputs: Json = {
        "function": function.id,
        "principal": "*",
        "action": "lambda:InvokeFunction",
        "statementId": "all",
    }
    made = account.create(lambda_functions.PERMISSION, "all", **inputs)
    assert (made.id, made.outputs["statementId"]) == ("all", "all")
    with pytest.raises(Refusal, match=r"The statement id \(all\) provided already exists") as taken:
        account.create(lambda_functions.PERMISSION, "again", **inputs)
    assert taken.value.code == "ResourceConflictException"
    with pytest.raises(Refusal, match="Function not found: gateway-1234567:live") as missing:
        account.create(lambda_functions.PERMISSION, "alias", **inputs, qualifier="live")
    assert missing.value.code == "ResourceNotFoundException"
    for qualifier in ("1", "$LATEST"):
        account.create(lambda_functions.PERMISSION, qualifier, **inputs, qualifier=qualifier)
    unnamed = {name: value for name, value in inputs.items() if name != "statementId"}
    assert account.create(lambda_functions.PERMISSION, "own", **unnamed).id.startswith("pulumi-")


def objects(account: Account, bucket: str, *keys: str) -> list[Record]:
    return [
        account.create(OBJECT, key, bucket=bucket, key=key, content=f"content of {key}")
        for key in keys
    ]


def test_an_object_has_the_outputs_of_its_content_and_is_read_as_it_is(account: Account) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    bucket = account.create(BUCKET, "lake")
    assert bucket.outputs["arn"] == f"arn:aws:s3:::{bucket.id}"
    assert bucket.outputs["bucketDomainName"] == f"{bucket.id}.s3.amazonaws.com"
    regional = f"{bucket.id}.s3.{REGION}.amazonaws.com"
    assert bucket.outputs["bucketRegionalDomainName"] == regional
    (made,) = objects(account, bucket.id, "a.txt")
    assert made.id == f"{bucket.id}/a.txt"
    assert made.outputs["arn"] == f"arn:aws:s3:::{bucket.id}/a.txt"
    assert made.outputs["contentType"] == "application/octet-stream"
    assert made.outputs["versionId"] == "null"
    # The MD5 and SHA-256 of the content, https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    assert made.outputs["etag"] == hashlib.md5(b"content of a.txt").hexdigest()
    digest = hashlib.sha256(b"content of a.txt").digest()
    assert made.outputs["checksumSha256"] == base64.b64encode(digest).decode()
    assert account.lifecycle.read(OBJECT, made.id) == made
    former = made.outputs["etag"]
    s3.send(account.context, "PUT", bucket.id, "a.txt", body=b"other")
    read = account.lifecycle.read(OBJECT, made.id)
    assert read
    assert read.outputs["etag"] not in ("", former)
    changed = account.update(made, content="new", contentType="text/plain")
    assert changed.outputs["contentType"] == "text/plain"
    assert s3.read_object(account.context, f"s3://{bucket.id}/a.txt") == b"new"
    assert s3.object_exists(account.context, f"s3://{bucket.id}/a.txt")
    s3.send(account.context, "DELETE", bucket.id, "a.txt")
    assert account.lifecycle.read(OBJECT, made.id) is None
    assert not s3.object_exists(account.context, f"s3://{bucket.id}/a.txt")
    assert not s3.object_exists(account.context, f"s3://{bucket.id}/")


@pytest.mark.parametrize(
    ("uri", "code"), [("{}/none", "NoSuchKey"), ("nothing-here/none", "NoSuchBucket")]
)
def test_an_object_that_is_not_there_is_refused_in_s3s_words(
    account: Account, uri: str, code: str
) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    bucket = account.create(BUCKET, "lake")
    with pytest.raises(Refusal, match=r"The specified (key|bucket) does not exist: s3://") as found:
        s3.read_object(account.context, f"s3://{uri.format(bucket.id)}")
    assert found.value.code == code
    role = account.role("reader", "lambda")
    with pytest.raises(Refusal) as denied:
        s3.read_object(account.context, f"s3://{bucket.id}/x", role)
    assert denied.value.code == "AccessDeniedException"


def test_a_deleted_object_takes_all_its_versions_along_and_no_other_key(account: Account) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html
    bucket = account.create(BUCKET, "lake")
    versioning = account.create(
        "aws:s3/bucketVersioning:BucketVersioning",
        "versioning",
        bucket=bucket.id,
        versioningConfiguration={"status": "Enabled"},
    )
    assert versioning.id == bucket.id
    first, _ = objects(account, bucket.id, "a", "ab")
    second = account.update(first, content="other")
    assert first.outputs["versionId"] not in ("null", second.outputs["versionId"])
    account.lifecycle.delete(OBJECT, first.id)
    left = list(s3._versions(account.context, bucket.id))
    assert [key for key, _ in left] == ["ab"]
    account.update(versioning, versioningConfiguration={"status": "Suspended"})
    (plain,) = objects(account, bucket.id, "c")
    assert plain.outputs["versionId"] == "null"
    with pytest.raises(Refusal, match="holds 2 object versions") as refusal:
        account.lifecycle.delete(BUCKET, bucket.id)
    assert refusal.value.code == "BucketNotEmpty"
    forced = account.update(bucket, forceDestroy=True)
    account.lifecycle.delete(BUCKET, forced.id)
    assert account.lifecycle.read(BUCKET, bucket.id) is None
    assert account.context.all(OBJECT) == []
    assert list(s3._versions(account.context, bucket.id)) == []


@pytest.mark.parametrize(
    ("token", "inputs", "property"),
    [
        (OBJECT, {"key": "é" * 512 + "x", "content": "x"}, "key"),
        (OBJECT, {"key": "k", "content": "x", "contentBase64": "eA=="}, "source"),
        (
            OBJECT,
            {"key": "k", "content": "x", "source": {SIGNATURE: ASSET, "text": "y"}},
            "source",
        ),
        (OBJECT, {"key": "k", "content": "x", "tags": {str(n): "" for n in range(11)}}, "tags"),
        (
            s3.Lifecycle.token,
            {"rules": [{"id": "a", "status": "Enabled"}, {"id": "a", "status": "Enabled"}]},
            "rules",
        ),
        *(
            (
                s3.Lifecycle.token,
                {
                    "rules": [
                        {
                            "id": "a",
                            "status": "Enabled",
                            "expiration": {"expiredObjectDeleteMarker": True, **ends},
                        }
                    ]
                },
                "rules",
            )
            for ends in ({"days": 1}, {"date": "2030-01-01T00:00:00Z"})
        ),
        (s3.BucketPolicy.token, {"policy": "{}"}, "policy"),
    ],
)
def test_s3_refuses_an_object_and_a_setting_at_its_limits(
    account: Account, token: str, inputs: Json, property: str
) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    bucket = account.create(BUCKET, "lake")
    with pytest.raises(CheckFailure) as failure:
        account.create(token, "bad", bucket=bucket.id, **inputs)
    assert failure.value.property == property


def test_s3_takes_an_object_and_a_setting_within_its_limits(account: Account) -> None:
    bucket = account.create(BUCKET, "lake")
    tags = {str(number): "" for number in range(10)}
    account.create(OBJECT, "long", bucket=bucket.id, key="é" * 512, content="x", tags=tags)
    rules = [
        {"id": "a", "status": "Enabled", "expiration": {"expiredObjectDeleteMarker": True}},
        {"id": "b", "status": "Enabled", "expiration": {"days": 3}},
    ]
    made = account.create(s3.Lifecycle.token, "rules", bucket=bucket.id, rules=rules)
    assert made.id == bucket.id


def url_request(**scope: Any) -> Request:
    known = {
        "type": "http",
        "method": "POST",
        "path": "/predict/a",
        "query_string": b"a=1&a=2&b=",
        "http_version": "1.1",
        "client": ("10.0.0.9", 1),
        "headers": [
            (b"host", b"abc.lambda-url.eu-west-1.on.aws"),
            (b"user-agent", b"curl"),
            (b"x-twice", b"1"),
            (b"x-twice", b"2"),
            (b"content-type", b"application/json"),
        ],
    }
    return Request({**known, **scope})


def test_the_event_of_a_function_url_has_the_form_of_payload_2_0() -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
    event = lambda_urls.event(url_request(), b'{"a": 1}')
    context = event.pop("requestContext")
    assert abs(context.pop("timeEpoch") - time.time() * 1000) < 60_000
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context.pop("time"))
    assert len(context.pop("requestId")) == 36
    assert context == {
        "accountId": "anonymous",
        "apiId": "rehearsal",
        "domainName": "abc.lambda-url.eu-west-1.on.aws",
        "domainPrefix": "rehearsal",
        "http": {
            "method": "POST",
            "path": "/predict/a",
            "protocol": "HTTP/1.1",
            "sourceIp": "10.0.0.9",
            "userAgent": "curl",
        },
        "routeKey": "$default",
        "stage": "$default",
    }
    headers = event.pop("headers")
    assert (headers["x-twice"], headers["content-type"]) == ("1,2", "application/json")
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/predict/a",
        "rawQueryString": "a=1&a=2&b=",
        "queryStringParameters": {"a": "1,2", "b": ""},
        "isBase64Encoded": False,
        "body": '{"a": 1}',
    }
    empty = lambda_urls.event(url_request(query_string=b"", client=None, headers=[]), b"")
    assert "body" not in empty
    assert "queryStringParameters" not in empty
    assert empty["isBase64Encoded"] is False
    assert empty["requestContext"]["http"]["sourceIp"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("content_type", "is_text"),
    [
        ("text/plain", True),
        ("application/json", True),
        ("application/javascript; charset=utf-8", True),
        ("application/xml", True),
        ("application/problem+json; charset=utf-8", True),
        ("application/octet-stream", False),
        ("", False),
    ],
)
def test_the_body_of_an_event_is_text_by_its_content_type(content_type: str, is_text: bool) -> None:
    headers = [(b"content-type", content_type.encode())]
    event = lambda_urls.event(url_request(headers=headers), b"x")
    assert (event["isBase64Encoded"], event["body"]) == (not is_text, "x" if is_text else "eA==")


URL_CODE = """
import base64
ANSWERS = {
    "/plain": {"a": 1},
    "/text": "hello",
    "/full": {
        "statusCode": 201,
        "headers": {"Content-Type": "text/css", "X-Number": 3},
        "cookies": ["a=1", "b=2"],
        "body": "p {}",
    },
    "/binary": {"statusCode": 200, "isBase64Encoded": True, "body": "iVBORw=="},
    "/empty": {"statusCode": 204},
    "/long": {"statusCode": 200, "body": "a" * 6_291_400},
    "/too-long": {"statusCode": 200, "body": '"' * 3_150_000},
}
def handler(event, context):
    return ANSWERS[event["rawPath"]]
"""


def test_the_answer_of_a_function_url_is_what_its_function_returns(account: Account) -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload
    function = account.function("gateway", account.role("gateway", "lambda"), URL_CODE)
    made = account.create(
        lambda_urls.URL, "url", functionName=function.id, authorizationType="NONE"
    )
    assert made.id == function.id
    assert made.outputs["functionArn"] == function.outputs["arn"]
    assert len(made.outputs["urlId"]) == 32
    url = made.outputs["functionUrl"]
    assert url.endswith("/")
    with httpx.Client(base_url=url) as client:
        plain = client.get("/plain")
        assert (plain.status_code, plain.json()) == (200, {"a": 1})
        assert plain.headers["content-type"] == "application/json"
        assert client.get("/text").json() == "hello"
        full = client.get("/full")
        assert (full.status_code, full.text) == (201, "p {}")
        assert full.headers["content-type"].startswith("text/css")
        assert full.headers["x-number"] == "3"
        assert full.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert client.get("/binary").content == b"\x89PNG"
        assert client.get("/empty").status_code == 204
        # An error of the function: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
        failed = client.get("/missing")
        assert (failed.status_code, failed.json()) == (502, {"Message": "Internal Server Error"})
        # Of a response in JSON, where a quote is two bytes.
        assert client.get("/long").status_code == 200
        assert client.get("/too-long").status_code == 502
        large = client.post("/plain", content=b"x" * (6 * 2**20 + 1))
        assert (large.status_code, large.json()) == (413, {"Message": "Request Entity Too Large"})
        assert client.post("/plain", content=b"x" * (6 * 2**20 - 5000)).status_code == 200
    account.lifecycle.delete(made.token, made.id)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    with pytest.raises(CheckFailure, match="authorizationType"):
        account.create(lambda_urls.URL, "x", functionName=function.id, authorizationType="AWS_IAM")
    with pytest.raises(Refusal, match="a URL is for an alias") as refusal:
        account.create(
            lambda_urls.URL,
            "x",
            functionName=function.id,
            qualifier="none",
            authorizationType="NONE",
        )
    assert refusal.value.code == "ResourceNotFoundException"


SPEC = """\
version: 0.2
phases:
  pre_build:
    commands:
      - echo $CODEBUILD_BUILD_ID
  build:
    commands:
      - %s
"""


def built(account: Account, command: str, **source: Any) -> Json:
    """A build with one command, as BatchGetBuilds reports it at its end."""
    number = len(account.context.all(codebuild.PROJECT))
    role = account.role(f"build{number}", "codebuild", allow("*", "*"))
    project = account.create(
        codebuild.PROJECT,
        f"project{number}",
        serviceRole=role.outputs["arn"],
        artifacts={"type": "NO_ARTIFACTS"},
        source={"type": "S3", "location": "none/x.zip", "buildspec": SPEC % command, **source},
        environment={"environmentVariables": [{"name": "A", "value": "1"}]},
    )
    assert project.id == f"arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{project.inputs['name']}"
    _, started = account.call(
        "CodeBuild_20161006.StartBuild", {"projectName": project.inputs["name"]}
    )
    id = started["build"]["id"]
    assert started["build"]["arn"] == f"arn:aws:codebuild:{REGION}:{ACCOUNT}:build/{id}"
    assert started["build"]["projectName"] == project.inputs["name"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        _, answer = account.call("CodeBuild_20161006.BatchGetBuilds", {"ids": [id, "none:1"]})
        assert answer["buildsNotFound"] == ["none:1"]
        if answer["builds"][0]["buildComplete"]:
            return dict(answer["builds"][0])
        time.sleep(0.02)
    raise AssertionError("the build does not end")


def log_of(account: Account, build: Json) -> str:
    path = build["logs"]["deepLink"].removeprefix(account.context.base_url)
    return str(account.http.get(path).text)


def test_a_build_ends_in_the_phase_that_failed_with_codebuilds_words(account: Account) -> None:
    # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BuildPhase.html
    bucket = account.create(BUCKET, "lake").id
    location = f"{bucket}/c.zip"
    account.create(OBJECT, "context", bucket=bucket, key="c.zip", source=archive({"a": "b"}))
    done = built(account, "make all", location=location)
    assert (done["buildStatus"], done["currentPhase"]) == ("SUCCEEDED", "BUILD")
    phases = [(each["phaseType"], each["phaseStatus"]) for each in done["phases"]]
    names = ("QUEUED", "DOWNLOAD_SOURCE", "PRE_BUILD", "BUILD")
    assert phases == [(name, "SUCCEEDED") for name in names]
    assert done["endTime"] >= done["startTime"]
    log = log_of(account, done)
    assert f"Downloaded {location}" in log
    assert "(recorded: the rehearsal runs docker build and docker push only)" in log
    missing = built(account, "true", location=f"{bucket}/none.zip")
    assert (missing["buildStatus"], missing["currentPhase"]) == ("FAILED", "DOWNLOAD_SOURCE")
    (context,) = missing["phases"][-1]["contexts"]
    assert context["statusCode"] == "CLIENT_ERROR"
    assert context["message"].startswith("NoSuchKey: The specified key does not exist")
    assert context["message"].endswith(f"arn:aws:s3:::{bucket}/none.zip")
    elsewhere = built(account, "true", location="o/r", type="GITHUB")
    assert elsewhere["phases"][-1]["contexts"][0]["statusCode"] == "NotRehearsed"
    for command, reason in (
        ("docker push none:1", "An image does not exist locally with the tag: none:1"),
        ("docker build .", "docker build without --tag"),
        ("docker build -t a/b:1 . && docker push a/b:1", ""),
    ):
        failed = built(account, command, location=location)
        if reason:
            (context,) = failed["phases"][-1]["contexts"]
            assert (failed["currentPhase"], context["statusCode"]) == (
                "BUILD",
                "COMMAND_EXECUTION_ERROR",
            )
            words = f"Error while executing command: {command}. Reason: exit status 1"
            assert context["message"] == words
            assert reason in log_of(account, failed)
    assert account.http.get("/aws/_logs/codebuild/none:1").status_code == 404
    unknown = account.call("CodeBuild_20161006.StartBuild", {"projectName": "none"})
    assert refused(unknown) == (404, "ResourceNotFoundException")
    project = account.context.all(codebuild.PROJECT)[0]
    account.lifecycle.delete(project.token, project.id)
    gone = account.call("CodeBuild_20161006.BatchGetBuilds", {"ids": [done["id"]]})[1]
    assert gone == {"builds": [], "buildsNotFound": [done["id"]]}
    path = done["logs"]["deepLink"].removeprefix(account.context.base_url)
    assert account.http.get(path).status_code == 404


@pytest.mark.parametrize("spec", ["a: [\n", "- a\n- b\n", "version: 0.2\n\n", "phases: {}\n\n"])
def test_a_buildspec_has_a_version_and_phases(account: Account, spec: str) -> None:
    # https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
    with pytest.raises(CheckFailure, match="YAML_FILE_ERROR") as failure:
        account.create(codebuild.PROJECT, "p", source={"type": "S3", "buildspec": spec})
    assert failure.value.property == "source"


def test_a_project_needs_a_role_that_codebuild_may_assume(account: Account) -> None:
    role = account.role("other", "lambda")
    with pytest.raises(Refusal, match="CodeBuild is not authorized to perform") as refusal:
        account.create(
            codebuild.PROJECT,
            "p",
            serviceRole=role.outputs["arn"],
            artifacts={"type": "NO_ARTIFACTS"},
            source={"type": "NO_SOURCE"},
        )
    assert refusal.value.code == "InvalidInputException"
