"""What providers have in common that are bridged from Terraform.

https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/schema.go
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import struct_pb2

from rehearsal.core.assets import SIGNATURE
from rehearsal.core.records import Json
from rehearsal.core.schema import Schema
from rehearsal.core.wire import DEFAULTS, decode
from rehearsal.provider.real_provider import RealProvider

Fill = Callable[[Json, Json, Json], Json]
"""An object with its defaults: from the object, the old one, and the defaults of its type by name."""


@dataclass(frozen=True, kw_only=True)
class BridgedProvider(RealProvider):
    """A provider that is bridged from Terraform."""

    separator: str = "-"
    digits: int = 7
    """https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming"""
    converts_scalars: bool = True
    state_word: str = "ACTIVE"
    autonamed: Mapping[str, str] = field(default_factory=dict)
    """By type: the input for which a name is made where it is not ``name``, as of every other type that has one.
    https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/info/autonaming.go"""
    check_defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By type and dotted path (lists are walked through): the ``Default`` in Terraform's schema, which `Check` fills
    in. Not in here: what is false, 0 or empty, which `Check` leaves out since April 2026
    (`shouldSuppressTFSchemaDefaultValue`), and what is ``Computed``, which only a read fills in."""

    def name_property(self, schema: Schema) -> str | None:
        for wire in ("name", schema.id_template.strip("{}")):
            if schema.inputs.get(wire, {}).get("type") == "string":
                return wire
        return None

    def path_parameters(self, schema: Schema) -> list[str]:
        return [name for name in schema.inputs if f"{{{name}}}" in schema.id_template]

    def keeps_name(self, olds: struct_pb2.Struct, name: str) -> bool:
        """An old name is kept only if the provider had filled it in, which is not so after an import."""
        return _is_reusable(decode(olds, notes=True)[0], name)

    def completed(self, schema: Schema, inputs: Json) -> Json:
        def fill(values: Json, old: Json, defaults: Json) -> Json:
            return _absent(values, defaults) | values

        return self._each_object(schema, inputs, {}, fill)

    def checked(
        self,
        schema: Schema,
        olds: struct_pb2.Struct,
        news: Json,
        filled: list[str],
        *,
        random: bool,
    ) -> Json:
        """Each object gets the list of what was filled in, maps do not. A value that was filled in once stays."""

        def fill(values: Json, old: Json, defaults: Json) -> Json:
            absent = _absent(values, defaults)
            kept = {name: old[name] for name in absent if _is_reusable(old, name)}
            return {**values, **absent, **kept, DEFAULTS: sorted(absent)}

        inputs = self._each_object(schema, news, decode(olds, notes=True)[0], fill)
        inputs[DEFAULTS] = sorted({*filled, *inputs[DEFAULTS]})
        return inputs

    def inputs_as_read(
        self, schema: Schema, requested: struct_pb2.Struct, found: Json, *, is_import: bool
    ) -> Json:
        """The lists of what was filled in lose what has changed, and an empty list is dropped (`deleteDefaultsKey`).

        Then nothing says any more that a value was filled in, and the next `Check` keeps it where the program gives none.
        An import has nothing that equals a default, and only empty lists (`extractSchemaInputsObject`).
        https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/defaults.go
        """

        def imported(values: Json, old: Json, defaults: Json) -> Json:
            given = {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}
            return {**given, DEFAULTS: []}

        def refreshed(values: Json, old: Json, defaults: Json) -> Json:
            noted = old.get(DEFAULTS, ())
            unchanged = [each for each in noted if each in old and values.get(each) == old[each]]
            return {**values, DEFAULTS: unchanged} if unchanged else values

        inputs = self.completed(schema, found)
        if is_import:
            return self._each_object(schema, inputs, {}, imported)
        return self._each_object(schema, inputs, decode(requested, notes=True)[0], refreshed)

    def deletes_first(
        self, token: str, old_inputs: struct_pb2.Struct, news: struct_pb2.Struct
    ) -> bool:
        """If the program gives the name of a type that has autonaming, even if it gives another one.

        Without a list of defaults the bridge takes the name for its own (`nameRequiresDeleteBeforeReplace`).
        """
        name = self.autonamed.get(token, "name")
        defaults = news.fields.get(DEFAULTS)
        if defaults is None or name not in news.fields:
            return False
        return all(each.string_value != name for each in defaults.list_value.values)

    def _each_object(self, schema: Schema, inputs: Json, olds: Json, fill: Fill) -> Json:
        """The inputs with every object in them filled."""
        defaults: Json = {}
        for path, value in self.check_defaults.get(schema.token, {}).items():
            *parents, last = path.split(".")
            inner = defaults
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[last] = value

        def object_(properties: Json, values: Json, old: Any, tree: Json) -> Json:
            old = old if isinstance(old, dict) else {}
            inside = {
                name: value_(
                    properties.get(name, {}).get("type"), value, old.get(name), tree.get(name)
                )
                for name, value in values.items()
            }
            here = {name: value for name, value in tree.items() if not isinstance(value, dict)}
            return fill(inside, old, here)

        def value_(kind: Any, value: Any, old: Any, tree: Any) -> Any:
            constructor, argument = kind if isinstance(kind, list) else ("", "")
            tree = tree if isinstance(tree, dict) else {}
            if constructor == "list" and isinstance(value, list):
                before = old if isinstance(old, list) else []
                before = [*before, *[None] * (len(value) - len(before))]
                return [value_(argument, v, o, tree) for v, o in zip(value, before, strict=False)]
            if constructor == "object" and isinstance(value, dict) and SIGNATURE not in value:
                return object_(schema.types[argument], value, old, tree)
            return value

        return object_(schema.inputs, inputs, olds, defaults)


def _absent(values: Json, defaults: Json) -> Json:
    return {name: value for name, value in defaults.items() if values.get(name) is None}


def _is_reusable(old: Json, name: str) -> bool:
    """Whether an old value may take the place of a default: it was one, or nothing says what was."""
    return name in old and (DEFAULTS not in old or name in old[DEFAULTS])
