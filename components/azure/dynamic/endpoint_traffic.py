"""Which deployment of an online endpoint takes the traffic: a dynamic resource.

Azure keeps the traffic as a property of the endpoint. It cannot be set when the endpoint is created,
for it names a deployment and a deployment needs its endpoint; and a resource cannot be declared
twice. An ARM template (`resources.Deployment`) could write the endpoint a second time, but it cannot
read: traffic that was moved by hand would stay moved. This resource reads it back, and takes the
traffic away before its deployment is deleted, which Azure otherwise refuses.
https://learn.microsoft.com/azure/machine-learning/how-to-safely-rollout-online-endpoints
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.dynamic import Props, Provider, gone, wait_for


class EndpointTrafficProvider(Provider):
    replace_on = frozenset({"endpoint_id"})

    def create(self, props: Props) -> CreateResult:
        return CreateResult(f"{props['endpoint_id']}/traffic", _shift(props))

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(_shift(news))

    def read(self, id_: str, props: Props) -> ReadResult:
        from components.azure import arm

        endpoint = arm.get(props["endpoint_id"])
        if endpoint is None:
            return gone()
        split = {k: v for k, v in (endpoint["properties"].get("traffic") or {}).items() if v}
        if split == {props["deployment"]: 100}:
            return ReadResult(id_, {**props, "serving": props["model_version"]})
        # Not what was set: say what is, so that the next `up` sees a difference and shifts it back.
        found = ", ".join(f"{name}={share:g}%" for name, share in sorted(split.items()))
        return ReadResult(id_, {**props, "deployment": found, "serving": None})

    def delete(self, _id: str, props: Props) -> None:
        _set(props["endpoint_id"], {})


class EndpointTraffic(Resource, module="triplane", name="AzureEndpointTraffic"):
    """All of an endpoint's traffic to one deployment."""

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
                # azure-native changes an endpoint's tags by writing all of it, without the traffic
                # that it does not know; so after new tags the traffic is set again.
                "endpoint_tags": endpoint_tags,
                "deployment": deployment,
                "model_version": model_version,
                "serving": None,
            },
            opts,
        )


def _shift(props: Props) -> Props:
    _set(props["endpoint_id"], {props["deployment"]: 100})
    return {**props, "serving": props["model_version"]}


def _set(endpoint_id: str, traffic: dict[str, int]) -> None:
    """Set the traffic and wait until Azure has done so. An endpoint that is gone has none."""
    from components.azure import arm

    endpoint = arm.get(endpoint_id)
    if endpoint is None:
        return
    # There is a PATCH, but of the tags and the identity only.
    arm.put(endpoint_id, traffic_request(endpoint, traffic))

    def finished() -> bool | None:
        state = ((arm.get(endpoint_id) or {}).get("properties") or {}).get("provisioningState")
        if state in ("Failed", "Canceled"):
            raise RuntimeError(f"shifting the traffic of {endpoint_id} ended as {state}")
        return True if state == "Succeeded" else None

    wait_for(finished, what=f"shifting the traffic of {endpoint_id}", seconds=900)


def traffic_request(endpoint: dict[str, Any], traffic: dict[str, int]) -> dict[str, Any]:
    """The body of the PUT: what a GET says of the endpoint, with this traffic."""
    return writable(endpoint) | {"properties": _properties(endpoint, traffic)}


def writable(endpoint: dict[str, Any]) -> dict[str, Any]:
    """What a GET says of an endpoint, as far as a PUT takes it, without its properties."""
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
