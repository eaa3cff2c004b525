"""The policy pack gives the verdicts of `make policy`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from policy import pack_rules, record, rules
from tests.policy.changes import BASE, mutated
from tests.policy.conftest import Plans
from tests.policy.mutations import MUTATIONS


def urn(resource: record.Resource) -> str:
    return f"urn:pulumi:dev::triplane::{resource.type}::{resource.name}"


def verdicts(plan: record.Plan) -> dict[str, list[str]]:
    """What the pack's callables report, by rule: handed the inputs one by one, and then ids as outputs."""
    pack_rules.INPUTS.clear()
    for each in plan:
        pack_rules.remember(SimpleNamespace(urn=urn(each), props=each.inputs), lambda *_: None)
    handed = SimpleNamespace(
        resources=[
            SimpleNamespace(
                resource_type=each.type,
                name=each.name,
                urn=urn(each),
                props={"id": each.id},
            )
            for each in plan
        ]
    )
    found: dict[str, list[str]] = {}
    for rule in rules.RULES:
        pack_rules.validation(rule)(
            handed, lambda says, _urn, name=rule.name: found.setdefault(name, []).append(says)
        )
    return found


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_pack_says_what_the_offline_rules_say(cloud: str, plans: Plans) -> None:
    plan = plans[cloud][BASE]
    assert verdicts(plan) == {}
    for mutation in (each for each in MUTATIONS if each.cloud == cloud):
        broken = mutated(plan, mutation)
        wanted = {
            rule.name: [each.says for each in rules.violations(rule, broken)]
            for rule in rules.RULES
            if rules.violations(rule, broken)
        }
        assert verdicts(broken) == wanted, str(mutation)
