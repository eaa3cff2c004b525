"""The delivery's session and pulumi-aws: each step on the platform's resources that it takes, or is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from components.aws.resource_types import RESOURCE_TYPES
from components.resource_type import DeployGroup
from config.schema import StackConfig
from policy.mock_engine import Engine, Registered, platform
from policy.mock_values import ACCOUNT
from rehearsal.aws import authorization, credentials, permissions, required_permissions
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context
from tests.unit.rehearsal.aws_account import SCHEMAS, Account
from tests.unit.rehearsal.test_aws_delivery_reach import ARNS, PLACE, delivery_policy

SECRET = "aws:secretsmanager/secret:Secret"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
BUCKET = "aws:s3/bucket:Bucket"
# What the mocks do not write as AWS does: their ARNs of what the policy names.
REAL = {
    "arn:aws:mock:::triplane-lake-": "arn:aws:s3:::triplane-lake-",
    "arn:aws:mock:::triplane-registry-": f"arn:aws:ecr:{PLACE}:repository/triplane-registry-",
}


class Pipeline:
    """The delivery of one stack, and what the mocks have registered of it."""

    def __init__(self, context: Context, engine: Engine) -> None:
        self.context, self.engine = context, engine
        policy = delivery_policy(engine)
        for mocked, real in REAL.items():
            policy = policy.replace(mocked, real)
        for each in engine.of(permissions.ROLE):
            arn = f"arn:aws:iam::{ACCOUNT}:role{each.inputs.get('path', '/')}{each.id}"
            role = Record("aws", permissions.ROLE, each.id, f"::{each.name}", {}, {})
            role.outputs = {"arn": arn, "name": each.id}
            context.save(role)
            if "delivery" in each.name:
                delivery, self.role = each, role
        reach = {"role": delivery.id, "policy": policy}
        context.save(Record("aws", permissions.ROLE_POLICY, "reach", "::reach", reach, dict(reach)))
        for each in engine:
            if pattern := ARNS.get(each.type):
                arn = f"arn:aws:{pattern.format(PLACE, self.inputs(each)['name'])}"
                outputs = {"arn": arn, "tags": each.inputs["tags"]}
                id_ = str(each.inputs.get("resourceId", arn))
                context.save(Record("aws", each.type, id_, f"::{arn}", {}, outputs))
        key, _ = credentials.open_session(context, self.role, 3600)
        self.config = {"accessKey": key.id, "region": "eu-west-1"}

    @staticmethod
    def inputs(resource: Registered) -> dict[str, Any]:
        """The inputs with the physical name that the provider makes."""
        name = "bucket" if resource.type == BUCKET else "name"
        made = {name: resource.id, **resource.inputs}
        if resource.type == VERSION:
            made["secretId"] = f"arn:aws:secretsmanager:{PLACE}:secret:key-AbCdEf"
        if resource.type == SECRET:
            made["name"] = "key-AbCdEf"
        return made

    def refusal(
        self, step: str, token: str, inputs: dict[str, Any], olds: dict[str, Any] | None = None
    ) -> str:
        """Why a step is refused; empty: it is not."""
        existing = Record("aws", token, "id", "::name", olds, {}) if olds else None
        try:
            required_permissions.require_for_step(
                self.context, self.config, step, token, inputs, existing
            )
        except Refusal as refused:
            return str(refused)
        return ""


@pytest.fixture
def pipeline(live_context: Context, configured: Callable[..., StackConfig]) -> Pipeline:
    config = configured(
        "aws",
        machine={"aws": "ml.m5.large"},
        delivery={"repository": "acme/triplane", "environment": "staging"},
    )
    engine, _ = platform(config, "staging")
    return Pipeline(live_context, engine)


def test_the_provider_changes_what_serves_and_reads_everything_with_the_deliverys_session(
    pipeline: Pipeline,
) -> None:
    tokens = set()
    for each in pipeline.engine:
        if each.type not in required_permissions.CALLS:
            continue
        tokens.add(each.type)
        inputs = pipeline.inputs(each)
        assert pipeline.refusal("read", each.type, inputs) == ""
        if RESOURCE_TYPES[each.type].deploy.group is DeployGroup.COMPUTE:
            # A model stays, for an earlier one to be served again.
            is_model = str(inputs.get("key")).startswith("models/")
            assert (pipeline.refusal("delete", each.type, inputs) == "") is not is_model
            assert pipeline.refusal("create", each.type, inputs) == ""
            for name in inputs:
                olds = {**inputs, name: "another"}
                assert pipeline.refusal("update", each.type, inputs, olds) == "", name
    registered = {each.type for each in pipeline.engine if each.custom and each.type[:4] == "aws:"}
    assert tokens == registered


def test_the_provider_is_refused_what_holds_data_or_gives_access_but_for_the_keys_value(
    pipeline: Pipeline,
) -> None:
    for each in pipeline.engine:
        type_ = RESOURCE_TYPES.get(each.type)
        if type_ is None or type_.deploy.group is DeployGroup.COMPUTE:
            continue
        inputs = pipeline.inputs(each)
        for step in ("create", "update", "delete"):
            refused = pipeline.refusal(step, each.type, inputs, {"tags": {}})
            if each.type == VERSION:
                assert refused == ""
            else:
                assert "is not authorized to perform" in refused, (step, each.type)


def test_a_key_that_is_of_no_session_is_the_deployers(pipeline: Pipeline) -> None:
    pipeline.config["accessKey"] = "AKIAREALONE"
    assert pipeline.refusal("delete", BUCKET, {"bucket": "lake"}) == ""


def test_a_type_whose_calls_are_not_known_is_refused_to_a_session(pipeline: Pipeline) -> None:
    refused = pipeline.refusal("create", "aws:sqs/queue:Queue", {"name": "q"})
    assert "does not know which calls" in refused


def operations(calls: required_permissions.Calls) -> set[str]:
    """Every operation of a type, of its own service."""
    words = [calls.create, calls.read, calls.update, calls.delete, *calls.changes.values()]
    return {each for text in words for each in text.split()}


@pytest.mark.parametrize("token", required_permissions.CALLS)
def test_each_call_is_an_action_that_aws_lists_and_names_what_the_action_is_about(
    token: str,
) -> None:
    """The list is AWS's Service Authorization Reference, the inputs are the SDK's."""
    calls = required_permissions.CALLS[token]
    prefix = authorization.PREFIXES.get(calls.service, calls.service)
    actions = {f"{prefix}:{each}" for each in operations(calls)}
    others = {action for text in calls.others.values() for action in text.split()}
    assert {each for each in actions | others if not authorization.is_action(each)} == set()
    assert set(calls.others) <= {"create", "read", "update", "delete"}
    assert calls.create
    assert calls.read
    assert calls.delete
    # Only a statement of a function's policy has nothing that can be changed in place.
    assert bool(calls.update) == (token != "aws:lambda/permission:Permission")
    patterns = "".join(
        arn for each in actions for arn in authorization.resource_types(each).values()
    )
    variables = {each.removesuffix("WithPath") for each in re.findall(r"\{(\w+)\}", patterns)}
    assert set(calls.names) <= variables
    inputs = SCHEMAS.get(token).inputs
    assert {*calls.names.values(), *calls.changes} <= set(inputs)
    if "tags" in inputs:
        tagging = required_permissions.TAGGING + required_permissions.WITH_TAGS
        assert any(each.startswith(tagging) for each in calls.create.split())


STEPS: list[tuple[str, str, dict[str, Any], dict[str, Any] | None, str]] = [
    # A resource without tags is not tagged.
    (BUCKET, "create", {"bucket": "b"}, None, "CreateBucket ListBucket GetBucketLocation"),
    (BUCKET, "create", {"bucket": "b", "tags": {"a": "b"}}, None, "PutBucketTagging"),
    (BUCKET, "delete", {"bucket": "b"}, None, "DeleteBucket"),
    (BUCKET, "read", {"bucket": "b"}, None, "GetBucketVersioning GetBucketPolicy"),
    (
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "delete",
        {"bucket": "b", "key": "k"},
        None,
        "ListBucketVersions DeleteObjectVersion",
    ),
    (
        "aws:lambda/function:Function",
        "update",
        {"name": "f", "code": 2, "role": "arn:aws:iam::123456789012:role/r"},
        {"name": "f", "code": 1, "role": "arn:aws:iam::123456789012:role/r"},
        "UpdateFunctionCode PublishVersion GetFunction",
    ),
    (
        "aws:lambda/function:Function",
        "update",
        {"name": "f", "timeout": 2},
        {"name": "f", "timeout": 1},
        "UpdateFunctionConfiguration PublishVersion GetFunctionCodeSigningConfig",
    ),
    (
        "aws:lambda/function:Function",
        "update",
        {"name": "f", "tags": {"a": "b"}},
        {"name": "f"},
        "TagResource ListVersionsByFunction",
    ),
    (
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "update",
        {"name": "a", "threshold": 2},
        {"name": "a"},
        "PutMetricAlarm DescribeAlarms",
    ),
    (SECRET, "create", {"name": "s"}, None, "CreateSecret DescribeSecret GetResourcePolicy"),
    ("aws:iam/role:Role", "delete", {"name": "r"}, None, "DeleteRole"),
]


@pytest.mark.parametrize(("token", "step", "inputs", "olds", "needed"), STEPS)
def test_a_step_needs_each_of_its_calls_and_no_other(
    live_context: Context,
    token: str,
    step: str,
    inputs: dict[str, Any],
    olds: dict[str, Any] | None,
    needed: str,
) -> None:
    account = Account(live_context)
    calls = required_permissions.CALLS[token]
    prefix = authorization.PREFIXES.get(calls.service, calls.service)

    def refusal(*left_out: str) -> str:
        allowed = [f"{prefix}:{each}" for each in operations(calls) if each not in left_out]
        statement = {"Effect": "Allow", "Action": [*allowed, "iam:PassRole"], "Resource": "*"}
        role = account.role(f"r{'-'.join(left_out)}"[:40], "lambda", statement)
        key, _ = credentials.open_session(live_context, role, 3600)
        existing = Record("aws", token, "id", "::name", olds, {}) if olds else None
        try:
            required_permissions.require_for_step(
                live_context,
                {"accessKey": key.id, "region": "eu-west-1"},
                step,
                token,
                inputs,
                existing,
            )
        except Refusal as refused:
            return str(refused)
        return ""

    assert refusal() == ""
    for operation in needed.split():
        assert f"is not authorized to perform: {prefix}:{operation} " in refusal(operation)
    if step == "delete":  # nothing is read afterwards
        assert refusal(*set(calls.read.split()) - set(needed.split())) == ""
