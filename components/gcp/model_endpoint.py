"""The model endpoint on Google Cloud: Vertex AI, and a model, a deployment and the traffic of our own."""

from __future__ import annotations

import pulumi
from pulumi_gcp import vertex

from components import contracts, names
from components.gcp import rest
from components.gcp.dynamic.vertex_deployment import VertexDeployment
from components.gcp.dynamic.vertex_model import VertexModel
from components.gcp.dynamic.vertex_traffic import VertexTraffic
from components.gcp.foundation import Foundation


class ModelEndpoint(contracts.ModelEndpoint):
    """One endpoint, which stays. Another model is uploaded and deployed beside the one that serves, takes
    the traffic, and only then is the former one undeployed and deleted: the engine creates replacements
    first, updates what depends on them, and deletes the replaced resources last.
    """

    endpoint: vertex.AiEndpoint

    def __init__(
        self,
        name: str,
        args: contracts.ModelEndpointArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("triplane:gcp:ModelEndpoint", name, None, opts)
        foundation = Foundation.of(args.foundation)

        self.endpoint = vertex.AiEndpoint(
            f"{name}-endpoint",
            name=names.numeric_id(
                foundation.project,
                foundation.region,
                pulumi.get_project(),
                pulumi.get_stack(),
                name,
            ),
            display_name=name,
            location=foundation.region,
            region=foundation.region,
            labels=foundation.labels,
            opts=foundation.child(self),
        )
        model = VertexModel(
            f"{name}-model",
            project=foundation.project,
            region=foundation.region,
            display_name=name,
            image=args.image,
            artifact_uri=args.model.uri,
            labels=foundation.labels,
            opts=foundation.child(self),
        )
        deployment = VertexDeployment(
            f"{name}-deployment",
            endpoint=self.endpoint.id,
            model=model.id,
            region=foundation.region,
            machine=args.machine,
            min_instances=args.min_instances,
            max_instances=args.max_instances,
            # Vertex AI's own: `components.gcp.package.WORKLOADS` has the reason.
            service_account="",
            opts=foundation.child(self),
        )
        traffic = VertexTraffic(
            f"{name}-traffic",
            endpoint=self.endpoint.id,
            region=foundation.region,
            deployed_model=deployment.id,
            opts=foundation.child(self),
        )

        self.label = args.label
        self.endpoint_name = self.endpoint.name
        # rawPredict passes the container's answer through; predict would drop its model_version.
        # https://cloud.google.com/vertex-ai/docs/predictions/get-online-predictions
        self.endpoint_url = pulumi.Output.concat(
            rest.vertex_url(foundation.region), self.endpoint.id, ":rawPredict"
        )
        self.model_version = traffic.model_version
        self.target = self.endpoint_url
        self.register_outputs(
            {"endpoint_name": self.endpoint_name, "model_version": self.model_version}
        )
