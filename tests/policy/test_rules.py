"""The rules hold for what the program registers, and each of their checks sees what breaks it."""

from __future__ import annotations

import json
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest

from policy import aws, azure, gcp, record, rules
from policy.access import aws as aws_access
from policy.record import SECRET, SECRET_SIGNATURE, SIGNATURE
from tests.policy.changes import BASE, Change, Mutation, mutated, put
from tests.policy.conftest import Plans
from tests.policy.mutations import ACCOUNT, MUTATIONS
from tests.policy.mutations_access import CUSTOM_ROLE

LEAST = "as little as possible"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"


def broken(plan: record.Plan) -> set[str]:
    return {rule.name for rule in rules.RULES if rules.violations(rule, plan)}


@pytest.mark.parametrize("variant", record.VARIANTS)
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_every_rule_holds_for_what_the_program_registers(
    cloud: str, variant: str, plans: Plans
) -> None:
    found = [v for rule in rules.RULES for v in rules.violations(rule, plans[cloud][variant])]
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_what_is_made_insecure_breaks_its_rule_and_no_other(
    mutation: Mutation, plans: Plans
) -> None:
    plan = mutated(plans[mutation.cloud][BASE], mutation)
    assert broken(plan) == {mutation.rule}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        # The deployer's own excuse, in another role; another permission, in the deployer's.
        (put(CUSTOM_ROLE, "permissions", ["run.services.setIamPolicy"], "predictor"), "allows"),
        (put(CUSTOM_ROLE, "permissions", ["storage.buckets.setIamPolicy"], "deployer"), "allows"),
        (put(PROJECT_MEMBER, "role", "projects/p/roles/predictor", "delivery"), "whole project"),
    ],
)
def test_what_delivery_is_excused_is_excused_to_it_alone(
    change: Change, says: str, plans: Plans
) -> None:
    plan = change(list(plans["gcp"]["deployed by GitHub Actions"]))
    (found,) = (v for rule in rules.RULES for v in rules.violations(rule, plan))
    assert says in found.says


def test_each_check_of_each_rule_has_an_insecure_variant() -> None:
    """A check that nothing was seen to break proves nothing when it holds."""
    checks = {(rule.name, type_) for rule in rules.RULES for type_ in rule.checks}
    proved = {(mutation.rule, mutation.type) for mutation in MUTATIONS}
    assert checks - proved == set(), "add a mutation to tests/policy/mutations.py"
    assert proved - checks == set()


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_check_of_the_type_itself_sees_the_mutation(cloud: str, plans: Plans) -> None:
    """Not only some check of the rule: the one that the mutation says it proves."""
    for mutation in (each for each in MUTATIONS if each.cloud == cloud):
        plan = mutated(plans[cloud][BASE], mutation)
        checks = {rule.name: rule.checks for rule in rules.RULES}[mutation.rule][mutation.type]
        seen = [
            said
            for resource in plan
            if fnmatchcase(resource.type, mutation.type)
            for check in checks
            for said in check(resource, plan)
        ]
        assert seen, str(mutation)


@pytest.mark.parametrize(
    ("module", "untagged"),
    [
        ("pulumi_aws", aws.UNTAGGED),
        ("pulumi_gcp", gcp.UNLABELLED),
        ("pulumi_azure_native", azure.UNTAGGED),
    ],
)
def test_only_types_without_tags_are_excused_from_them(module: str, untagged: set[str]) -> None:
    from rehearsal.core.schema import Schemas

    schemas = Schemas(module.removeprefix("pulumi_").replace("_", "-"))
    word = "labels" if module == "pulumi_gcp" else "tags"
    try:
        with_tags = {type_ for type_ in untagged if word in schemas.get(type_).inputs}
    finally:
        schemas.close()
    assert with_tags == set()


def test_a_state_gives_the_record_that_its_program_gave() -> None:
    """Secrets as the engine writes them; providers and components are no resources of a cloud."""
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
        record.Resource(
            "aws:secretsmanager/secretVersion:SecretVersion",
            "version",
            "v",
            {"secretId": "s", "secretString": SECRET},
        )
    ]
    assert broken(plan) == set()


def test_what_guards_an_account_is_found_when_ids_are_paths_as_in_azures_state(
    plans: Plans,
) -> None:
    group = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/"
    plan = [
        replace(each, id=group + each.id) if each.type == ACCOUNT else each
        for each in plans["azure"][LEAST]
    ]
    assert broken(plan) == set()


def test_a_state_that_is_empty_has_nothing_to_hold() -> None:
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
def test_an_arn_says_how_the_name_begins_or_means_everything(arn: str, named: bool) -> None:
    assert aws_access.named(arn) is named


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
    assert bool(list(rules.subject(subject))) is not allowed
