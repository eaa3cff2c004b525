"""What is changed by hand on a running platform is found as drift, nothing else is, and `up` restores it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.harness import Stack
from components.azure import arm
from components.azure.dynamic import app_settings, endpoint_traffic
from components.gcp import rest
from components.gcp.dynamic import vertex_deployment
from operations.engine import previews

Changed = dict[str, list[str]]
"""The changed properties of each resource, by its name in the program."""
Resources = Mapping[str, dict[str, Any]]
"""The resources of the state, by their names."""


def change_vertex_ai(resources: Resources) -> Changed:
    """Other replicas of the deployment and other labels of the model, as in Google's console."""
    deployment = resources["triplane-endpoint-deployment"]
    model = resources["triplane-endpoint-model"]
    properties = deployment["outputs"]
    base = rest.vertex_url(properties["region"])
    scaled = {**properties, "min_instances": 5, "max_instances": 9}
    rest.operate(
        "POST",
        base,
        f"{properties['endpoint']}:mutateDeployedModel",
        vertex_deployment.scale_request(deployment["id"], scaled),
        what="scaling by hand",
        seconds=60,
    )
    labels = {"labels": {"changed": "by-hand"}}
    rest.call("PATCH", f"{base}{model['id']}?updateMask=labels", {"name": model["id"], **labels})
    return {
        "triplane-endpoint-deployment": ["max_instances", "min_instances"],
        "triplane-endpoint-model": ["labels"],
    }


def change_azure_traffic(resources: Resources) -> Changed:
    """An endpoint without traffic, as in Azure's studio."""
    id_ = resources["triplane-endpoint-traffic"]["outputs"]["endpoint_id"]
    endpoint = arm.get(id_)
    assert endpoint
    arm.put(id_, endpoint_traffic.traffic_request(endpoint, {}))
    return {"triplane-endpoint-traffic": ["deployment"]}


def change_app_settings(resources: Resources) -> Changed:
    """A gateway for everybody, and another setting, as in Azure's portal."""
    settings = resources["triplane-gateway-settings"]["outputs"]
    by_hand = {"properties": {**settings["settings"], "ACCESS": "public", "DEBUG": "1"}}
    arm.put(f"{settings['app']}/config/appsettings", by_hand, app_settings.API_VERSION)
    return {"triplane-gateway-settings": ["settings"]}


BY_HAND: dict[str, tuple[Callable[[Resources], Changed], ...]] = {
    "aws": (),
    "gcp": (change_vertex_ai,),
    "azure": (change_azure_traffic, change_app_settings),
}


def drift(stack: Stack) -> Changed:
    """What `make drift` and `make repair` report."""
    found = previews.drift(stack.cli.refresh_steps())
    return {urn.rpartition("::")[2]: properties for urn, properties in found.items()}


def test_an_untouched_platform_has_no_drift(stack: Stack) -> None:
    assert drift(stack) == {}


def test_changes_by_hand_are_found_and_taken_back(stack: Stack) -> None:
    resources = {each["urn"].rpartition("::")[2]: each for each in stack.resources()}
    expected: Changed = {}
    try:
        for change in BY_HAND[resources_cloud(stack)]:
            expected |= change(resources)
        found = drift(stack)
    finally:
        stack.pulumi("refresh", "--yes", "--skip-preview")
        stack.up()
    assert found == expected
    assert drift(stack) == {}


def resources_cloud(stack: Stack) -> str:
    return str(stack.outputs()["cloud"])
