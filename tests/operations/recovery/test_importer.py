"""What an import makes of the deployment before and after the cloud is read, without an engine or a cloud."""

from __future__ import annotations

import json

import pytest

from operations.recovery import importer
from operations.recovery.program_preview import Preview, providers_in
from tests.operations.recovery.previews import (
    BUCKET,
    LAKE,
    POLICY,
    PROVIDER,
    TAGS,
    UNKNOWN,
    URN,
    deployment,
    missing,
)


def test_providers_and_components_are_taken_from_the_preview() -> None:
    component = {"urn": f"{URN}c::c", "type": "c", "custom": False, "outputs": {"a": UNKNOWN}}
    provider = {
        "urn": PROVIDER,
        "type": "pulumi:providers:aws",
        "inputs": {"region": "r", "secretKey": "[secret]"},
    }
    event = json.dumps({"resourcePreEvent": {"metadata": {"new": provider}}})
    steps = [{"op": "create", "urn": each["urn"], "newState": each} for each in (component, LAKE)]
    preview = Preview(steps, providers_in([event, event, '{"other": 1}']))
    assert preview.missing == [LAKE]
    resources = importer.with_providers_and_components({}, preview)["resources"]
    assert [each["urn"] for each in resources] == [PROVIDER, component["urn"]]
    assert resources[0]["inputs"] == {"region": "r"}
    assert resources[0]["id"]
    assert resources[1]["outputs"] == {}
    again = importer.with_providers_and_components({"resources": resources}, preview)["resources"]
    assert again == resources


@pytest.mark.parametrize("other", [{"stack": "dev-2"}, {"environment": "production"}])
def test_a_found_resource_with_tags_of_another_stack_is_not_imported(
    other: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = missing(BUCKET, "fixed", inputs={"tags": {**TAGS, "team": "t"}}, id="fixed")
    labels = missing(BUCKET, "labels", inputs={"labels": TAGS}, id="labels")
    foreign = {**fixed, "outputs": {"tags": {**TAGS, **other}}, "inputs": {}}
    own = {**labels, "outputs": {"effectiveLabels": TAGS}, "inputs": {}}
    own["dependencies"] = [fixed["urn"], PROVIDER]
    after, urns = importer.without_foreign_resources(
        deployment(foreign, own), [fixed["urn"], labels["urn"]], [fixed, labels]
    )
    assert urns == [labels["urn"]]
    assert after["resources"][-1] == {
        **own,
        "dependencies": [PROVIDER],
        "propertyDependencies": {},
    }
    assert fixed["urn"] not in {each["urn"] for each in after["resources"]}
    assert "fixed exists, and does not belong to this stack" in capsys.readouterr().out


@pytest.mark.parametrize("property_", importer.TAG_PROPERTIES)
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_tags_of_another_stack_are_recognised_under_each_clouds_name_for_them(
    property_: str, side: str
) -> None:
    wanted = missing(BUCKET, "it", inputs={"labels": TAGS}, id="it")
    own = {**wanted, "inputs": None, "outputs": None, side: {property_: TAGS}}
    foreign = {**own, side: {property_: {**TAGS, "stack": "another"}}}
    for there, found in ((own, [wanted["urn"]]), (foreign, [])):
        _, urns = importer.without_foreign_resources(deployment(there), [wanted["urn"]], [wanted])
        assert urns == found


def test_imported_resources_have_the_programs_order_and_dependencies() -> None:
    first, second = missing(BUCKET, "a", id="a"), missing(POLICY, "b", id="b", dependencies=[])
    gone = missing(BUCKET, "of-an-older-program", id="c")
    old = {**first, "delete": True, "id": "d"}
    steps = [
        {"urn": first["urn"], "newState": {**first, "retainOnDelete": True}},
        {
            "urn": second["urn"],
            "newState": {**second, "dependencies": [first["urn"], "not-imported"]},
        },
    ]
    resources = importer.in_program_order(deployment(second, gone, first, old), steps)["resources"]
    assert [each.get("id") for each in resources] == ["1", "a", "b", None, "c", "d"]
    assert resources[1]["retainOnDelete"]
    assert resources[2]["dependencies"] == [first["urn"]]


def test_a_resource_with_several_steps_is_in_the_program_order_once() -> None:
    lake = missing(BUCKET, "a", id="a")
    steps = [{"urn": lake["urn"], "newState": lake}] * 3
    resources = importer.in_program_order(deployment(lake), steps)["resources"]
    assert [each.get("id") for each in resources] == ["1", "a", None]
