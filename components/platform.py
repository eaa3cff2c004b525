"""The platform: how the components are connected, written once for all clouds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from components import build_context, contracts
from components.contracts import Access, Grant, Image, Workload, Zone
from config import made_artifacts
from config.endpoints import EndpointConfig
from config.model_store import CONTRACT, VERSION_FILE, Artifact
from config.schema import StackConfig
from config.tags import platform_tags

WORKLOADS = Path(__file__).resolve().parent.parent / "lambda"
COMPONENTS = {Image.MODEL_SERVER: "image", Image.GATEWAY: "gateway-image"}
"""The components' names. There was one image for both, which the model server's takes over in an existing stack."""


@dataclass(frozen=True)
class ServedModel:
    """One model of the platform."""

    endpoint: contracts.ModelEndpoint
    served: Artifact
    """What the endpoint is to serve: the model, or a bundle with it."""
    model: Artifact

    @property
    def version(self) -> pulumi.Output[str]:
        """The model's version, once its endpoint serves it. Of another bundle than the program's it is the bundle's."""
        return self.endpoint.model_version.apply(
            lambda found: self.model.version if found == self.served.version else found
        )

    @property
    def output(self) -> dict[str, pulumi.Output[str]]:
        """What the stack's outputs say of it."""
        return {
            "version": self.version,
            "endpoint_name": self.endpoint.endpoint_name,
            "endpoint_url": self.endpoint.endpoint_url,
        }


class Platform(pulumi.ComponentResource):
    """A lake, images, served models and a gateway, on one cloud."""

    foundation: contracts.Foundation
    lake: contracts.DataLake
    registry: contracts.ImageRegistry
    endpoints: Mapping[str, contracts.ModelEndpoint]
    """By their names in the settings."""
    gateway: contracts.Gateway
    outputs: dict[str, pulumi.Input[object]]
    """The contract: the same names and types on every cloud."""

    def __init__(self, name: str, config: StackConfig, cloud: contracts.CloudPackage) -> None:
        super().__init__("triplane:index:Platform", name)
        self._name, self._config, self._cloud = name, config, cloud
        self._child = pulumi.ResourceOptions(parent=self)
        self._identities: list[contracts.Identity] = []

        self.foundation = cloud.Foundation(
            f"{name}-foundation",
            contracts.FoundationArgs(
                region=config.region,
                project=config.project,
                environment=config.environment,
                tags=platform_tags(config.environment, pulumi.get_stack(), config.tags),
                keep_data=config.keep_data,
            ),
            self._child,
        )
        self.lake = cloud.DataLake(
            f"{name}-lake",
            contracts.DataLakeArgs(
                foundation=self.foundation,
                captures_days=config.lake.captures_days,
                noncurrent_days=config.lake.noncurrent_days,
            ),
            self._child,
        )
        self.registry = cloud.ImageRegistry(
            f"{name}-registry",
            contracts.ImageRegistryArgs(foundation=self.foundation),
            self._child,
        )
        images = self._images()
        server = images[Image.MODEL_SERVER]
        self._workspace = cloud.Workspace(
            f"{name}-endpoint",  # as the one endpoint was called, of which an existing stack takes it over
            contracts.WorkspaceArgs(foundation=self.foundation, lake=self.lake),
            self._child,
        )
        self.endpoints = {
            endpoint.name: self._endpoint(endpoint, server) for endpoint in config.endpoints
        }
        served = self._served_models()
        key = self._key() if config.gateway.access == "key" else None
        self.gateway = self._gateway(images.get(Image.GATEWAY), served, key)
        delivery = self._delivery(key) if config.delivery.repository else None

        self.outputs = {
            "cloud": config.cloud,
            "environment": config.environment,
            "lake_uri": self.lake.uri,
            "image": server.image,
            "models": {model: each.output for model, each in served.items()},
            "gateway_url": self.gateway.url,
        }
        if key:
            self.outputs["gateway_key"] = key.value
        if delivery:
            self.outputs["delivery_identity"] = delivery.identity
            self.outputs["delivery_provider"] = delivery.provider
        self.register_outputs(self.outputs)

    def _identity(self, workload: Workload, *grants: Grant, label: str = "") -> contracts.Identity:
        identity = self._cloud.Identity(
            f"{self._name}-{label or workload}",
            contracts.IdentityArgs(
                foundation=self.foundation, workload=workload, grants=grants, label=label
            ),
            self._child,
        )
        self._identities.append(identity)
        return identity

    def _images(self) -> dict[Image, contracts.ImageBuild]:
        identity = None
        if Workload.BUILD in self._cloud.WORKLOADS:
            identity = self._identity(
                Workload.BUILD,
                Grant(self.lake, Access.READ, Zone.BUILDS),
                Grant(self.registry, Access.PUSH),
            )
        arguments = self._cloud.BUILD_ARGUMENTS
        return {
            image: self._cloud.ImageBuild(
                f"{self._name}-{COMPONENTS[image]}",
                contracts.ImageBuildArgs(
                    foundation=self.foundation,
                    lake=self.lake,
                    registry=self.registry,
                    build_identity=identity,
                    context=WORKLOADS / image,
                    arguments=arguments,
                    tag=f"{image}-{build_context.content_hash(WORKLOADS / image, arguments)}",
                ),
                self._child,
            )
            for image in self._cloud.IMAGES
        }

    def _artifact(self, name: str, artifact: Artifact) -> contracts.ModelArtifact:
        made_artifacts.write(artifact)
        return self._cloud.ModelArtifact(
            f"{self._name}-{name}",
            contracts.ModelArtifactArgs(
                foundation=self.foundation, lake=self.lake, artifact=artifact
            ),
            self._child,
        )

    def _endpoint(
        self, endpoint: EndpointConfig, server: contracts.ImageBuild
    ) -> contracts.ModelEndpoint:
        # Each model's own files are in the lake in any case: the gateway reads the contract there.
        models = [self._artifact(f"model-{each.name}", each) for each in endpoint.models]
        served = models[0]
        if endpoint.served.members:
            served = self._artifact(f"bundle-{endpoint.name}", endpoint.served)
        identity = None
        if Workload.SERVING in self._cloud.WORKLOADS:
            identity = self._identity(
                Workload.SERVING,
                # The bundle's folder and the members' in any case: while the endpoint rolls from one model to several, or
                # back, the instances that serve still read where they read before.
                Grant(
                    self.lake,
                    Access.READ,
                    Zone.MODELS,
                    prefixes=tuple(
                        dict.fromkeys((endpoint.name, *(each.name for each in endpoint.models)))
                    ),
                ),
                Grant(self.registry, Access.PULL),
                label=f"{Workload.SERVING}-{endpoint.name}",
            )
        return self._cloud.ModelEndpoint(
            f"{self._name}-endpoint-{endpoint.name}",
            contracts.ModelEndpointArgs(
                foundation=self.foundation,
                lake=self.lake,
                workspace=self._workspace,
                label=endpoint.name,
                serving_identity=identity,
                image=endpoint.image or server.image,
                model=served,
                machine=endpoint.machine,
                min_instances=endpoint.min_instances,
                max_instances=endpoint.max_instances,
                serverless_concurrency=endpoint.serverless_concurrency,
            ),
            self._child,
        )

    def _served_models(self) -> dict[str, ServedModel]:
        """What the gateway and the outputs say of each model, sorted by name."""
        found = {
            model.name: ServedModel(self.endpoints[endpoint.name], endpoint.served, model)
            for endpoint in self._config.endpoints
            for model in endpoint.models
        }
        return dict(sorted(found.items()))

    def _key(self) -> contracts.ApiKey:
        return self._cloud.ApiKey(
            f"{self._name}-key",
            contracts.ApiKeyArgs(
                foundation=self.foundation, rotation=self._config.gateway.key_rotation
            ),
            self._child,
        )

    def _gateway(
        self,
        image: contracts.ImageBuild | None,
        served: Mapping[str, ServedModel],
        key: contracts.ApiKey | None,
    ) -> contracts.Gateway:
        gateway = self._config.gateway
        return self._cloud.Gateway(
            f"{self._name}-gateway",
            contracts.GatewayArgs(
                foundation=self.foundation,
                lake=self.lake,
                identity=self._identity(
                    Workload.GATEWAY,
                    *(Grant(endpoint, Access.INVOKE) for endpoint in self.endpoints.values()),
                    Grant(self.lake, Access.WRITE, Zone.CAPTURES),
                    Grant(
                        self.lake,
                        Access.READ,
                        Zone.MODELS,
                        prefixes=tuple(served),
                        files=(CONTRACT, VERSION_FILE),
                    ),
                    Grant(self.registry, Access.PULL),
                    *([Grant(key, Access.READ)] if key else []),
                ),
                routes={
                    model: contracts.Route(each.version, each.endpoint.target)
                    for model, each in served.items()
                },
                built_image=image.image if image else None,
                code=WORKLOADS / Image.GATEWAY,
                key=key,
                max_concurrency=gateway.max_concurrency,
                app_service_plan=gateway.app_service_plan,
                settings={
                    "CODE_VERSION": build_context.content_hash(WORKLOADS / Image.GATEWAY),
                    "MAX_BODY_BYTES": str(gateway.max_body_kib * 1024),
                    # The gateway's own default needs no setting, so existing stacks do not change.
                    **({"CAPTURES": gateway.captures} if gateway.captures != "background" else {}),
                },
            ),
            self._child,
        )

    def _delivery(self, key: contracts.ApiKey | None) -> contracts.Delivery:
        delivery = self._config.delivery
        return self._cloud.Delivery(
            f"{self._name}-delivery",
            contracts.DeliveryArgs(
                foundation=self.foundation,
                lake=self.lake,
                registry=self.registry,
                identities=self._identities,
                endpoints=[*self.endpoints.values()],
                gateway=self.gateway,
                key=key,
                subject=delivery.subject,
                branch=delivery.branch,
                existing_provider=delivery.existing_provider,
                prefix=self._name,
            ),
            self._child,
        )
