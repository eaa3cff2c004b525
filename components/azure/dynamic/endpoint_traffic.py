"""The deployment of an online endpoint that takes the traffic.

Azure has the traffic as a property of the endpoint. It cannot be set when the endpoint is created, because it
names a deployment and a deployment needs its endpoint; and a resource cannot be declared twice. An ARM template
(`resources.Deployment`) could write the endpoint a second time, but it cannot read: traffic that was shifted by
hand would stay so. This resource reads it back, and takes the traffic away before its deployment is deleted, which
Azure otherwise refuses.
https://learn.microsoft.com/azure/machine-learning/how-to-safely-rollout-online-endpoints
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.azure import arm
from components.dynamic import Props, Provider, not_found, wait_for


class EndpointTrafficProvider(Provider):
    """All of an endpoint's traffic, to one deployment."""

    replace_on = frozenset({"endpoint_id"})

    def create(self, props: Props) -> CreateResult:
        return CreateResult(f"{props['endpoint_id']}/traffic", _shift(props))

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(_shift(news))

    def read(self, id_: str, props: Props) -> ReadResult:
        endpoint = arm.get(props["endpoint_id"])
        if endpoint is None:
            return not_found()
        split = {k: v for k, v in (endpoint["properties"].get("traffic") or {}).items() if v}
        if split == {props["deployment"]: 100}:
            return ReadResult(id_, {**props, "serving": props["model_version"]})
        # Another split: return it, so that the next `up` has a difference and shifts the traffic back.
        found = ", ".join(f"{name}={share:g}%" for name, share in sorted(split.items()))
        return ReadResult(id_, {**props, "deployment": found, "serving": None})

    def delete(self, _id: str, props: Props) -> None:
        _set(props["endpoint_id"], {})


class EndpointTraffic(Resource, module="triplane", name="AzureEndpointTraffic"):
    """All of an endpoint's traffic, to one deployment."""

    serving: pulumi.Output[str]
    """The model version that takes the traffic, known once it does."""

    def __init__(
        self,
        name: str,
        *,
        endpoint_id: pulumi.Input[str],
        endpoint_tags: pulumi.Input[object],
        deployment: pulumi.Input[str],
        model_version: str,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(
            EndpointTrafficProvider(),
            name,
            {
                "endpoint_id": endpoint_id,
                # azure-native changes an endpoint's tags by writing all of it, without the traffic,
                # which it does not know; so after new tags the traffic is set again.
                "endpoint_tags": endpoint_tags,
                "deployment": deployment,
                "model_version": model_version,
                "serving": None,
            },
            opts,
        )


def _shift(props: Props) -> Props:
    if not _set(props["endpoint_id"], {props["deployment"]: 100}):
        raise RuntimeError(f"there is no endpoint {props['endpoint_id']} to shift traffic of")
    return {**props, "serving": props["model_version"]}


def _set(endpoint_id: str, traffic: dict[str, int]) -> bool:
    """Set the traffic and wait until Azure has done it. Whether there is such an endpoint: a deleted one has none."""
    endpoint = arm.get(endpoint_id)
    if endpoint is None:
        return False
    # There is a PATCH, but of the tags and the identity only.
    operation = arm.put(endpoint_id, traffic_request(endpoint, traffic))

    def finished() -> bool | None:
        state = ((arm.get(endpoint_id) or {}).get("properties") or {}).get("provisioningState")
        if state in ("Failed", "Canceled"):
            reason = arm.failure(operation)
            raise RuntimeError(f"shifting the traffic of {endpoint_id} ended as {state}{reason}")
        return True if state == "Succeeded" else None

    return wait_for(finished, what=f"shifting the traffic of {endpoint_id}", seconds=900)


def traffic_request(endpoint: dict[str, Any], traffic: dict[str, int]) -> dict[str, Any]:
    """The body of the PUT: the endpoint as a GET returns it, with this traffic."""
    return writable(endpoint) | {"properties": _properties(endpoint, traffic)}


def writable(endpoint: dict[str, Any]) -> dict[str, Any]:
    """The part of a GET's answer that a PUT takes, without the properties."""
    identity = endpoint.get("identity") or {}
    return {
        "location": endpoint["location"],
        "tags": endpoint.get("tags") or {},
        "identity": {
            "type": identity.get("type", "None"),
            "userAssignedIdentities": {
                id_: {} for id_ in identity.get("userAssignedIdentities", {})
            },
        },
        **({"kind": endpoint["kind"]} if endpoint.get("kind") else {}),
    }


def _properties(endpoint: dict[str, Any], traffic: dict[str, int]) -> dict[str, Any]:
    kept = ("authMode", "compute", "description", "properties", "publicNetworkAccess")
    properties = endpoint["properties"]
    return {key: properties[key] for key in kept if properties.get(key)} | {"traffic": traffic}
