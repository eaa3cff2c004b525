"""A rule as the callable that a Pulumi stack policy needs. Does not import `pulumi_policy`, so tests can call it.

A pack receives secrets in plain text, because the SDK removes the engine's marks. So this module searches all
other values for the secrets that the stack's stores hold (`secrecy.STORES`).

A stack policy receives outputs only. In those, azure-native leaves out some inputs (the account, the group), and the
rules examine inputs. So a policy of single resources, which receives inputs, keeps them (`PackRules.remember`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from api_models.resource import Resource
from policy import secrecy
from policy.enforcement import violations
from policy.plain import plain
from policy.rules import Rule

Report = Callable[[str, str | None], None]


class PackRules:
    """The rules in one run of a policy pack, and the inputs that the run has seen."""

    def __init__(self) -> None:
        self._inputs: dict[str, Mapping[str, Any]] = {}
        """The inputs of each resource, by URN."""

    def remember(self, args: Any, _report: Report) -> None:
        """Keep a resource's inputs without reading them: to read an unknown value in a preview is an error."""
        self._inputs[args.urn] = args.props

    def validation(self, rule: Rule) -> Callable[[Any, Report], None]:
        """``validate(args, report_violation)`` for one rule.

        A preview does not know all values: the SDK raises on an unknown value and reports that as an advice.
        After the update all values are known, and the rule is checked completely.
        """

        def validate(args: Any, report: Report) -> None:
            urns = {each.name: each.urn for each in args.resources}
            known = self._secrets(args.resources)
            plan = [
                Resource(
                    each.resource_type,
                    each.name,
                    identifier(each.props, each.name),
                    plain_inputs(self._inputs_of(each), *known),
                )
                for each in args.resources
            ]
            for violation in violations(rule, plan):
                report(violation.message, urns.get(violation.resource))

        return validate

    def _inputs_of(self, resource: Any) -> Mapping[str, Any]:
        """The inputs of a resource; its outputs if the run has not seen the inputs."""
        props: Mapping[str, Any] = resource.props
        return self._inputs.get(resource.urn, props)

    def _secrets(self, resources: Iterable[Any]) -> list[str]:
        """The values that these resources keep secret, as inputs or as outputs; the longest first."""
        found = {
            value
            for each in resources
            for properties in (self._inputs_of(each), each.props)
            for value in secrecy.secret_values(each.resource_type, properties)
        }
        return sorted(found, key=lambda value: (-len(value), value))


def identifier(props: Mapping[str, Any], name: str) -> str:
    """The text by which other resources refer to this one; a stack policy receives outputs, perhaps with an id."""
    return str(next((props[key] for key in ("id", "bucket", "name") if props.get(key)), name))


def plain_inputs(props: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """Properties as a plan has them: plain values instead of the SDK's proxies, a word instead of a secret."""
    value = plain(plain_collections(props), *known)
    assert isinstance(value, dict)  # noqa: S101  # a mapping stays one
    return value


def plain_collections(value: Any) -> Any:
    """Mappings and sequences of any class as dicts and lists."""
    if isinstance(value, Mapping):
        return {name: plain_collections(item) for name, item in value.items()}
    if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
        return value
    return [plain_collections(item) for item in value]
