"""A model in the registry of Vertex AI: the Google provider has no resource for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from components.dynamic import Props, Provider, not_found
from components.gcp import rest
from components.gcp.vertex_ids import model_name

PORT = 8080
UPLOAD_SECONDS = 15 * 60


class VertexModelProvider(Provider):
    """A model in the registry of Vertex AI, with an id that is made of its inputs (`vertex_ids`)."""

    replace_on = frozenset({"project", "region", "image", "artifact_uri"})

    def create(self, props: Props) -> CreateResult:
        base, name = rest.vertex_url(props["region"]), model_name(props)
        parent, _, model_id = name.partition("/models/")
        rest.create_once(
            base,
            f"{parent}/models:upload",
            upload_request(props),
            owner=name,
            exists=lambda: rest.find(base + name) is not None,
            what=f"upload of model {model_id}",
            seconds=UPLOAD_SECONDS,
        )
        return CreateResult(name, props)

    def read(self, id_: str, props: Props) -> ReadResult:
        model = rest.find(rest.vertex_url(props["region"]) + id_)
        if model is None:
            return not_found()
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
        base, what = rest.vertex_url(props["region"]), f"deletion of {id_}"
        # One that an interrupted run began is not begun again.
        rest.wait_for_operations(base, id_, what=what, seconds=UPLOAD_SECONDS)
        if rest.find(base + id_) is not None:
            rest.operate("DELETE", base, id_, what=what, seconds=UPLOAD_SECONDS)


class VertexModel(Resource, module="triplane", name="VertexModel"):
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
            VertexModelProvider(),
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
