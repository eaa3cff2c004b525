"""A model's deployment to an endpoint of Vertex AI: the Google provider has no resource for it.

Model, deployment and traffic are three resources, so that the engine's own order (create replacements, update
dependants, delete the replaced resources) rolls an endpoint without a failed request.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.dynamic import Props, Provider, not_found
from components.gcp import rest
from components.gcp.vertex_ids import DEPLOYMENT_INPUTS, deployment_id

DEPLOY_SECONDS = 45 * 60
"""A deployment takes 5 to 20 minutes: machines are started for it."""


class VertexDeploymentProvider(Provider):
    """A model on machines of its own behind an endpoint, without traffic yet."""

    replace_on = DEPLOYMENT_INPUTS

    def create(self, props: Props) -> CreateResult:
        deployed_id = deployment_id(props)
        rest.create_once(
            rest.vertex_url(props["region"]),
            f"{props['endpoint']}:deployModel",
            deploy_request(props),
            owner=props["endpoint"],
            exists=lambda: find_deployment(props, deployed_id) is not None,
            what=f"deployment of {props['model']}",
            seconds=DEPLOY_SECONDS,
        )
        return CreateResult(deployed_id, props)

    def read(self, id_: str, props: Props) -> ReadResult:
        deployed = find_deployment(props, id_)
        if deployed is None:
            return not_found()
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
        base, what = rest.vertex_url(props["region"]), f"undeployment of {id_}"
        # One that an interrupted run began is not begun again.
        rest.wait_for_operations(base, props["endpoint"], what=what, seconds=DEPLOY_SECONDS)
        if find_deployment(props, id_) is not None:
            rest.operate(
                "POST",
                base,
                f"{props['endpoint']}:undeployModel",
                {"deployedModelId": id_},
                what=what,
                seconds=DEPLOY_SECONDS,
            )


class VertexDeployment(Resource, module="triplane", name="VertexDeployment"):
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
            VertexDeploymentProvider(),
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


def deploy_request(props: Props) -> dict[str, Any]:
    """The body of ``endpoints:deployModel``. It has no trafficSplit: the present deployment goes on serving."""
    return {
        "deployedModel": {
            "id": deployment_id(props),
            "model": props["model"],
            "displayName": props["model"].rsplit("/", 1)[-1],
            "dedicatedResources": {
                "machineSpec": {"machineType": props["machine"]},
                **_replicas(props),
            },
            # Without one: the account that Vertex AI has for it.
            **({"serviceAccount": account} if (account := props["service_account"]) else {}),
        }
    }


def scale_request(deployed_id: str, props: Props) -> dict[str, Any]:
    """The body of ``endpoints:mutateDeployedModel``."""
    replicas = _replicas(props)
    return {
        "deployedModel": {"id": deployed_id, "dedicatedResources": replicas},
        "updateMask": ",".join(f"dedicatedResources.{limit}" for limit in replicas),
    }


def _replicas(props: Props) -> dict[str, int]:
    return {
        "minReplicaCount": int(props["min_instances"]),
        "maxReplicaCount": int(props["max_instances"]),
    }


def find_deployment(props: Props, deployed_id: str) -> dict[str, Any] | None:
    endpoint = rest.find(rest.vertex_url(props["region"]) + props["endpoint"])
    return deployed_model(endpoint, deployed_id) if endpoint else None


def deployed_model(endpoint: dict[str, Any], deployed_id: str) -> dict[str, Any] | None:
    deployed: list[dict[str, Any]] = endpoint.get("deployedModels", [])
    return next((one for one in deployed if one["id"] == deployed_id), None)
