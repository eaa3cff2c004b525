"""What the Google provider leaves out of Vertex AI: a model, its deployment, and the traffic.

Three resources, so that the engine's own order (create replacements, update dependants, delete what
was replaced) rolls an endpoint without a failed request; ``model_endpoint.py`` shows it.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components import names
from components.dynamic import Props, Provider, gone
from components.gcp import rest

PORT = 8080
UPLOAD_SECONDS = 15 * 60
DEPLOY_SECONDS = 45 * 60
"""A deployment takes 5 to 20 minutes: machines are started for it."""


IDENTIFIED = frozenset({"endpoint", "model", "region", "machine", "service_account"})
"""What a deployment cannot change, and has its id from."""


def model_name(props: Props) -> str:
    """The name of the model that `ModelProvider` makes of these inputs."""
    content = hashlib.sha256(f"{props['image']} {props['artifact_uri']}".encode())
    return (
        f"projects/{props['project']}/locations/{props['region']}/models/"
        f"{names.short(props['display_name'], 40)}-{content.hexdigest()[:16]}"
    )


def deployment_id(props: Props) -> str:
    """The id of the deployment that `DeploymentProvider` makes of these inputs."""
    return names.numeric_id(*(str(props[key]) for key in sorted(IDENTIFIED)))


class ModelProvider(Provider):
    """A model in the registry of Vertex AI. Its id is made from what it is, so that an upload that
    was interrupted is found again, and a replacement never has the id of what it replaces.
    """

    replace_on = frozenset({"project", "region", "image", "artifact_uri"})

    def create(self, props: Props) -> CreateResult:
        base, name = rest.vertex_url(props["region"]), model_name(props)
        parent, _, model_id = name.partition("/models/")
        if rest.find(base + name) is None:
            request = upload_request(props)
            what = f"upload of model {model_id}"
            path = f"{parent}/models:upload"
            rest.once_granted(
                lambda: rest.operate("POST", base, path, request, what=what, seconds=UPLOAD_SECONDS)
            )
        return CreateResult(name, props)

    def read(self, id_: str, props: Props) -> ReadResult:
        model = rest.find(rest.vertex_url(props["region"]) + id_)
        if model is None:
            return gone()
        return ReadResult(
            id_,
            {
                **props,
                "display_name": model["displayName"],
                "artifact_uri": model["artifactUri"],
                "image": model["containerSpec"]["imageUri"],
                "labels": model.get("labels", {}),
            },
        )

    def update(self, id_: str, _olds: Props, news: Props) -> UpdateResult:
        rest.call(
            "PATCH",
            f"{rest.vertex_url(news['region'])}{id_}?updateMask=displayName,labels",
            {"name": id_, "displayName": news["display_name"], "labels": news["labels"]},
        )
        return UpdateResult(news)

    def delete(self, id_: str, props: Props) -> None:
        base = rest.vertex_url(props["region"])
        if rest.find(base + id_) is not None:
            rest.operate("DELETE", base, id_, what=f"deletion of {id_}", seconds=UPLOAD_SECONDS)


class DeploymentProvider(Provider):
    """A model on machines of its own behind an endpoint, without traffic yet."""

    replace_on = IDENTIFIED

    def create(self, props: Props) -> CreateResult:
        base, deployed_id = rest.vertex_url(props["region"]), deployment_id(props)
        if _deployed(props, deployed_id) is None:
            request = deploy_request(props)
            what = f"deployment of {props['model']}"
            path = f"{props['endpoint']}:deployModel"
            rest.once_granted(
                lambda: rest.operate("POST", base, path, request, what=what, seconds=DEPLOY_SECONDS)
            )
        return CreateResult(deployed_id, props)

    def read(self, id_: str, props: Props) -> ReadResult:
        deployed = _deployed(props, id_)
        if deployed is None:
            return gone()
        resources = deployed["dedicatedResources"]
        return ReadResult(
            id_,
            {
                **props,
                "machine": resources["machineSpec"]["machineType"],
                "min_instances": resources["minReplicaCount"],
                "max_instances": resources["maxReplicaCount"],
                "service_account": deployed.get("serviceAccount", ""),
            },
        )

    def update(self, id_: str, _olds: Props, news: Props) -> UpdateResult:
        base = rest.vertex_url(news["region"])
        rest.operate(
            "POST",
            base,
            f"{news['endpoint']}:mutateDeployedModel",
            scale_request(id_, news),
            what=f"scaling of {id_}",
            seconds=DEPLOY_SECONDS,
        )
        return UpdateResult(news)

    def delete(self, id_: str, props: Props) -> None:
        if _deployed(props, id_) is not None:
            rest.operate(
                "POST",
                rest.vertex_url(props["region"]),
                f"{props['endpoint']}:undeployModel",
                {"deployedModelId": id_},
                what=f"undeployment of {id_}",
                seconds=DEPLOY_SECONDS,
            )


class TrafficProvider(Provider):
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
            return gone()
        # A split made by hand shows as a change of the model that is wanted.
        found = {**props, "deployed_model": " ".join(sorted(split))}
        if endpoint and (serving := _of(endpoint, found["deployed_model"])):
            found["model_version"] = _version(found, serving)
        return ReadResult(id_, found)

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(self._shift(news))

    def delete(self, id_: str, props: Props) -> None:
        if rest.find(rest.vertex_url(props["region"]) + id_) is not None:
            _patch_traffic(props, {})

    def _shift(self, props: Props) -> Props:
        endpoint = _patch_traffic(props, {props["deployed_model"]: 100})
        serving = _of(endpoint, props["deployed_model"])
        if serving is None:
            raise rest.GoogleError(404, f"{props['endpoint']} lost {props['deployed_model']}")
        return {**props, "model_version": _version(props, serving)}


def _version(props: Props, serving: dict[str, Any]) -> str:
    """The version of a deployed model."""
    model = rest.call("GET", rest.vertex_url(props["region"]) + serving["model"])
    # The artifact's folder is named by the version; a label would be one digit too short for it.
    return str(model["artifactUri"].rstrip("/").rsplit("/", 1)[1])


def upload_request(props: Props) -> dict[str, Any]:
    """The body of ``models:upload``."""
    return {
        "modelId": model_name(props).rpartition("/")[2],
        "model": {
            "displayName": props["display_name"],
            "artifactUri": props["artifact_uri"],
            "containerSpec": {
                "imageUri": props["image"],
                "args": ["serve"],
                "ports": [{"containerPort": PORT}],
                "predictRoute": "/predict",
                "healthRoute": "/healthz",
            },
            "labels": props["labels"],
        },
    }


def deploy_request(props: Props) -> dict[str, Any]:
    """The body of ``endpoints:deployModel``. No trafficSplit: whatever serves now goes on serving."""
    return {
        "deployedModel": {
            "id": deployment_id(props),
            "model": props["model"],
            "displayName": props["model"].rsplit("/", 1)[-1],
            "dedicatedResources": {
                "machineSpec": {"machineType": props["machine"]},
                **_replicas(props),
            },
            "serviceAccount": props["service_account"],
        }
    }


def scale_request(deployed_id: str, props: Props) -> dict[str, Any]:
    """The body of ``endpoints:mutateDeployedModel``."""
    replicas = _replicas(props)
    return {
        "deployedModel": {"id": deployed_id, "dedicatedResources": replicas},
        "updateMask": ",".join(f"dedicatedResources.{limit}" for limit in replicas),
    }


def traffic_request(endpoint: str, split: Mapping[str, int]) -> dict[str, Any]:
    """The body of a PATCH of an endpoint's traffic."""
    return {"name": endpoint, "trafficSplit": split}


def _replicas(props: Props) -> dict[str, int]:
    return {
        "minReplicaCount": int(props["min_instances"]),
        "maxReplicaCount": int(props["max_instances"]),
    }


def _deployed(props: Props, deployed_id: str) -> dict[str, Any] | None:
    endpoint = rest.find(rest.vertex_url(props["region"]) + props["endpoint"])
    return _of(endpoint, deployed_id) if endpoint else None


def _of(endpoint: dict[str, Any], deployed_id: str) -> dict[str, Any] | None:
    deployed: list[dict[str, Any]] = endpoint.get("deployedModels", [])
    return next((one for one in deployed if one["id"] == deployed_id), None)


def _patch_traffic(props: Props, split: Mapping[str, int]) -> dict[str, Any]:
    return rest.call(
        "PATCH",
        f"{rest.vertex_url(props['region'])}{props['endpoint']}?updateMask=trafficSplit",
        traffic_request(props["endpoint"], split),
    )


class Model(Resource, module="triplane", name="VertexModel"):
    """An uploaded model: a container image and the folder of an artifact."""

    def __init__(
        self,
        name: str,
        *,
        project: str,
        region: str,
        display_name: str,
        image: pulumi.Input[str],
        artifact_uri: pulumi.Input[str],
        labels: Mapping[str, str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(
            ModelProvider(),
            name,
            {
                "project": project,
                "region": region,
                "display_name": display_name,
                "image": image,
                "artifact_uri": artifact_uri,
                "labels": labels,
            },
            opts,
        )


class Deployment(Resource, module="triplane", name="VertexDeployment"):
    """A model deployed to an endpoint; its id is the deployed model's."""

    def __init__(
        self,
        name: str,
        *,
        region: str,
        endpoint: pulumi.Input[str],
        model: pulumi.Input[str],
        machine: str,
        min_instances: int,
        max_instances: int,
        service_account: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(
            DeploymentProvider(),
            name,
            {
                "region": region,
                "endpoint": endpoint,
                "model": model,
                "machine": machine,
                "min_instances": min_instances,
                "max_instances": max_instances,
                "service_account": service_account,
            },
            opts,
        )


class Traffic(Resource, module="triplane", name="VertexTraffic"):
    """Who answers behind an endpoint."""

    model_version: pulumi.Output[str]
    """The version that answers, as Vertex AI tells it once the traffic is there."""

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
            TrafficProvider(),
            name,
            {
                "region": region,
                "endpoint": endpoint,
                "deployed_model": deployed_model,
                "model_version": None,
            },
            opts,
        )
