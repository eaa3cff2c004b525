"""What is changed by hand on a running platform is found as drift, nothing else is, and `up` restores it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import requests

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
Inputs = dict[str, Any]

NOBODY = '{"Version": "2012-10-17", "Statement": []}'
INPUTS_BY_HAND: dict[str, dict[str, Inputs]] = {
    "aws": {
        "triplane-gateway-function": {"memorySize": 3008, "timeout": 3},
        "triplane-gateway-grants": {"policy": NOBODY},
        "triplane-gateway-logs": {"retentionInDays": 1},
        "triplane-gateway-url": {"invokeMode": "RESPONSE_STREAM"},
        "triplane-image-project": {"buildTimeout": 480},
        "triplane-key-version": {"secretString": "known-to-the-one-who-wrote-it"},
        "triplane-lake-bucket": {"tags": {"changed": "by-hand"}},
        "triplane-lake-lifecycle": {
            "rules": [{"id": "all", "status": "Enabled", "expiration": {"days": 1}}]
        },
        "triplane-lake-public-access": {"blockPublicPolicy": False},
        "triplane-lake-versioning": {"versioningConfiguration": {"status": "Suspended"}},
        "triplane-registry-repository": {"imageTagMutability": "MUTABLE"},
    },
    "gcp": {
        "triplane-gateway-predictor": {
            "permissions": ["aiplatform.endpoints.get"],
            "stage": "DISABLED",
        },
        "triplane-gateway-service": {"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"},
        "triplane-key-version": {"enabled": False},
        "triplane-lake-bucket": {"lifecycleRules": [], "versioning": {"enabled": False}},
        "triplane-registry-repository": {"dockerConfig": {"immutableTags": False}},
        "triplane-gateway-sa": {"displayName": "changed by hand"},
    },
    "azure": {
        "triplane-endpoint-flight-delay-autoscale": {"enabled": False},
        "triplane-gateway": {"httpsOnly": False},
        "triplane-gateway-plan": {"tags": {"changed": "by-hand"}},
        "triplane-lake-blob-service": {"isVersioningEnabled": False},
        "triplane-lake-lifecycle": {"policy": {"rules": []}},
        "triplanelake": {"allowSharedKeyAccess": True},
        "triplaneregistry": {"adminUserEnabled": True},
    },
}
"""Inputs that are changed in the cloud, by the resources' names."""
LOST_BY_HAND = {
    "aws": (),
    "gcp": ("triplane-gateway-write-captures",),
    "azure": ("triplane-gateway-write-captures",),
}
"""Grants that are deleted in the cloud."""


def change_vertex_ai(resources: Resources) -> Changed:
    """Other replicas of the deployment, other labels of the model, no traffic, as in Google's console."""
    deployment = resources["triplane-endpoint-flight-delay-deployment"]
    model = resources["triplane-endpoint-flight-delay-model"]
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
    endpoint = properties["endpoint"]
    nothing = {"name": endpoint, "trafficSplit": {}}
    rest.call("PATCH", f"{base}{endpoint}?updateMask=trafficSplit", nothing)
    return {
        "triplane-endpoint-flight-delay-deployment": ["max_instances", "min_instances"],
        "triplane-endpoint-flight-delay-model": ["labels"],
        "triplane-endpoint-flight-delay-traffic": ["gone"],
    }


def overwrite_object(resources: Resources) -> Changed:
    """Another content of the model's card, as with `gcloud storage cp`."""
    name = next(each for each in resources if each.endswith("-card.json"))
    written = resources[name]["outputs"]
    url = f"{os.environ['STORAGE_EMULATOR_HOST']}/upload/storage/v1/b/{written['bucket']}/o"
    about = {"uploadType": "media", "name": written["name"]}
    requests.post(url, b"by hand", params=about, timeout=30).raise_for_status()
    return {name: ["detectMd5hash"]}


def change_azure_traffic(resources: Resources) -> Changed:
    """An endpoint without traffic, as in Azure's studio."""
    id_ = resources["triplane-endpoint-flight-delay-traffic"]["outputs"]["endpoint_id"]
    endpoint = arm.get(id_)
    assert endpoint
    arm.put(id_, endpoint_traffic.traffic_request(endpoint, {}))
    return {"triplane-endpoint-flight-delay-traffic": ["deployment"]}


def change_app_settings(resources: Resources) -> Changed:
    """A gateway for everybody, and another setting, as in Azure's portal."""
    settings = resources["triplane-gateway-settings"]["outputs"]
    by_hand = {"properties": {**settings["settings"], "ACCESS": "public", "DEBUG": "1"}}
    arm.put(f"{settings['app']}/config/appsettings", by_hand, app_settings.API_VERSION)
    return {"triplane-gateway-settings": ["settings"]}


BY_THE_CLOUDS_API: dict[str, tuple[Callable[[Resources], Changed], ...]] = {
    "aws": (),
    "gcp": (change_vertex_ai, overwrite_object),
    "azure": (change_azure_traffic, change_app_settings),
}
"""Changes that no provider of the rehearsal records."""


def drift(stack: Stack) -> Changed:
    """What `make drift` and `make repair` report."""
    found = previews.drift(stack.cli.refresh_steps())
    return {urn.rpartition("::")[2]: properties for urn, properties in found.items()}


def change_by_hand(stack: Stack, cloud: str) -> Changed:
    """Make all changes by hand; returns the drift that they are."""
    expected: Changed = {}
    resources = {each["urn"].rpartition("::")[2]: each for each in stack.resources()}
    for change in BY_THE_CLOUDS_API[cloud]:
        expected |= change(resources)
    for name, inputs in INPUTS_BY_HAND[cloud].items():
        control(stack, "change", name, resources[name]["type"], inputs=inputs)
        expected[name] = sorted(inputs)
    for name in LOST_BY_HAND[cloud]:
        control(stack, "lose", name, resources[name]["type"])
        expected[name] = ["gone"]
    return expected


def values(stack: Stack) -> dict[str, Inputs]:
    """What a hand changes, as it is in the cloud; no secrets, which are encrypted again each time."""
    changed = INPUTS_BY_HAND[str(stack.outputs()["cloud"])]
    found = {each["urn"].rpartition("::")[2]: each.get("outputs", {}) for each in stack.resources()}
    return {
        name: {key: found[name].get(key) for key in keys if key != "secretString"}
        for name, keys in changed.items()
    }


def control(stack: Stack, verb: str, name: str, token: str, **more: Any) -> None:
    """Have the rehearsal change or lose one resource of this stack."""
    which = {"stack": stack.name, "name": name, "on": token}
    answer = stack.rehearsal.control(f"/_api/{verb}", {**which, **more})
    assert answer.status == 200, answer
    assert len(next(iter(answer.json.values()))) == 1


def would_change(stack: Stack) -> list[str]:
    """What another update would do, as Pulumi's own flag judges it: a line for each changed resource."""
    preview = json.loads(stack.pulumi("preview", "--json"))
    return [f"{each['op']} {each['urn']}" for each in preview["steps"] if each["op"] != "same"]


def refresh(stack: Stack) -> None:
    """Write into the state what the providers read."""
    stack.pulumi("refresh", "--yes", "--skip-preview")


def test_an_untouched_platform_has_no_drift(stack: Stack) -> None:
    assert drift(stack) == {}


def test_an_untouched_platform_stays_the_same_after_a_refresh(stack: Stack) -> None:
    refresh(stack)
    assert drift(stack) == {}
    assert would_change(stack) == []
    stack.up()
    assert drift(stack) == {}
    assert would_change(stack) == []


def test_what_the_services_renew_in_a_day_is_no_drift(stack: Stack) -> None:
    renewed = stack.rehearsal.control("/_api/renew", {"stack": stack.name}).json["renewed"]
    assert renewed
    assert drift(stack) == {}
    refresh(stack)
    assert drift(stack) == {}
    assert would_change(stack) == []


def test_ten_changes_by_hand_are_found_and_taken_back(stack: Stack) -> None:
    cloud, before = str(stack.outputs()["cloud"]), values(stack)
    try:
        expected = change_by_hand(stack, cloud)
        found = drift(stack)
    finally:
        refresh(stack)
        stack.up()
    assert len(expected) >= 10
    assert found == expected
    assert drift(stack) == {}
    refresh(stack)
    assert values(stack) == before, "what a hand has changed is as the program has it, in the cloud"
