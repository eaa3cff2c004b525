"""The model endpoint on Azure: an Azure ML workspace, and in it a managed online endpoint."""

from __future__ import annotations

import hashlib

import pulumi
from pulumi_azure_native import applicationinsights, managedidentity, monitor, operationalinsights
from pulumi_azure_native import machinelearningservices as ml

from components import contracts, names
from components.azure import roles
from components.azure.api_key import vault
from components.azure.data_lake import DataLake
from components.azure.dynamic.endpoint_traffic import EndpointTraffic
from components.azure.foundation import Foundation
from components.azure.model_artifact import ModelArtifact

PORT = 8080


class ModelEndpoint(contracts.ModelEndpoint):
    """A managed online endpoint that Entra ID tokens open, with one deployment a model and image.

    Another model or image is another deployment beside the old one; the traffic is shifted when it
    is healthy, and then the old one is deleted. The endpoint and its URL stay.
    """

    endpoint_name: pulumi.Output[str]
    endpoint_url: pulumi.Output[str]
    """The scoring URI: POST, with a token for https://ml.azure.com."""
    model_version: pulumi.Output[str]
    gateway_settings: pulumi.Output[dict[str, str]]
    workspace: ml.Workspace
    endpoint: ml.OnlineEndpoint

    def __init__(
        self,
        name: str,
        args: contracts.ModelEndpointArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:azure:ModelEndpoint", name, {}, opts)
        foundation, lake, model = args.foundation, args.lake, args.model
        assert isinstance(foundation, Foundation)
        assert isinstance(lake, DataLake)
        assert isinstance(model, ModelArtifact)
        group = foundation.group.name
        child = pulumi.ResourceOptions(parent=self)

        self.workspace, ready = self._workspace(name, foundation, lake, child)
        self.endpoint = ml.OnlineEndpoint(
            # 3 to 32 characters, unique in the region; autonaming adds 8.
            names.short(name, 24),
            resource_group_name=group,
            workspace_name=self.workspace.name,
            location=foundation.location,
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[args.identity.principal],
            ),
            properties=ml.OnlineEndpointPropertiesArgs(
                auth_mode=ml.EndpointAuthMode.AAD_TOKEN,
                # The gateway stands outside any virtual network; only a token with the score
                # action on this endpoint gets an answer.
                public_network_access=ml.PublicNetworkAccessType.ENABLED,
            ),
            tags=foundation.tags,
            # A refresh finds the traffic that `EndpointTraffic` has set; without this, the next `up` would
            # take it away again.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=args.identity.ready, ignore_changes=["properties.traffic"]
            ),
        )
        environment = ml.EnvironmentVersion(
            f"{name}-environment",
            resource_group_name=group,
            workspace_name=self.workspace.name,
            name=names.short(name, 32),
            version=pulumi.Output.from_input(args.image).apply(_digest),
            properties=ml.EnvironmentVersionPropertiesArgs(
                image=args.image,
                os_type=ml.OperatingSystemType.LINUX,
                inference_config=ml.InferenceContainerPropertiesArgs(
                    liveness_route=ml.RouteArgs(path="/healthz", port=PORT),
                    readiness_route=ml.RouteArgs(path="/healthz", port=PORT),
                    scoring_route=ml.RouteArgs(path="/score", port=PORT),
                ),
            ),
            opts=child,
        )
        models = ml.Datastore(
            f"{name}-models",
            resource_group_name=group,
            workspace_name=self.workspace.name,
            name="models",
            properties=ml.AzureBlobDatastoreArgs(
                datastore_type="AzureBlob",
                account_name=lake.account.name,
                container_name=lake.containers[contracts.Zone.MODELS].name,
                # No secret: whoever reads comes with an identity of its own.
                credentials=ml.NoneDatastoreCredentialsArgs(credentials_type="None"),
                service_data_access_auth_identity=(
                    ml.ServiceDataAccessAuthIdentity.WORKSPACE_USER_ASSIGNED_IDENTITY
                ),
                subscription_id=foundation.subscription,
                resource_group=group,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=ready),
        )
        version = ml.ModelVersion(
            f"{name}-model",
            resource_group_name=group,
            workspace_name=self.workspace.name,
            name=model.name,
            version=model.version[:12],
            properties=ml.ModelVersionPropertiesArgs(
                model_type="custom_model",
                model_uri=pulumi.Output.concat(
                    "azureml://subscriptions/",
                    foundation.subscription,
                    "/resourceGroups/",
                    group,
                    "/workspaces/",
                    self.workspace.name,
                    "/datastores/",
                    models.name,
                    "/paths/",
                    model.path,
                ),
                properties={"sha256": model.version},
            ),
            opts=child,
        )
        deployment = ml.OnlineDeployment(
            f"{name}-deployment",
            resource_group_name=group,
            workspace_name=self.workspace.name,
            endpoint_name=self.endpoint.name,
            deployment_name=pulumi.Output.from_input(args.image).apply(
                lambda image: deployment_name(model.version, image, args.machine)
            ),
            location=foundation.location,
            properties=ml.ManagedOnlineDeploymentArgs(
                endpoint_compute_type="Managed",
                instance_type=args.machine,
                environment_id=environment.id,
                model=version.id,
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
                depends_on=args.identity.ready,
                # Afterwards the autoscaler decides how many there are.
                ignore_changes=["sku.capacity"] if args.max_instances > args.min_instances else [],
            ),
        )
        if args.max_instances > args.min_instances:
            _autoscale(name, foundation, deployment, args.min_instances, args.max_instances, child)
        traffic = EndpointTraffic(
            f"{name}-traffic",
            endpoint_id=self.endpoint.id,
            endpoint_tags=self.endpoint.tags,
            deployment=deployment.name,
            model_version=model.version,
            opts=child,
        )

        self.endpoint_name = self.endpoint.name
        self.endpoint_url = self.endpoint.properties.apply(lambda endpoint: endpoint.scoring_uri)
        self.model_version = traffic.serving
        self.gateway_settings = self.endpoint_url.apply(lambda url: {"AZUREML_SCORING_URL": url})
        self.register_outputs(
            {
                "endpoint_name": self.endpoint_name,
                "endpoint_url": self.endpoint_url,
                "model_version": self.model_version,
            }
        )

    def _workspace(
        self, name: str, foundation: Foundation, lake: DataLake, child: pulumi.ResourceOptions
    ) -> tuple[ml.Workspace, list[pulumi.Resource]]:
        """The workspace, what it stands on, and the roles of its identity.

        The roles are those that the documentation asks for a user-assigned identity, each on the one
        resource. A system-assigned identity would get its roles from Azure ML by itself: Azure AI
        Administrator of the whole resource group. No container registry is attached, since the image
        needs no building by Azure ML; the workspace so needs no role on it.
        https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication#workspace
        """
        place = {"resource_group_name": foundation.group.name, "location": foundation.location}
        logs = operationalinsights.Workspace(
            f"{name}-logs",
            **place,
            sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
            retention_in_days=30,
            tags=foundation.tags,
            opts=child,
        )
        insights = applicationinsights.Component(
            f"{name}-insights",
            **place,
            kind="web",
            application_type="web",
            ingestion_mode="LogAnalytics",
            workspace_resource_id=logs.id,
            tags=foundation.tags,
            opts=child,
        )
        secrets = vault(f"{name}-kv", foundation, child)
        identity = managedidentity.UserAssignedIdentity(
            f"{name}-workspace-identity", **place, tags=foundation.tags, opts=child
        )
        ready: list[pulumi.Resource] = [
            roles.assign(
                f"{name}-workspace-{label}",
                principal=identity.principal_id,
                role=roles.built_in(foundation, role),
                scope=scope,
                opts=child,
            )
            for label, role, scope in (
                ("storage", "Contributor", lake.account.id),
                ("blobs", "Storage Blob Data Contributor", lake.account.id),
                ("vault", "Contributor", secrets.id),
                ("secrets", "Key Vault Administrator", secrets.id),
                ("insights", "Contributor", insights.id),
            )
        ]
        workspace = ml.Workspace(
            # 3 to 33 characters; autonaming adds 8. A deleted workspace keeps its name for 14 days,
            # so a fixed one could not be made again. https://learn.microsoft.com/azure/machine-learning/concept-soft-delete
            names.short(f"{name}-ws", 25),
            **place,
            kind="Default",
            sku=ml.SkuArgs(name="Basic", tier="Basic"),
            identity=ml.ManagedServiceIdentityArgs(
                type=ml.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identity.id],
            ),
            primary_user_assigned_identity=identity.id,
            storage_account=lake.account.id,
            system_datastores_auth_mode=ml.SystemDatastoresAuthMode.IDENTITY,
            key_vault=secrets.id,
            application_insights=insights.id,
            public_network_access=ml.PublicNetworkAccessType.ENABLED,
            v1_legacy_mode=False,
            tags=foundation.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=ready),
        )
        return workspace, ready


def deployment_name(model: str, image: str, machine: str) -> str:
    """A deployment's name: begins with a letter, 3 to 32 letters, digits and hyphens.

    It changes with everything that Azure cannot change in place without a gap.
    https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-managed-online
    """
    rest = hashlib.sha256(f"{image}\0{machine}".encode()).hexdigest()
    return f"m-{model[:12]}-{rest[:8]}"


def _digest(image: str) -> str:
    """The beginning of an image's digest, as a version."""
    return image.rpartition("sha256:")[2][:12]


def _probe() -> ml.ProbeSettingsArgs:
    """Ready within seconds of the start, so looked at often and given up late."""
    return ml.ProbeSettingsArgs(
        initial_delay="PT5S", period="PT10S", timeout="PT2S", failure_threshold=30
    )


def _autoscale(
    name: str,
    foundation: Foundation,
    deployment: ml.OnlineDeployment,
    minimum: int,
    maximum: int,
    opts: pulumi.ResourceOptions,
) -> None:
    """Scale a deployment by its processor load.

    https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints
    """

    def rule(operator: str, threshold: int, direction: str) -> monitor.ScaleRuleArgs:
        return monitor.ScaleRuleArgs(
            metric_trigger=monitor.MetricTriggerArgs(
                metric_name="CpuUtilizationPercentage",
                metric_resource_uri=deployment.id,
                operator=operator,
                statistic="Average",
                threshold=threshold,
                time_aggregation="Average",
                time_grain="PT1M",
                time_window="PT5M",
            ),
            scale_action=monitor.ScaleActionArgs(
                direction=direction, type="ChangeCount", value="1", cooldown="PT5M"
            ),
        )

    monitor.AutoscaleSetting(
        f"{name}-autoscale",
        resource_group_name=foundation.group.name,
        location=foundation.location,
        enabled=True,
        target_resource_uri=deployment.id,
        profiles=[
            monitor.AutoscaleProfileArgs(
                name="load",
                capacity=monitor.ScaleCapacityArgs(
                    minimum=str(minimum), maximum=str(maximum), default=str(minimum)
                ),
                rules=[rule("GreaterThan", 60, "Increase"), rule("LessThan", 25, "Decrease")],
            )
        ],
        # https://learn.microsoft.com/rest/api/monitor/autoscale-settings/create-or-update
        tags=foundation.own_tags,
        opts=opts,
    )
