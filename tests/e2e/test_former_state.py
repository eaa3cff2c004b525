"""A state of an earlier version, with the former names of the dynamic providers, on the real engine."""

from __future__ import annotations

import json
from pathlib import Path

from bench.harness import Stack
from tests.unit.components.test_former_names import BEFORE_THE_MOVE


def test_a_state_with_former_provider_names_is_previewed_and_refreshed(
    stack: Stack, tmp_path: Path
) -> None:
    """A destroy loads the providers from the state as a refresh does."""
    today = stack.pulumi("stack", "export")
    deployment = json.loads(today)
    stored = set()
    for each in deployment["deployment"]["resources"]:
        for properties in (each.get("inputs", {}), each.get("outputs", {})):
            # A type that was added since has no former name.
            if "__provider" in properties and each["type"] in BEFORE_THE_MOVE:
                properties["__provider"] = BEFORE_THE_MOVE[each["type"]]
                stored.add(each["type"])
    assert len(stored) >= 3
    former, original = tmp_path / "former.json", tmp_path / "today.json"
    former.write_text(json.dumps(deployment))
    original.write_text(today)
    stack.pulumi("stack", "import", "--file", str(former))
    try:
        stack.pulumi("preview", "--expect-no-changes")
        stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
        stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    finally:
        stack.pulumi("stack", "import", "--file", str(original))
