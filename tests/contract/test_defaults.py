"""No change by hand hides in a default that the provider fills in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rehearsal.core.schema import Schemas
from rehearsal.core.wire import DEFAULTS, encode
from rehearsal.provider import generic
from rehearsal.server import PROFILES

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
FIXED = frozenset({"initialVariantWeight", "mode"})
"""Defaults that cannot be changed after the creation (``ForceNew`` in Terraform's schema): of a variant, a container, a
repository."""
NOT_COMPARED = "image-context"
"""How the names of build contexts end. Their hash is ignored: the provider makes the zip."""
BRIDGED = {each.package: each for each in PROFILES if each.package != "azure-native"}


def lists_of_defaults(value: Any, path: str) -> dict[str, list[str]]:
    """The list of filled in inputs of each object that has one, by its path."""
    found: dict[str, list[str]] = {}
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name == DEFAULTS:
            found[path] = inner
        else:
            found |= lists_of_defaults(inner, f"{path}.{name}")
    for inner in value if isinstance(value, list) else ():
        found |= lists_of_defaults(inner, path)
    return found


@pytest.mark.parametrize("package", BRIDGED)
def test_a_default_that_would_stand_alone_is_written_in_the_program(package: str) -> None:
    """The bridge keeps such a value as a hand left it, once a refresh has read it: docs/design/drift.md."""
    cloud, schemas = BRIDGED[package], Schemas(package)
    hidden: dict[str, list[str]] = {}
    for resource in json.loads((SNAPSHOTS / f"{package}.json").read_text()):
        is_ours = resource["type"].startswith(f"{package}:")
        if not is_ours or resource["name"].endswith(NOT_COMPARED):
            continue
        schema = schemas.get(resource["type"])
        rules = cloud.rules().get(schema.token)
        name = cloud.provider.name_property(schema)
        if rules:
            name = generic.name_property(cloud.provider, schema, rules)
        named = [name] if name and name not in resource["inputs"] else []
        inputs = cloud.provider.checked(schema, encode({}), resource["inputs"], named, random=False)
        for path, filled in lists_of_defaults(inputs, resource["name"]).items():
            if filled and name not in filled and not FIXED.issuperset(filled):
                hidden[path] = filled
    assert hidden == {}
