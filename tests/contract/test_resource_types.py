"""What the platform knows about each resource type: permissions and ids that are right on no cloud are noticed here."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pytest

from components.resource_type import ResourceType
from components.resource_types import BY_CLOUD
from config.clouds import Cloud

SNAPSHOTS = Path(__file__).parent.parent / "snapshots"


class Placeholders(dict[str, str]):
    """Inputs whose values are their names."""

    def __missing__(self, name: str) -> str:
        return f"<{name}>"


def described(type_: ResourceType) -> dict[str, Any]:
    """The facts about a type that are not its default, with an example of its import id."""
    found = asdict(type_)
    if callable(type_.import_id):
        found["import_id"] = type_.import_id(Placeholders())
    if type_.search:
        found["search"] = {"kind": type(type_.search).__name__, **found["search"]}
    defaults = asdict(ResourceType(deploy=type_.deploy))
    return {
        name: value for name, value in found.items() if name == "deploy" or value != defaults[name]
    }


@pytest.mark.parametrize("cloud", get_args(Cloud))
def test_what_is_known_of_each_type_is_what_was_reviewed(cloud: Cloud) -> None:
    """A difference is a change of a permission, or of the id by which recovery finds a resource.

    Compare it with the cloud's documents, which the modules `components.<cloud>.resource_types` name, then accept it with
    ``make snapshots``.
    """
    types = {token: described(type_) for token, type_ in BY_CLOUD[cloud].items()}
    text = json.dumps(types, indent=1, sort_keys=True) + "\n"
    file = SNAPSHOTS / f"{cloud}-types.json"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(text)
    assert file.exists(), f"{file.name} is missing: make snapshots"
    assert text == file.read_text(), f"a type of {cloud} changed: review it, then make snapshots"
