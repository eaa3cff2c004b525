"""How far the delivery's role reaches on AWS: its policy, evaluated for its own stack and for another in one account."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.aws.delivery import CREATE, NO_RESOURCE, PERMISSIONS, REGISTER_TARGET, TAG
from components.aws.delivery import TAGGED_SERVICES as SERVICES
from config.schema import StackConfig
from policy.mock_engine import Engine, platform
from policy.mock_values import ACCOUNT
from rehearsal.aws import authorization, permissions
from rehearsal.core.records import Record, Refusal
from rehearsal.provider.context import Context

PAIRS = [("prod", "prod-eu"), ("a-b", "a"), ("staging", "production")]
"""Two stacks of one account: the name of one may begin as the other's."""
ARNS = {
    "aws:appautoscaling/target:Target": "application-autoscaling:{}:scalable-target/{}",
    "aws:cloudwatch/logGroup:LogGroup": "logs:{}:log-group:{}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:{}:alarm:{}",
    "aws:codebuild/project:Project": "codebuild:{}:project/{}",
    "aws:lambda/function:Function": "lambda:{}:function:{}",
    "aws:sagemaker/endpoint:Endpoint": "sagemaker:{}:endpoint/{}",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "sagemaker:{}:endpoint-config/{}",
    "aws:sagemaker/model:Model": "sagemaker:{}:model/{}",
}
PLACE = f"eu-west-1:{ACCOUNT}"
SCALING = {
    "application-autoscaling:service-namespace": "sagemaker",
    "application-autoscaling:scalable-dimension": "sagemaker:variant:DesiredInstanceCount",
}
SCOPED = [
    each for each in PERMISSIONS if each.partition(":")[0] in SERVICES and each not in NO_RESOURCE
]
CREATING = [*sorted(CREATE | TAG), REGISTER_TARGET]


class Account:
    """One account with two stacks, each with its delivery's role."""

    def __init__(
        self, context: Context, configured: Callable[..., StackConfig], stacks: tuple[str, str]
    ) -> None:
        self.context = context
        self.roles: dict[str, Record] = {}
        self.arns: dict[str, list[str]] = {}
        for stack in stacks:
            config = configured(
                "aws",
                machine={"aws": "ml.m5.large"},
                delivery={"repository": "acme/triplane", "environment": stack},
            )
            engine, _ = platform(config, stack)
            self._add_role(stack, delivery_policy(engine))
            # The physical names have no stack in them: what tells the stacks apart is the tag.
            self.arns[stack] = list(self._add_resources(engine, stack))

    def _add_role(self, stack: str, policy: str) -> None:
        role = Record("aws", permissions.ROLE, f"role-{stack}", f"::role-{stack}", {}, {})
        role.outputs = {"arn": f"arn:aws:iam::{ACCOUNT}:role/{role.id}", "name": role.id}
        reach = {"role": role.id, "policy": policy}
        self.context.save(role)
        self.context.save(
            Record("aws", permissions.ROLE_POLICY, role.id, "::reach", reach, dict(reach))
        )
        self.roles[stack] = role

    def _add_resources(self, engine: Engine, stack: str) -> Iterator[str]:
        for each in engine:
            if pattern := ARNS.get(each.type):
                name = str(each.inputs.get("name") or each.id)
                arn = f"arn:aws:{pattern.format(PLACE, f'{name}{stack}')}"
                outputs = {"arn": arn, "tags": each.inputs["tags"]}
                self.context.save(Record("aws", each.type, arn, f"::{arn}", {}, outputs))
                yield arn

    def allows(self, stack: str, action: str, arn: str, **keys: Any) -> bool:
        scaling = SCALING if action.startswith("application-autoscaling:") else {}
        try:
            permissions.require(self.context, self.roles[stack], action, arn, **{**scaling, **keys})
        except Refusal:
            return False
        return True

    def about(self, action: str, stack: str) -> list[str]:
        """The resources of a stack that an action can be about."""
        patterns = [
            re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(each)))
            for each in authorization.resource_types(action).values()
        ]
        known = [arn.replace(PLACE, "{region}:{account}") for arn in self.arns[stack]]
        return [
            arn
            for arn, general in zip(self.arns[stack], known, strict=True)
            if any(each.fullmatch(general) for each in patterns)
        ]


def delivery_policy(engine: Engine) -> str:
    """The one policy of the delivery's role."""
    (policy,) = (
        str(each.inputs["policy"])
        for each in engine.of("aws:iam/rolePolicy:RolePolicy")
        if each.name.startswith("triplane-delivery")
    )
    return policy


def tags(stack: str) -> dict[str, str]:
    """The condition key of a request that gives a resource the tag of a stack."""
    return {"aws:RequestTag/stack": stack}


@pytest.fixture
def account(
    request: pytest.FixtureRequest, live_context: Context, configured: Callable[..., StackConfig]
) -> Account:
    return Account(live_context, configured, getattr(request, "param", PAIRS[0]))


@pytest.mark.parametrize("account", PAIRS, ids=" and ".join, indirect=True)
def test_every_permission_of_the_delivery_works_on_its_own_stack_and_on_no_other(
    account: Account,
) -> None:
    used = set()
    for own, other in itertools.permutations(account.roles):
        for action in SCOPED:
            asked = tags(own) if action in CREATING else {}
            for arn in account.about(action, own):
                assert account.allows(own, action, arn, **asked), f"{own}: {action} on {arn}"
                used.add(action)
            for arn in account.about(action, other):
                for claimed in ({}, tags(own), tags(other)):
                    assert not account.allows(own, action, arn, **claimed), f"{action} on {arn}"
    assert used == set(SCOPED)


def test_what_is_gone_is_not_found_and_what_is_new_has_the_tag_of_the_stack(
    account: Account,
) -> None:
    """A policy that required a tag of what does not exist would turn "not found" into "access denied"."""
    for own, other in itertools.permutations(account.roles):
        for action in SCOPED:
            for arn in account.about(action, own):
                missing = f"{arn}-gone"
                reads_or_deletes = re.match(
                    "(BatchGet|Delete|Deregister|Describe|Get|List|Remove)",
                    action.partition(":")[2],
                )
                assert account.allows(own, action, missing) == bool(reads_or_deletes), action
                assert account.allows(own, action, missing, **tags(own)) == bool(
                    reads_or_deletes or action in CREATING
                ), action
                if not reads_or_deletes:
                    assert not account.allows(own, action, missing, **tags(other)), action


def test_no_resource_changes_hands_by_its_tag(account: Account) -> None:
    for own, other in itertools.permutations(account.roles):
        for action in TAG:
            for arn in account.about(action, own):
                assert account.allows(own, action, arn), "a lost tag is set again"
                assert not account.allows(own, action, arn, **tags(other)), action
        for arn in account.arns[own]:
            for action in ("lambda:UntagResource", "sagemaker:DeleteTags", "logs:UntagResource"):
                assert not account.allows(own, action, arn, **{"aws:TagKeys": ("stack",)})


def test_only_an_endpoint_of_sagemaker_is_scaled(account: Account) -> None:
    own, _ = account.roles
    for action in (REGISTER_TARGET, "application-autoscaling:DeregisterScalableTarget"):
        target = "arn:aws:application-autoscaling:eu-west-1:123456789012:scalable-target/of-others"
        assert account.allows(own, action, target, **tags(own))
        for namespace in ("ecs", "dynamodb", "lambda"):
            of_others = {"application-autoscaling:service-namespace": namespace}
            assert not account.allows(own, action, target, **tags(own), **of_others)


def test_target_trackings_alarms_are_those_of_the_own_endpoint(account: Account) -> None:
    for own, other in itertools.permutations(account.roles):
        for action in ("cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"):
            for stack in (own, other, f"{own}-instances", f"x-{own}"):
                mark = hashlib.sha256(stack.encode()).hexdigest()[:6]
                alarm = (
                    f"arn:aws:cloudwatch:{PLACE}:alarm:TargetTracking-endpoint/triplane-endpoint-digits-"
                    f"{stack}-{mark}-instances/variant/live-AlarmHigh-0"
                )
                assert account.allows(own, action, alarm) == (stack == own), alarm


def test_a_role_is_passed_to_the_platforms_services_only(account: Account) -> None:
    own, _ = account.roles
    role = f"arn:aws:iam::{ACCOUNT}:role/triplane-gateway-role-25f331d"
    assert account.allows(
        own, "iam:PassRole", role, **{"iam:PassedToService": "lambda.amazonaws.com"}
    )
    for service in ("ec2.amazonaws.com", "ecs-tasks.amazonaws.com", "glue.amazonaws.com"):
        assert not account.allows(own, "iam:PassRole", role, **{"iam:PassedToService": service})
    serving = f"arn:aws:iam::{ACCOUNT}:role/triplane/{own}/triplane-serving-digits-role-25f331d"
    by_sagemaker = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    assert account.allows(own, "iam:PassRole", serving, **by_sagemaker)
    for path in (f"triplane/{own}-2", f"triplane/x-{own}", "triplane", own):
        others = serving.replace(f"triplane/{own}/", f"{path}/")
        assert not account.allows(own, "iam:PassRole", others, **by_sagemaker), path
    for other in ("Admin", "triplane-other-role-25f331d", "role-prod"):
        passed = {"iam:PassedToService": "lambda.amazonaws.com"}
        foreign = f"arn:aws:iam::{ACCOUNT}:role/{other}"
        assert not account.allows(own, "iam:PassRole", foreign, **passed)


def test_every_action_of_the_policy_is_one_that_aws_has_and_none_is_a_wildcard(
    account: Account,
) -> None:
    for record in account.context.all(permissions.ROLE_POLICY):
        for statement in json.loads(record.inputs["policy"])["Statement"]:
            for action in statement["Action"]:
                assert authorization.is_action(action), action


@pytest.mark.parametrize("branch_in_subject", [False, True])
@pytest.mark.parametrize("environment", ["staging", ""])
def test_a_job_of_another_branch_is_not_trusted_in_the_same_environment_either(
    environment: str,
    branch_in_subject: bool,
    live_context: Context,
    configured: Callable[..., StackConfig],
) -> None:
    config = configured(
        "aws",
        delivery={
            "repository": "acme/triplane",
            "environment": environment,
            "branch_in_subject": branch_in_subject,
        },
    )
    engine, _ = platform(config)
    (role,) = (
        each for each in engine.of(permissions.ROLE) if each.name.startswith("triplane-delivery")
    )
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role.id}"
    live_context.save(
        Record("aws", permissions.ROLE, role.id, "::role", dict(role.inputs), {"arn": arn})
    )
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]

    def is_trusted(branch: str, **other: str) -> bool:
        ref = f"ref:refs/heads/{branch}"
        context = f"environment:{environment}" if environment else ref
        subject = f"repo:acme/triplane:{context}" + (f":{ref}" if branch_in_subject else "")
        claims = {
            "aud": "sts.amazonaws.com",
            "sub": subject,
            "ref": f"refs/heads/{branch}",
            **other,
        }
        known = {f"token.actions.githubusercontent.com:{name}": claims[name] for name in claims}
        provider = trust["Principal"]["Federated"]
        return permissions.federated_role(live_context, arn, provider, known) is not None

    assert is_trusted("main")
    assert not is_trusted("mine")
    assert not is_trusted("main", ref="refs/tags/main")
    assert not is_trusted("main", ref="refs/pull/1/merge")


@pytest.mark.parametrize("region", ["eu-west-1", "ap-southeast-2"])
def test_the_policy_fits_into_a_role_with_room_for_the_states_bucket_and_key(
    region: str, configured: Callable[..., StackConfig]
) -> None:
    """All inline policies of a role together have at most 10,240 characters that are not white space.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    delivery = {"repository": "acme/triplane", "environment": "production"}
    config = configured("aws", delivery=delivery, **{"aws:region": region})
    engine, _ = platform(config, "a-stack-with-a-name-of-forty-characters-")
    assert len(re.sub(r"\s", "", delivery_policy(engine))) <= 9_240
