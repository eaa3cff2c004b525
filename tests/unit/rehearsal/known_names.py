"""A judge of names: the rehearsal reads and writes only inputs and outputs that the SDK's type has.

A misspelt name is a rule that never holds, or an output that no program finds, and no test of the rule says so: it looks
like an input that is left out. While a test runs, inputs and outputs of records refuse such a name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pytest

from rehearsal.aws.profile import PROFILE as AWS
from rehearsal.azure.profile import PROFILE as AZURE
from rehearsal.core.records import Inputs, Json, Record
from rehearsal.core.schema import Schema, Schemas, UnknownType
from rehearsal.core.settings import PACKAGE
from rehearsal.gcp.profile import PROFILE as GCP
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

PACKAGES = ("aws", "gcp", "azure-native")
CLOUDS = tuple(str(PACKAGE / cloud) for cloud in ("aws", "gcp", "azure"))
"""The modules whose reading is judged. What all clouds share looks in any resource for what some have."""
ASKED_OF_ALL = frozenset(
    [
        *("identity", "kind", "labels", "location", "name", "project", "properties", "region"),
        *("resourceGroupName", "scope", "systemData", "tags", "zone"),
        # What a binding on Google Cloud names its resource by.
        *("bucket", "endpoint", "repository", "role", "secretId", "serviceAccountId"),
    ]
)
"""What a cloud's provider looks for in resources of every type."""


class UnknownName(AssertionError):
    """The SDK's type has no such property."""


class Known(Inputs):
    """A dictionary that can only have these names."""

    of = ""
    names: frozenset[str] | None = None
    """None: any."""

    def __init__(self, values: Any = (), unknown: frozenset[str] = frozenset()) -> None:
        super().__init__(dict(values), unknown)

    def limited_to(self, names: frozenset[str], of: str) -> Known:
        self.names, self.of = names | ASKED_OF_ALL, of
        for name in self:
            self._judge(name)
        return self

    def _judge(self, name: object, *, reading: bool = False) -> None:
        if self.names is not None and name not in self.names:
            if reading and not sys._getframe(2).f_code.co_filename.startswith(CLOUDS):
                return
            raise UnknownName(f"{self.of} has no property {name}")

    def get(self, name: str, default: Any = None) -> Any:
        self._judge(name, reading=True)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self._judge(name, reading=True)
        return super().__getitem__(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._judge(name)
        super().__setitem__(name, value)

    def __contains__(self, name: object) -> bool:
        self._judge(name, reading=True)
        return super().__contains__(name)

    def __ior__(self, other: Any) -> Known:  # type: ignore[override, misc]
        for name, value in dict(other).items():
            self[name] = value
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        self._judge(name)
        return super().setdefault(name, default)

    def pop(self, name: str, *default: Any) -> Any:  # type: ignore[override]
        self._judge(name, reading=True)
        return super().pop(name, *default)


@cache
def _schemas(package: str) -> Schemas:
    return Schemas(package)


def _schema(package: str, token: str) -> Schema | None:
    if package not in PACKAGES:
        return None
    try:
        return _schemas(package).get(token)
    except UnknownType:
        return None


Kinds = Sequence[Any]
"""The types of a value, as `rehearsal.core.extract` describes them: an output is also what the program has put in."""


def known(schema: Schema, values: Any, of: str, *properties: Json) -> Any:
    """The values, with each object in them limited to what the SDK describes."""
    kinds: dict[str, list[Any]] = {}
    for each in properties:
        for name, described in each.items():
            kinds.setdefault(name, []).append(described["type"])
    inner = {name: _value(schema, value, kinds.get(name, ())) for name, value in values.items()}
    unknown = getattr(values, "unknown", frozenset())
    return Known(inner, unknown).limited_to(frozenset(kinds), of)


def _value(schema: Schema, value: Any, kinds: Kinds) -> Any:
    inner = [kind[1] for kind in kinds if isinstance(kind, list)]
    constructors = {kind[0] for kind in kinds if isinstance(kind, list)}
    if constructors == {"list"} and isinstance(value, list):
        return [_value(schema, each, inner) for each in value]
    if constructors == {"map"} and isinstance(value, dict):
        return {name: _value(schema, each, inner) for name, each in value.items()}
    if constructors == {"object"} and isinstance(value, dict):
        return known(schema, value, inner[0], *(schema.types[name] for name in inner))
    return value


def _described(which: str) -> property:
    """`Record.inputs` or `Record.outputs`, limited to what the SDK's class has."""

    def get(record: Record) -> Any:
        return record.__dict__[which]

    def put(record: Record, values: Any) -> None:
        schema = _schema(record.package, record.token)
        if schema:
            outputs = (schema.outputs,) if which == "outputs" else ()
            of = f"{record.token} ({which})"
            values = known(schema, values, of, schema.inputs, *outputs)
        record.__dict__[which] = values

    return property(get, put)


def _classes() -> Iterator[tuple[str, type[ResourceType]]]:
    """Each class of rules that has a check of its own, with its package."""
    found = set()
    for profile in (AWS, GCP, AZURE):
        for rules in profile.rules().values():
            for each in type(rules).__mro__:
                if "check" in vars(each) and each is not ResourceType and each not in found:
                    found.add(each)
                    yield profile.package, each


def judge(patch: pytest.MonkeyPatch) -> None:
    """Judge every name from now on."""
    patch.setattr(Record, "inputs", _described("inputs"), raising=False)
    patch.setattr(Record, "outputs", _described("outputs"), raising=False)
    for package, each in _classes():
        patch.setattr(each, "check", _judged(package, each.check))


def _judged(package: str, check: Any) -> Any:
    def judged(self: ResourceType, context: Context, inputs: Inputs) -> None:
        schema = _schema(package, self.token)
        if schema:
            inputs = known(schema, inputs, self.token, schema.inputs)
        check(self, context, inputs)

    return judged
