"""The program keeps the rules, and each check finds a plan that breaks its rule."""

from __future__ import annotations

import json
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest

from api_models.resource import Plan, Resource
from policy import aws, azure, gcp, record
from policy.access import aws as aws_access
from policy.checks import inexact_subject
from policy.enforcement import CHECKS, Violation, violations
from policy.plain import SECRET, SECRET_SIGNATURE, SIGNATURE
from policy.rules import RULES
from rehearsal.core.schema import Schemas
from tests.policy.changes import BASE, Change, Mutation, mutated, put
from tests.policy.conftest import Plans
from tests.policy.mutations import ACCOUNT, MUTATIONS
from tests.policy.mutations_access import CUSTOM_ROLE

LEAST = "as little as possible"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"


def all_violations(plan: Plan) -> list[Violation]:
    return [each for rule in RULES for each in violations(rule, plan)]


def broken_rules(plan: Plan) -> set[str]:
    return {each.rule for each in all_violations(plan)}


@pytest.mark.parametrize("variant", record.VARIANTS)
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_every_rule_holds_for_what_the_program_registers(
    cloud: str, variant: str, plans: Plans
) -> None:
    found = all_violations(plans[cloud][variant])
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_an_insecure_change_breaks_its_rule_and_no_other(mutation: Mutation, plans: Plans) -> None:
    plan = mutated(plans[mutation.cloud][BASE], mutation)
    assert broken_rules(plan) == {mutation.rule}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # The deployer's exception in another role; another permission in the deployer's role.
        (put(CUSTOM_ROLE, "permissions", ["run.services.setIamPolicy"], "predictor"), "allows"),
        (put(CUSTOM_ROLE, "permissions", ["storage.buckets.setIamPolicy"], "deployer"), "allows"),
        (put(PROJECT_MEMBER, "role", "projects/p/roles/predictor", "delivery"), "whole project"),
    ],
)
def test_the_exceptions_of_the_delivery_role_are_for_this_role_only(
    change: Change, message: str, plans: Plans
) -> None:
    plan = change(list(plans["gcp"]["deployed by GitHub Actions"]))
    (found,) = all_violations(plan)
    assert message in found.message


def test_each_check_of_each_rule_has_an_insecure_variant() -> None:
    """A check that no test has ever seen fail proves nothing."""
    checks = {(check.rule.name, type_) for check in CHECKS for type_ in check.types}
    proved = {(mutation.rule, mutation.type) for mutation in MUTATIONS}
    assert checks - proved == set(), "add a mutation to tests/policy/mutations.py"
    assert proved - checks == set()


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_check_of_the_type_itself_finds_the_mutation(cloud: str, plans: Plans) -> None:
    """Not only some check of the rule: the check that the mutation names."""
    for mutation in (each for each in MUTATIONS if each.cloud == cloud):
        plan = mutated(plans[cloud][BASE], mutation)
        found = [
            message
            for resource in plan
            if fnmatchcase(resource.type, mutation.type)
            for check in CHECKS
            if check.rule.name == mutation.rule and mutation.type in check.types
            for message in check.problems(resource, plan)
        ]
        assert found, str(mutation)


@pytest.mark.parametrize(
    ("module", "untagged"),
    [
        ("pulumi_aws", aws.UNTAGGED),
        ("pulumi_gcp", gcp.UNLABELLED),
        ("pulumi_azure_native", azure.UNTAGGED),
    ],
)
def test_only_types_without_tags_are_exempt_from_the_rule_on_tags(
    module: str, untagged: set[str]
) -> None:
    schemas = Schemas(module.removeprefix("pulumi_").replace("_", "-"))
    word = "labels" if module == "pulumi_gcp" else "tags"
    try:
        with_tags = {type_ for type_ in untagged if word in schemas.get(type_).inputs}
    finally:
        schemas.close()
    assert with_tags == set()


def test_a_state_gives_the_same_plan_as_its_program() -> None:
    """Secrets are as the engine writes them; providers and components are no resources of a cloud."""
    stack = "urn:pulumi:dev::triplane::"
    exported = {
        "deployment": {
            "resources": [
                {"type": "pulumi:pulumi:Stack", "urn": stack + "pulumi:pulumi:Stack::s"},
                {
                    "type": "pulumi:providers:aws",
                    "urn": stack + "pulumi:providers:aws::default",
                    "custom": True,
                    "id": "p",
                    "inputs": {},
                },
                {
                    "type": "aws:secretsmanager/secretVersion:SecretVersion",
                    "urn": stack + "a$b::version",
                    "custom": True,
                    "id": "v",
                    "inputs": {
                        "__defaults": [],
                        "secretId": "s",
                        "secretString": {SIGNATURE: SECRET_SIGNATURE, "ciphertext": "xyz"},
                    },
                },
            ]
        }
    }
    plan = record.of_state(json.loads(json.dumps(exported)))
    assert plan == [
        Resource(
            "aws:secretsmanager/secretVersion:SecretVersion",
            "version",
            "v",
            {"secretId": "s", "secretString": SECRET},
        )
    ]
    assert broken_rules(plan) == set()


def test_companions_are_found_when_ids_are_paths_as_in_the_state_of_azure(
    plans: Plans,
) -> None:
    group = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/"
    plan = [
        replace(each, id=group + each.id) if each.type == ACCOUNT else each
        for each in plans["azure"][LEAST]
    ]
    assert broken_rules(plan) == set()


def test_an_empty_state_has_no_resources() -> None:
    assert record.of_state({"version": 3, "deployment": None}) == []


@pytest.mark.parametrize(
    ("arn", "named"),
    [
        ("*", False),
        ("**", False),
        ("?*", False),
        ("arn:aws:s3:*", False),
        ("arn:aws:s3:::*", False),
        ("arn:aws:s3:::*/*", False),
        ("arn:aws:s3:::lake*/models/*", False),
        ("arn:aws:s3:::lake/models/*", True),
        ("arn:aws:kms:eu-west-1:123456789012:key/*", False),
        ("arn:aws:kms:*:123456789012:key/0a1b2c", False),
        ("arn:aws:logs:eu-west-1:123456789012:log-group:*", False),
        ("arn:aws:logs:eu-west-1:123456789012:log-group:triplane-gateway:*", True),
        ("arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/Endpoints/*", True),
        ("arn:aws:iam::123456789012:role/*", False),
        ("arn:aws:iam::123456789012:role/?*", False),
        ("arn:aws:iam::123456789012:role/t*", False),
        ("arn:aws:iam::123456789012:role/triplane-*", True),
    ],
)
def test_an_arn_names_a_resource_by_at_least_the_beginning_of_its_name(
    arn: str, named: bool
) -> None:
    assert aws_access.names_resource(arn) is named


@pytest.mark.parametrize(
    ("subject", "allowed"),
    [
        ("repo:acme/triplane:environment:production", True),
        ("repo:acme@123/triplane@456:environment:production", True),
        ("repo:acme/triplane:ref:refs/heads/main", True),
        ("repo:acme/triplane:ref:refs/heads/release/1.x", True),
        ("repo:acme/triplane:pull_request", False),
        ("repo:acme/triplane:*", False),
        ("repo:acme/*:ref:refs/heads/main", False),
        ("repo:acme/triplane", False),
        ("repository_owner:acme", False),
        ("", False),
        (None, False),
    ],
)
def test_a_subject_is_one_branch_or_one_environment_of_one_repository(
    subject: str | None, allowed: bool
) -> None:
    assert bool(list(inexact_subject(subject))) is not allowed
