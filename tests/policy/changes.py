"""Changes that make a plan insecure: another input, a missing resource, an additional resource."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from api_models.resource import Plan, Resource

BASE = "deployed by GitHub Actions"
"""The recorded plan that each mutation changes: the smallest plan, with the delivery's trust."""
Change = Callable[[list[Resource]], list[Resource]]


@dataclass(frozen=True)
class Mutation:
    """One insecure change of a plan."""

    rule: str
    type: str
    """The type whose check must find it."""
    what: str
    change: Change

    @property
    def cloud(self) -> str:
        package = self.type.partition(":")[0]
        return {"azure-native": "azure", "pulumi-python": "gcp", "*": "aws"}.get(package, package)

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def put(type_: str, path: str, value: Any, name: str = "") -> Change:
    """Write an input of one resource of a type; a number in the path is the index of a list."""

    def change(plan: list[Resource]) -> list[Resource]:
        index = next(i for i, r in enumerate(plan) if r.type == type_ and name in r.name)
        inputs = copy.deepcopy(dict(plan[index].inputs))
        *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        inner: Any = inputs
        for step in parents:
            inner = inner[step] if isinstance(step, int) else inner.setdefault(step, {})
        inner[last] = value
        return [*plan[:index], replace(plan[index], inputs=inputs), *plan[index + 1 :]]

    return change


def drop(type_: str) -> Change:
    """Remove every resource of a type."""
    return lambda plan: [each for each in plan if each.type != type_]


def add(type_: str, **inputs: Any) -> Change:
    """Add one resource."""
    return lambda plan: [*plan, Resource(type_, "added", "added", inputs)]


def edit(type_: str, path: str, old: str, new: str, name: str = "") -> Change:
    """Replace a part of a string."""

    def change(plan: list[Resource]) -> list[Resource]:
        found = next(r for r in plan if r.type == type_ and name in r.name)
        assert old in found.get(path), f"{old} is not in {path} of {found.name}"
        return put(type_, path, found.get(path).replace(old, new), name)(plan)

    return change


def mutated(plan: Plan, mutation: Mutation) -> list[Resource]:
    """The insecure plan; the recorded plan is unchanged."""
    return mutation.change(list(plan))
