"""A state of an earlier version, with the former names of the dynamic providers, on the real engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.harness import Stack
from tests.unit.components.test_former_names import BEFORE_THE_MOVE

TASK_RUN = "azure-native:containerregistry:TaskRun"


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


@pytest.mark.parametrize("stack", ["azure"], indirect=True)
def test_a_state_with_a_task_run_keeps_its_registry_and_its_image(
    stack: Stack, tmp_path: Path
) -> None:
    """Earlier versions built the image on Azure by a `TaskRun`; the image is found by its tag, and not built again."""
    original = stack.pulumi("stack", "export")
    deployment = json.loads(original)
    resources = deployment["deployment"]["resources"]
    (built,) = (
        each for each in resources if each["urn"].endswith(":AzureBuiltImage::triplane-image-build")
    )
    registry = built["outputs"]["registry"]
    former = {
        **{key: built[key] for key in ("custom", "parent", "created", "modified")},
        "urn": built["urn"].replace(built["type"], TASK_RUN).replace("-image-build", "-image-run"),
        "type": TASK_RUN,
        "id": f"{registry}/taskRuns/triplane-image-run01234567",
        "inputs": {"registryName": registry.rpartition("/")[2], "taskRunName": "run"},
        "outputs": {"name": "run"},
        "provider": next(
            each["provider"] for each in resources if each["type"].endswith(":Registry")
        ),
    }
    deployment["deployment"]["resources"] = [
        without_dependency(each, built["urn"]) if each is not built else former
        for each in resources
    ]
    file = tmp_path / "former.json"
    file.write_text(json.dumps(deployment))
    stack.pulumi("stack", "import", "--file", str(file))
    stack.pulumi("up", "--yes", "--skip-preview")
    after = json.loads(stack.pulumi("stack", "export"))["deployment"]["resources"]
    ids = {each["urn"]: each.get("id") for each in resources}
    # Nothing is replaced, and the image is the same: it was not built again.
    assert {each["urn"]: each.get("id") for each in after} == ids
    (found,) = (each for each in after if each["urn"] == built["urn"])
    assert found["outputs"]["image"] == built["outputs"]["image"]
    stack.pulumi("preview", "--expect-no-changes")


@pytest.mark.parametrize("stack", ["azure"], indirect=True)
def test_a_workspace_that_was_part_of_the_one_endpoint_is_kept_with_its_vault(
    stack: Stack, tmp_path: Path
) -> None:
    """Earlier versions had one endpoint, and the workspace in it."""
    original = stack.pulumi("stack", "export")
    former, today = "triplane:azure:ModelEndpoint", "triplane:azure:Workspace"
    file = tmp_path / "former.json"
    file.write_text(original.replace(today, former))
    stack.pulumi("stack", "import", "--file", str(file))
    stack.up()
    after = {each["urn"]: each.get("id") for each in stack.resources()}
    before = {
        each["urn"]: each.get("id") for each in json.loads(original)["deployment"]["resources"]
    }
    assert after == before, "nothing is replaced"
    stack.pulumi("preview", "--expect-no-changes")


def without_dependency(resource: dict[str, Any], urn: str) -> dict[str, Any]:
    """The resource as it is in a state that does not have ``urn``."""
    properties = resource.get("propertyDependencies") or {}
    return {
        **resource,
        "dependencies": [each for each in resource.get("dependencies") or () if each != urn],
        "propertyDependencies": {
            name: [each for each in urns or () if each != urn] for name, urns in properties.items()
        },
    }
