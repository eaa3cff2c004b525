"""The platform: how the nouns fit together, written once for all clouds."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components import contracts as c
from components import names
from config.schema import StackConfig

WORKLOADS = Path(__file__).resolve().parent.parent / "lambda"


class Platform(pulumi.ComponentResource):
    """A lake, an image, a served model and a front door, on one cloud."""

    outputs: dict[str, pulumi.Input[object]]
    """The contract: the same names and types on every cloud."""

    def __init__(self, name: str, config: StackConfig, cloud: c.CloudPackage) -> None:
        super().__init__("triplane:index:Platform", name)
        child = pulumi.ResourceOptions(parent=self)

        foundation = cloud.Foundation(
            f"{name}-foundation",
            c.FoundationArgs(
                region=config.region,
                project=config.project,
                environment=config.environment,
                tags=names.tags(config.environment, pulumi.get_stack(), config.tags),
                keep_data=config.keep_data,
            ),
            child,
        )
        lake = cloud.DataLake(
            f"{name}-lake",
            c.DataLakeArgs(
                foundation=foundation,
                captures_days=config.lake.captures_days,
                noncurrent_days=config.lake.noncurrent_days,
            ),
            child,
        )
        registry = cloud.ImageRegistry(
            f"{name}-registry", c.ImageRegistryArgs(foundation=foundation), child
        )

        identities: list[c.Identity] = []

        def identity(workload: c.Workload, *grants: c.Grant) -> c.Identity:
            made = cloud.Identity(
                f"{name}-{workload}",
                c.IdentityArgs(foundation=foundation, workload=workload, grants=grants),
                child,
            )
            identities.append(made)
            return made

        image = cloud.ImageBuild(
            f"{name}-image",
            c.ImageBuildArgs(
                foundation=foundation,
                lake=lake,
                registry=registry,
                identity=identity(
                    c.Workload.BUILD,
                    c.Grant(lake, c.Access.READ, c.Zone.BUILDS),
                    c.Grant(registry, c.Access.PUSH),
                ),
                context=WORKLOADS,
                tag=names.content_hash(WORKLOADS),
            ),
            child,
        )
        model = cloud.ModelArtifact(
            f"{name}-model",
            c.ModelArtifactArgs(foundation=foundation, lake=lake, artifact=config.artifact),
            child,
        )
        endpoint = cloud.ModelEndpoint(
            f"{name}-endpoint",
            c.ModelEndpointArgs(
                foundation=foundation,
                lake=lake,
                identity=identity(
                    c.Workload.SERVING,
                    c.Grant(lake, c.Access.READ, c.Zone.MODELS),
                    c.Grant(registry, c.Access.PULL),
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
                c.ApiKeyArgs(foundation=foundation, rotation=config.gateway.key_rotation),
                child,
            )
            if config.gateway.access == "key"
            else None
        )
        gateway = cloud.Gateway(
            f"{name}-gateway",
            c.GatewayArgs(
                foundation=foundation,
                lake=lake,
                identity=identity(
                    c.Workload.GATEWAY,
                    c.Grant(endpoint, c.Access.INVOKE),
                    c.Grant(lake, c.Access.WRITE, c.Zone.CAPTURES),
                    c.Grant(registry, c.Access.PULL),
                    *([c.Grant(key, c.Access.READ)] if key else []),
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
                c.DeliveryArgs(
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
