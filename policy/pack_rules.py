"""A rule as the callable that a Pulumi stack policy wants. Imports nothing of Pulumi, so tests can call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policy.record import Resource, plain
from policy.rules import Rule, violations

Report = Callable[[str, str | None], None]


def validation(rule: Rule) -> Callable[[Any, Report], None]:
    """``validate(args, report_violation)`` for one rule.

    A preview does not know everything: the SDK raises on an unknown value and tells so as an advice, and
    the rule is held against all values when the update has run.
    """

    def validate(args: Any, report: Report) -> None:
        urns = {each.name: each.urn for each in args.resources}
        plan = [
            Resource(
                each.resource_type,
                each.name,
                str(each.props.get("id") or each.props.get("name") or each.name),
                unwrapped(each.props),
            )
            for each in args.resources
        ]
        for violation in violations(rule, plan):
            report(violation.says, urns.get(violation.resource))

    return validate


def unwrapped(props: Mapping[str, Any]) -> dict[str, Any]:
    """Properties as a record has them; the SDK's proxies become plain values."""
    value = plain(listed(props))
    assert isinstance(value, dict)  # noqa: S101  # a mapping stays one
    return value


def listed(value: Any) -> Any:
    """Mappings and sequences of any make as dicts and lists."""
    if isinstance(value, Mapping):
        return {name: listed(item) for name, item in value.items()}
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        return value
    return [listed(item) for item in value]
