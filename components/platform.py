"""The platform: how the nouns fit together, written once for all clouds."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components import build_context, contracts
from config.schema import StackConfig
from config.tags import platform_tags

WORKLOADS = Path(__file__).resolve().parent.parent / "lambda"


class Platform(pulumi.ComponentResource):
    """A lake, an image, a served model and a front door, on one cloud."""

    outputs: dict[str, pulumi.Input[object]]
    """The contract: the same names and types on every cloud."""

    def __init__(self, name: str, config: StackConfig, cloud: contracts.CloudPackage) -> None:
        super().__init__("triplane:index:Platform", name)
        child = pulumi.ResourceOptions(parent=self)

        foundation = cloud.Foundation(
            f"{name}-foundation",
            contracts.FoundationArgs(
                region=config.region,
                project=config.project,
                environment=config.environment,
                tags=platform_tags(config.environment, pulumi.get_stack(), config.tags),
                keep_data=config.keep_data,
            ),
            child,
        )
        lake = cloud.DataLake(
            f"{name}-lake",
            contracts.DataLakeArgs(
                foundation=foundation,
                captures_days=config.lake.captures_days,
                noncurrent_days=config.lake.noncurrent_days,
            ),
            child,
        )
        registry = cloud.ImageRegistry(
            f"{name}-registry", contracts.ImageRegistryArgs(foundation=foundation), child
        )

        identities: list[contracts.Identity] = []

        def identity(workload: contracts.Workload, *grants: contracts.Grant) -> contracts.Identity:
            made = cloud.Identity(
                f"{name}-{workload}",
                contracts.IdentityArgs(foundation=foundation, workload=workload, grants=grants),
                child,
            )
            identities.append(made)
            return made

        image = cloud.ImageBuild(
            f"{name}-image",
            contracts.ImageBuildArgs(
                foundation=foundation,
                lake=lake,
                registry=registry,
                identity=identity(
                    contracts.Workload.BUILD,
                    contracts.Grant(lake, contracts.Access.READ, contracts.Zone.BUILDS),
                    contracts.Grant(registry, contracts.Access.PUSH),
                ),
                context=WORKLOADS,
                tag=build_context.content_hash(WORKLOADS),
            ),
            child,
        )
        model = cloud.ModelArtifact(
            f"{name}-model",
            contracts.ModelArtifactArgs(foundation=foundation, lake=lake, artifact=config.artifact),
            child,
        )
        endpoint = cloud.ModelEndpoint(
            f"{name}-endpoint",
            contracts.ModelEndpointArgs(
                foundation=foundation,
                lake=lake,
                identity=identity(
                    contracts.Workload.SERVING,
                    contracts.Grant(lake, contracts.Access.READ, contracts.Zone.MODELS),
                    contracts.Grant(registry, contracts.Access.PULL),
                ),
                image=image.image,
                model=model,
                machine=config.machine,
                min_instances=config.endpoint.min_instances,
                max_instances=config.endpoint.max_instances,
            ),
            child,
        )
        key = (
            cloud.ApiKey(
                f"{name}-key",
                contracts.ApiKeyArgs(foundation=foundation, rotation=config.gateway.key_rotation),
                child,
            )
            if config.gateway.access == "key"
            else None
        )
        gateway = cloud.Gateway(
            f"{name}-gateway",
            contracts.GatewayArgs(
                foundation=foundation,
                lake=lake,
                identity=identity(
                    contracts.Workload.GATEWAY,
                    contracts.Grant(endpoint, contracts.Access.INVOKE),
                    contracts.Grant(lake, contracts.Access.WRITE, contracts.Zone.CAPTURES),
                    contracts.Grant(registry, contracts.Access.PULL),
                    *([contracts.Grant(key, contracts.Access.READ)] if key else []),
                ),
                endpoint=endpoint,
                image=image.image,
                code=WORKLOADS,
                key=key,
                max_concurrency=config.gateway.max_concurrency,
                settings={"MAX_BODY_BYTES": str(config.gateway.max_body_kib * 1024)},
            ),
            child,
        )

        delivery = (
            cloud.Delivery(
                f"{name}-delivery",
                contracts.DeliveryArgs(
                    foundation=foundation,
                    lake=lake,
                    registry=registry,
                    identities=identities,
                    repository=config.delivery.repository,
                    branch=config.delivery.branch,
                    environment=config.delivery.environment or None,
                    existing_provider=config.delivery.existing_provider,
                    prefix=name,
                ),
                child,
            )
            if config.delivery.repository
            else None
        )

        self.outputs = {
            "cloud": config.cloud,
            "environment": config.environment,
            "lake_uri": lake.uri,
            "image": image.image,
            "model_version": endpoint.model_version,
            "endpoint_name": endpoint.endpoint_name,
            "endpoint_url": endpoint.endpoint_url,
            "gateway_url": gateway.url,
        }
        if key:
            self.outputs["gateway_key"] = key.value
        if delivery:
            self.outputs["delivery_identity"] = delivery.identity
            self.outputs["delivery_provider"] = delivery.provider
        self.register_outputs(self.outputs)
