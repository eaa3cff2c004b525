"""The enforced checks of all clouds, and what they find in a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from api_models.resource import Plan, Resource
from policy import aws, azure, gcp, secrecy
from policy.access import any_cloud
from policy.access import aws as aws_access
from policy.access import azure as azure_access
from policy.access import gcp as gcp_access
from policy.checks import Check
from policy.rules import Rule

CHECKS: tuple[Check, ...] = (
    *any_cloud.CHECKS,
    *secrecy.CHECKS,
    *aws_access.CHECKS,
    *aws.CHECKS,
    *gcp_access.CHECKS,
    *gcp.CHECKS,
    *azure_access.CHECKS,
    *azure.CHECKS,
)


@dataclass(frozen=True)
class Violation:
    """A resource that breaks a rule."""

    rule: str
    type: str
    resource: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.resource} ({self.type}): {self.message}"


def applicable_checks(rule: Rule, plan: Plan) -> Iterator[tuple[Resource, Check]]:
    """Every resource of a plan with every check that the rule has for it."""
    checks = [each for each in CHECKS if each.rule is rule]
    for resource in plan:
        for check in checks:
            if check.applies_to(resource.type):
                yield resource, check


def violations(rule: Rule, plan: Plan) -> list[Violation]:
    """Everything in a plan that breaks a rule."""
    return [
        Violation(rule.name, resource.type, resource.name, message)
        for resource, check in applicable_checks(rule, plan)
        for message in check.problems(resource, plan)
    ]


def check_count(rule: Rule, plan: Plan) -> int:
    """The number of checks that a rule makes in a plan."""
    return sum(1 for _ in applicable_checks(rule, plan))
