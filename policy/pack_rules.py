"""A rule as the callable that a Pulumi stack policy wants. Imports nothing of Pulumi, so tests can call it.

A pack is handed secrets in plain text: the SDK takes the engine's marks off. So the values that the stack is
known to keep secret (`secrecy.STORES`) are looked for in everything else.

A stack policy is handed outputs alone, in which azure-native leaves out what a resource was told (its account,
its group); the rules speak of inputs. So a policy of single resources, which is handed inputs, keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from policy import secrecy
from policy.record import Resource, plain
from policy.rules import Rule, violations

Report = Callable[[str, str | None], None]
INPUTS: dict[str, Mapping[str, Any]] = {}
"""What each resource was told in this run, by URN. A pack is a process of its own for each run."""


def remember(args: Any, _report: Report) -> None:
    """Keep a resource's inputs, unread: to read what is unknown in a preview is an error to the SDK."""
    INPUTS[args.urn] = args.props


def validation(rule: Rule) -> Callable[[Any, Report], None]:
    """``validate(args, report_violation)`` for one rule.

    A preview does not know everything: the SDK raises on an unknown value and tells so as an advice, and
    the rule is held against all values when the update has run.
    """

    def validate(args: Any, report: Report) -> None:
        urns = {each.name: each.urn for each in args.resources}
        known = secrets(args.resources)
        plan = [
            Resource(
                each.resource_type,
                each.name,
                identifier(each.props, each.name),
                unwrapped(told(each), *known),
            )
            for each in args.resources
        ]
        for violation in violations(rule, plan):
            report(violation.says, urns.get(violation.resource))

    return validate


def identifier(props: Mapping[str, Any], name: str) -> str:
    """What others say when they mean this resource; a stack policy is handed outputs, among which an id may be."""
    return str(next((props[key] for key in ("id", "bucket", "name") if props.get(key)), name))


def told(resource: Any) -> Mapping[str, Any]:
    """What a resource was told; of one that was not seen, what it is."""
    props: Mapping[str, Any] = resource.props
    return INPUTS.get(resource.urn, props)


def secrets(resources: Iterable[Any]) -> list[str]:
    """The values that these resources keep secret, told to them or made by them; the longest first."""
    found = {
        value
        for each in resources
        for properties in (told(each), each.props)
        for value in secrecy.values(each.resource_type, properties)
    }
    return sorted(found, key=lambda value: (-len(value), value))


def unwrapped(props: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """Properties as a record has them: the SDK's proxies become plain values, what is secret a word."""
    value = plain(listed(props), *known)
    assert isinstance(value, dict)  # noqa: S101  # a mapping stays one
    return value


def listed(value: Any) -> Any:
    """Mappings and sequences of any make as dicts and lists."""
    if isinstance(value, Mapping):
        return {name: listed(item) for name, item in value.items()}
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        return value
    return [listed(item) for item in value]
