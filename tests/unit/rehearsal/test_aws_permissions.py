"""Policies as AWS evaluates them: conditions, tags, boundaries, and which permissions a request needs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal.aws import authorization, permissions, s3_actions
from rehearsal.aws.conditions import arn_like, fulfilled
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context
from tests.unit.rehearsal.aws_account import Account, allow

FUNCTION = "aws:lambda/function:Function"


@pytest.fixture
def account(live_context: Context) -> Account:
    return Account(live_context)


KNOWN = {"aws:requesttag/stack": "prod", "aws:tagkeys": ("stack", "team"), "s3:prefix": "builds/a"}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:RequestTag/stack": "prod"}}, True),
        ({"StringEquals": {"aws:RequestTag/Stack": ["x", "prod"]}}, True),
        ({"StringEquals": {"aws:RequestTag/stack": "prod*"}}, False),
        ({"StringEquals": {"aws:RequestTag/team": "a"}}, False),
        ({"StringEqualsIfExists": {"aws:RequestTag/team": "a"}}, True),
        ({"StringEqualsIfExists": {"aws:RequestTag/stack": "prod-eu"}}, False),
        ({"StringNotEquals": {"aws:RequestTag/team": "a"}}, True),
        ({"StringNotEquals": {"aws:RequestTag/stack": ["a", "prod"]}}, False),
        ({"StringLike": {"s3:prefix": "builds/*"}}, True),
        ({"StringNotLike": {"s3:prefix": "builds/*"}}, False),
        ({"StringEqualsIgnoreCase": {"aws:RequestTag/stack": "PROD"}}, True),
        ({"Null": {"aws:RequestTag/team": "true"}}, True),
        ({"Null": {"aws:RequestTag/stack": True}}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["stack", "team"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["stack"]}}, False),
        ({"ForAllValues:StringNotEquals": {"aws:TagKeys": ["stack"]}}, False),
        ({"ForAllValues:StringEquals": {"aws:Missing": ["stack"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:Missing": ["team"]}}, False),
        ({"StringEquals": {"aws:RequestTag/stack": "${s3:prefix}"}}, False),
        ({"StringLike": {"s3:prefix": "${aws:RequestTag/none, 'builds'}/*"}}, True),
        ({"StringLike": {"s3:prefix": "${aws:RequestTag/none}*"}}, False),
        ({"NumericLessThan": {"aws:RequestTag/none": "1"}}, False),
        ({"StringEquals": {"aws:RequestTag/stack": "prod", "s3:prefix": "other"}}, False),
    ],
)
def test_a_condition_is_about_the_requests_that_aws_documents(condition: Json, holds: bool) -> None:
    assert fulfilled(condition, KNOWN) is holds


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("arn:aws:lambda:eu-west-1:1:function:triplane-*", True),
        ("arn:aws:lambda:*:*:function:triplane-*", True),
        ("arn:aws:lambda:eu-west-1:1", True),
        ("*", True),
        # A wildcard stays within its part.
        ("arn:aws:*:function:triplane-*", False),
        ("arn:aws:lambda:eu-west-1:2:function:triplane-*", False),
    ],
)
def test_the_parts_of_an_arn_are_compared_each_for_itself(pattern: str, matches: bool) -> None:
    assert arn_like("arn:aws:lambda:eu-west-1:1:function:triplane-a:live", pattern) is matches


def may(account: Account, role: Record, action: str, resource: str, **keys: Any) -> bool:
    try:
        permissions.require(account.context, role, action, resource, **keys)
    except Refusal:
        return False
    return True


def test_a_policy_sees_the_tags_of_resource_request_and_caller(account: Account) -> None:
    tagged = account.create(
        "aws:cloudwatch/logGroup:LogGroup", "logs", name="triplane-a", tags={"stack": "prod"}
    )
    same = {"StringEquals": {"aws:ResourceTag/stack": "${aws:PrincipalTag/stack}"}}
    statement = {**allow("logs:*", "*"), "Condition": same}
    role = account.role("delivery", "lambda", statement)
    arn = tagged.outputs["arn"]
    assert not may(account, role, "logs:DeleteLogGroup", arn), "the role has no tag"
    role.outputs["tags"] = {"stack": "prod"}
    assert may(account, role, "logs:DeleteLogGroup", arn)
    assert may(account, role, "logs:DeleteLogGroup", f"{arn}:*")
    role.outputs["tags"] = {"stack": "prod-eu"}
    assert not may(account, role, "logs:DeleteLogGroup", arn)


def test_a_statement_about_all_but_some_is_evaluated(account: Account) -> None:
    statement = {
        "Effect": "Deny",
        "NotAction": ["iam:Get*"],
        "NotResource": "arn:aws:iam::123456789012:role/own",
    }
    role = account.role("delivery", "lambda", allow("iam:*", "*"), statement)
    assert may(account, role, "iam:GetRole", "arn:aws:iam::123456789012:role/other")
    assert may(account, role, "iam:DeleteRole", "arn:aws:iam::123456789012:role/own")
    assert not may(account, role, "iam:DeleteRole", "arn:aws:iam::123456789012:role/other")


def test_a_boundary_limits_what_the_roles_own_policies_allow(account: Account) -> None:
    bound = {"Version": "2012-10-17", "Statement": [allow("s3:GetObject", "*")]}
    policy = account.create(permissions.POLICY, "bound", policy=json.dumps(bound))
    role = account.role("delivery", "lambda", allow("s3:*", "*"))
    role.inputs["permissionsBoundary"] = policy.outputs["arn"]
    assert may(account, role, "s3:GetObject", "arn:aws:s3:::lake/a")
    with pytest.raises(Refusal, match="no permissions boundary allows the s3:PutObject action"):
        permissions.require(account.context, role, "s3:PutObject", "arn:aws:s3:::lake/a")


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /lake?policy", [("s3:GetBucketPolicy", "lake")]),
        ("PUT /lake?lifecycle", [("s3:PutLifecycleConfiguration", "lake")]),
        ("DELETE /lake?lifecycle", [("s3:PutLifecycleConfiguration", "lake")]),
        ("DELETE /lake?policy", [("s3:DeleteBucketPolicy", "lake")]),
        ("PUT /lake?versioning", [("s3:PutBucketVersioning", "lake")]),
        ("GET /lake?versions&prefix=a", [("s3:ListBucketVersions", "lake")]),
        ("HEAD /lake", [("s3:ListBucket", "lake")]),
        ("DELETE /lake", [("s3:DeleteBucket", "lake")]),
        ("PUT /lake", [("s3:CreateBucket", "lake")]),
        ("GET /", [("s3:ListAllMyBuckets", "*")]),
        ("GET /lake/a/b?versionId=1", [("s3:GetObjectVersion", "lake/a/b")]),
        ("DELETE /lake/a?versionId=1", [("s3:DeleteObjectVersion", "lake/a")]),
        ("DELETE /lake/a", [("s3:DeleteObject", "lake/a")]),
        ("PUT /lake/a?acl", [("s3:PutObjectAcl", "lake/a")]),
        ("DELETE /lake/a?uploadId=1", [("s3:AbortMultipartUpload", "lake/a")]),
        ("PUT /lake/a?partNumber=1&uploadId=1", [("s3:PutObject", "lake/a")]),
        (
            "PUT /lake/a x-amz-copy-source",
            [("s3:GetObject", "other/b"), ("s3:PutObject", "lake/a")],
        ),
        (
            "PUT /lake/a x-amz-tagging",
            [("s3:PutObject", "lake/a"), ("s3:PutObjectTagging", "lake/a")],
        ),
        (
            "POST /lake?delete",
            [("s3:DeleteObject", "lake/a"), ("s3:DeleteObjectVersion", "lake/b")],
        ),
    ],
)
def test_a_request_to_s3_needs_the_permissions_of_its_operation(
    request_line: str, expected: list[tuple[str, str]]
) -> None:
    method, address, *names = request_line.split()
    path, _, query = address.partition("?")
    parameters = dict(each.partition("=")[::2] for each in query.split("&") if each)
    headers = dict.fromkeys(names, "/other/b")
    body = (
        b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object>'
        b"<Object><Key>b</Key><VersionId>1</VersionId></Object></Delete>"
    )
    needed = s3_actions.needed(method, path, parameters, headers, body)
    assert [(action, arn.removeprefix("arn:aws:s3:::")) for action, arn, _ in needed] == expected


@pytest.mark.parametrize(
    ("target", "body", "needed"),
    [
        ("Logs_20140328.DeleteLogGroup", {"logGroupName": "a"}, "logs:eu-west-1:{}:log-group:a"),
        ("TrentService.ScheduleKeyDeletion", {"KeyId": "k"}, "kms:eu-west-1:{}:key/k"),
        ("SageMaker.DeleteModel", {"ModelName": "m"}, "sagemaker:eu-west-1:{}:model/m"),
        ("CodeBuild_20161006.UpdateProject", {"name": "p"}, "codebuild:eu-west-1:{}:project/p"),
        ("AWSEvents.DeleteRule", {"Name": "r"}, "events:eu-west-1:{}:rule/r"),
    ],
)
def test_an_operation_that_is_not_rehearsed_is_refused_as_aws_refuses_it(
    account: Account, target: str, body: Json, needed: str
) -> None:
    service = needed.partition(":")[0]
    role = account.role("gateway", "lambda", allow("s3:GetObject", "*"))

    def call(caller: Record | None) -> tuple[int, str]:
        auth = account.signed(service, caller)
        answer = account.http.post("/aws/", json=body, headers={"x-amz-target": target}, auth=auth)
        return answer.status_code, answer.text

    status, text = call(role)
    assert status == 403
    arn = needed.format(account.context.account.aws_account)
    assert f"is not authorized to perform: {service}:{target.partition('.')[2]}" in text
    assert f"on resource: arn:aws:{arn} " in text
    assert call(None)[0] == 501, "the deployer may, and the rehearsal cannot"


def test_an_address_of_lambda_and_a_form_of_iam_name_their_operation_and_resource(
    account: Account,
) -> None:
    role = account.role("gateway", "lambda", allow("s3:GetObject", "*"))
    auth = account.signed("lambda", role)
    answer = account.http.put(
        "/aws/2015-03-31/functions/other/code", json={"ZipFile": ""}, auth=auth
    )
    assert answer.status_code == 403
    assert "lambda:UpdateFunctionCode on resource: arn:aws:lambda:" in answer.text
    assert ":function:other " in answer.text
    form = {
        "Action": "AttachRolePolicy",
        "RoleName": role.id,
        "PolicyArn": "arn:aws:iam::aws:policy/A",
    }
    auth = account.signed("iam", role)
    answer = account.http.post("/aws/", data=form, auth=auth)
    assert answer.status_code == 403
    assert f"iam:AttachRolePolicy on resource: {role.outputs['arn']} " in answer.text


def test_whoever_hands_a_role_to_a_service_must_be_allowed_to_pass_it(account: Account) -> None:
    may_update = allow("lambda:UpdateFunctionConfiguration", "*")
    role = account.role("delivery", "lambda", may_update)
    auth = account.signed("lambda", role)
    other = "arn:aws:iam::123456789012:role/admin"
    answer = account.http.put(
        "/aws/2015-03-31/functions/own/configuration", json={"Role": other}, auth=auth
    )
    assert answer.status_code == 403
    assert f"iam:PassRole on resource: {other} " in answer.text


def test_the_parameters_of_a_form_are_lists_where_it_numbers_them() -> None:
    form = {
        "Action": "TagRole",
        "RoleName": "r",
        "Tags.member.1.Key": "stack",
        "Tags.member.1.Value": "prod",
        "Tags.member.2.Key": "team",
        "TagKeys.member.1": "a",
    }
    assert authorization.form_parameters(form) == {
        "Action": "TagRole",
        "RoleName": "r",
        "Tags": [{"Key": "stack", "Value": "prod"}, {"Key": "team"}],
        "TagKeys": ["a"],
    }


def test_a_list_is_checked_by_the_prefix_that_is_listed(account: Account) -> None:
    bucket = account.create("aws:s3/bucket:Bucket", "lake", bucket="lake-1234567").id
    captures = {"StringLike": {"s3:prefix": "captures/*"}}
    lists = {**allow("s3:ListBucket", f"arn:aws:s3:::{bucket}"), "Condition": captures}
    reader = account.role("reader", "lambda", lists)
    deployer = account.signed("s3")
    assert account.http.put(f"/aws/{bucket}/secret/a", content=b"a", auth=deployer).is_success

    def listed(query: str) -> tuple[int, bool]:
        url = f"/aws/{bucket}?list-type=2&{query}"
        answer = account.http.get(url, auth=account.signed("s3", reader))
        return answer.status_code, "<Key>secret/a</Key>" in answer.text

    assert listed("prefix=captures%2F") == (200, False)
    assert listed("prefix=secret%2F") == (403, False)
    for twice in ("prefix=secret%2F&prefix=captures%2F", "prefix=captures%2F&prefix=secret%2F"):
        assert listed(twice) == (400, False)
