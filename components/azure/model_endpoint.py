"""The model endpoint on Azure: a managed online endpoint in an Azure ML workspace."""

from __future__ import annotations

import hashlib

import pulumi
from pulumi_azure_native import machinelearningservices as ml

from components import contracts, names
from components.azure.autoscale import autoscale
from components.azure.dynamic.endpoint_traffic import EndpointTraffic
from components.azure.foundation import Foundation
from components.azure.model_artifact import ModelArtifact
from components.azure.workspace import Workspace

PORT = 8080
CREATE_FIRST = pulumi.ResourceOptions(delete_before_replace=False)
"""For what is named by its content: its replacement has another name. Without the option azure-native deletes first
whatever the program names, and what serves would be deleted before its successor exists.
https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/provider/provider.go (Diff)"""


class ModelEndpoint(contracts.ModelEndpoint):
    """A managed online endpoint that takes Entra ID tokens, with one deployment a model and image.

    Another model or image is another deployment beside the old one. The traffic is shifted when the new one
    is healthy, and then the old one is deleted. The endpoint and its URL stay.
    """

    endpoint: ml.OnlineEndpoint

    def __init__(
        self,
        name: str,
        args: contracts.ModelEndpointArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:azure:ModelEndpoint", name, None, opts)
        foundation, workspace = Foundation.of(args.foundation), Workspace.of(args.workspace)
        child = pulumi.ResourceOptions(parent=self)

        place = {
            "resource_group_name": foundation.group.name,
            "workspace_name": workspace.workspace.name,
        }
        self.endpoint = self._endpoint(name, foundation, args, place)
        model = _model(f"{name}-model", foundation, args, place, workspace.datastore, child)
        environment = _environment(name, args.image, place, child)
        deployment = self._deployment(name, foundation, args, place, (model, environment))
        if args.max_instances > args.min_instances:
            instances = (args.min_instances, args.max_instances)
            autoscale(name, foundation, deployment, instances, child)
        traffic = EndpointTraffic(
            f"{name}-traffic",
            endpoint_id=self.endpoint.id,
            endpoint_tags=self.endpoint.tags,
            deployment=deployment.name,
            model_version=args.model.version,
            opts=child,
        )

        self.label = args.label
        self.endpoint_name = self.endpoint.name
        # The scoring URI: POST, with a token for https://ml.azure.com.
        self.endpoint_url = self.endpoint.properties.apply(lambda endpoint: endpoint.scoring_uri)
        self.model_version = traffic.serving
        self.target = self.endpoint_url
        self.register_outputs(
            {"endpoint_name": self.endpoint_name, "model_version": self.model_version}
        )

    def _endpoint(
        self,
        name: str,
        foundation: Foundation,
        args: contracts.ModelEndpointArgs,
        place: dict[str, pulumi.Output[str]],
    ) -> ml.OnlineEndpoint:
        return ml.OnlineEndpoint(
            # 3 to 32 characters, unique in the region; autonaming adds 8.
            names.short(name.replace("-endpoint-", "-", 1), 24),
            **place,
            location=foundation.region,
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[args.identity.principal],
            ),
            properties=ml.OnlineEndpointPropertiesArgs(
                auth_mode=ml.EndpointAuthMode.AAD_TOKEN,
                # The gateway is outside any virtual network; only a token with the score action on
                # this endpoint gets an answer.
                public_network_access=ml.PublicNetworkAccessType.ENABLED,
            ),
            tags=foundation.tags,
            # A refresh finds the traffic that `EndpointTraffic` has set; without this, the next `up`
            # would take it away again.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=args.identity.attachments,
                ignore_changes=["properties.traffic"],
            ),
        )

    def _deployment(
        self,
        name: str,
        foundation: Foundation,
        args: contracts.ModelEndpointArgs,
        place: dict[str, pulumi.Output[str]],
        served: tuple[ml.ModelVersion, ml.EnvironmentVersion],
    ) -> ml.OnlineDeployment:
        """The model and environment on machines behind the endpoint, without traffic."""
        model, environment = served
        return ml.OnlineDeployment(
            f"{name}-deployment",
            **place,
            endpoint_name=self.endpoint.name,
            deployment_name=pulumi.Output.from_input(args.image).apply(
                lambda image: deployment_name(args.model.version, image, args.machine)
            ),
            location=foundation.region,
            properties=ml.ManagedOnlineDeploymentArgs(
                endpoint_compute_type="Managed",
                instance_type=args.machine,
                environment_id=environment.id,
                model=model.id,
                # The default is one request at a time and instance.
                request_settings=ml.OnlineRequestSettingsArgs(
                    max_concurrent_requests_per_instance=64, request_timeout="PT10S"
                ),
                liveness_probe=_probe(),
                readiness_probe=_probe(),
            ),
            sku=ml.SkuArgs(name="Default", capacity=args.min_instances),
            tags=foundation.tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=args.identity.attachments,
                delete_before_replace=False,
                # Afterwards the autoscale setting decides how many there are.
                ignore_changes=["sku.capacity"] if args.max_instances > args.min_instances else [],
            ),
        )


def _model(
    name: str,
    foundation: Foundation,
    args: contracts.ModelEndpointArgs,
    place: dict[str, pulumi.Output[str]],
    datastore: ml.Datastore,
    opts: pulumi.ResourceOptions,
) -> ml.ModelVersion:
    """The artifact's folder in the datastore, as a version of the workspace's model."""
    model = ModelArtifact.of(args.model)
    return ml.ModelVersion(
        name,
        **place,
        name=model.name,
        version=model.version[:12],
        properties=ml.ModelVersionPropertiesArgs(
            model_type="custom_model",
            model_uri=pulumi.Output.concat(
                "azureml://subscriptions/",
                foundation.subscription,
                "/resourceGroups/",
                place["resource_group_name"],
                "/workspaces/",
                place["workspace_name"],
                "/datastores/",
                datastore.name,
                "/paths/",
                model.path,
            ),
            properties={"sha256": model.version},
        ),
        opts=pulumi.ResourceOptions.merge(CREATE_FIRST, opts),
    )


def _environment(
    name: str,
    image: pulumi.Input[str],
    place: dict[str, pulumi.Output[str]],
    opts: pulumi.ResourceOptions,
) -> ml.EnvironmentVersion:
    """The image, with the paths that Azure ML calls in it."""
    healthz = ml.RouteArgs(path="/healthz", port=PORT)
    return ml.EnvironmentVersion(
        f"{name}-environment",
        **place,
        name=names.short(name, 32),
        version=pulumi.Output.from_input(image).apply(environment_version),
        properties=ml.EnvironmentVersionPropertiesArgs(
            image=image,
            os_type=ml.OperatingSystemType.LINUX,
            inference_config=ml.InferenceContainerPropertiesArgs(
                liveness_route=healthz,
                readiness_route=healthz,
                scoring_route=ml.RouteArgs(path="/score", port=PORT),
            ),
        ),
        opts=pulumi.ResourceOptions.merge(CREATE_FIRST, opts),
    )


def deployment_name(model: str, image: str, machine: str) -> str:
    """A deployment's name: begins with a letter, 3 to 32 letters, digits and hyphens.

    It changes with everything that Azure cannot change in place without an interruption.
    https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-managed-online
    """
    rest = hashlib.sha256(f"{image}\0{machine}".encode()).hexdigest()
    return f"m-{model[:12]}-{rest[:8]}"


def environment_version(image: str) -> str:
    """A version for each image. Registries differ, too: the same digest in another one is another version, because
    a version that exists cannot be changed."""
    return hashlib.sha256(image.encode()).hexdigest()[:12]


def _probe() -> ml.ProbeSettingsArgs:
    """Ready within seconds of the start: probed often, and given up late."""
    return ml.ProbeSettingsArgs(
        initial_delay="PT5S", period="PT10S", timeout="PT2S", failure_threshold=30
    )
