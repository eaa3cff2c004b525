"""The deployed model of a Vertex AI endpoint that takes the traffic: the Google provider has no resource for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.dynamic import Props, Provider, not_found
from components.gcp import rest
from components.gcp.dynamic.vertex_deployment import deployed_model


class VertexTrafficProvider(Provider):
    """All of an endpoint's traffic, to one of its deployed models."""

    replace_on = frozenset({"endpoint", "region"})

    def create(self, props: Props) -> CreateResult:
        return CreateResult(props["endpoint"], self._shift(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        endpoint = rest.find(rest.vertex_url(props["region"]) + id_)
        split = {
            key: share for key, share in (endpoint or {}).get("trafficSplit", {}).items() if share
        }
        if not split:
            return not_found()
        # A split that was set by hand is a difference to the deployed model of the inputs.
        found = {**props, "deployed_model": " ".join(sorted(split))}
        if endpoint and (serving := deployed_model(endpoint, found["deployed_model"])):
            found["model_version"] = _version(found, serving)
        return ReadResult(id_, found)

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(self._shift(news))

    def delete(self, id_: str, props: Props) -> None:
        if rest.find(rest.vertex_url(props["region"]) + id_) is not None:
            _patch_traffic(props, {})

    def _shift(self, props: Props) -> Props:
        endpoint = _patch_traffic(props, {props["deployed_model"]: 100})
        serving = deployed_model(endpoint, props["deployed_model"])
        if serving is None:
            raise rest.GoogleError(404, f"{props['endpoint']} lost {props['deployed_model']}")
        return {**props, "model_version": _version(props, serving)}


class VertexTraffic(Resource, module="triplane", name="VertexTraffic"):
    """All of an endpoint's traffic, to one of its deployed models."""

    model_version: pulumi.Output[str]
    """The version that takes the traffic, as Vertex AI reports it once it does."""

    def __init__(
        self,
        name: str,
        *,
        region: str,
        endpoint: pulumi.Input[str],
        deployed_model: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(
            VertexTrafficProvider(),
            name,
            {
                "region": region,
                "endpoint": endpoint,
                "deployed_model": deployed_model,
                "model_version": None,
            },
            opts,
        )


def _version(props: Props, serving: dict[str, Any]) -> str:
    """The version of a deployed model."""
    model = rest.call("GET", rest.vertex_url(props["region"]) + serving["model"])
    # The artifact's folder is named by the version; a label would be one digit too short for it.
    return str(model["artifactUri"].rstrip("/").rsplit("/", 1)[1])


def traffic_request(endpoint: str, split: Mapping[str, int]) -> dict[str, Any]:
    """The body of a PATCH of an endpoint's traffic."""
    return {"name": endpoint, "trafficSplit": split}


def _patch_traffic(props: Props, split: Mapping[str, int]) -> dict[str, Any]:
    return rest.call(
        "PATCH",
        f"{rest.vertex_url(props['region'])}{props['endpoint']}?updateMask=trafficSplit",
        traffic_request(props["endpoint"], split),
    )
