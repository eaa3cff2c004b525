"""The clouds' own clients, side by side: what an engineer would type to see the lake and to ask the endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol


class Client(Protocol):
    def objects(self, prefix: str = "") -> list[str]:
        """Object names in the lake, the zone first."""

    def read(self, name: str) -> bytes:
        """One object."""

    def predict(self, model: str, instances: list[dict[str, Any]]) -> Any:
        """The own answer of a model's endpoint, asked without the gateway."""


@dataclass(frozen=True)
class Aws:
    """boto3; finds the rehearsal by ``AWS_ENDPOINT_URL`` and ``AWS_ENDPOINT_URL_S3``."""

    outputs: dict[str, Any]

    def client(self, service: str) -> Any:
        import boto3

        # boto3's default session keeps the keys of the first rehearsal that a process meets.
        return boto3.Session().client(service, region_name="eu-west-1")

    @property
    def bucket(self) -> str:
        return str(self.outputs["lake_uri"]).removeprefix("s3://").rstrip("/")

    def objects(self, prefix: str = "") -> list[str]:
        pages = (
            self.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket, Prefix=prefix)
        )
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def read(self, name: str) -> bytes:
        return bytes(self.client("s3").get_object(Bucket=self.bucket, Key=name)["Body"].read())

    def predict(self, model: str, instances: list[dict[str, Any]]) -> Any:
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.outputs["models"][model]["endpoint_name"],
            ContentType="application/json",
            Body=json.dumps({"instances": instances}),
        )
        return json.loads(answer["Body"].read())


@dataclass(frozen=True)
class Gcp:
    """google-cloud-storage (by ``STORAGE_EMULATOR_HOST``) and the Vertex AI prediction client."""

    outputs: dict[str, Any]

    @property
    def bucket(self) -> Any:
        from google.cloud import storage

        return storage.Client(project="triplane-dev").bucket(
            str(self.outputs["lake_uri"]).removeprefix("gs://")
        )

    def objects(self, prefix: str = "") -> list[str]:
        return [each.name for each in self.bucket.list_blobs(prefix=prefix)]

    def read(self, name: str) -> bytes:
        return bytes(self.bucket.blob(name).download_as_bytes())

    def predict(self, model: str, instances: list[dict[str, Any]]) -> Any:
        from google.cloud.aiplatform_v1 import PredictionServiceClient
        from google.protobuf import json_format

        url = str(self.outputs["models"][model]["endpoint_url"])
        base, _, rest = url.partition("/v1/")
        client = PredictionServiceClient(
            transport="rest",
            client_options={"api_endpoint": base},
        )
        answer = client.predict(endpoint=rest.rpartition(":")[0], instances=instances)
        return {"predictions": json_format.MessageToDict(answer._pb)["predictions"]}


@dataclass(frozen=True)
class Azure:
    """azure-storage-blob and a scoring call, both with a token from azure-identity."""

    outputs: dict[str, Any]

    @property
    def credential(self) -> Any:
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential()

    @property
    def service(self) -> Any:
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(self.outputs["lake_uri"], self.credential)

    def objects(self, prefix: str = "") -> list[str]:
        zones = [each.name for each in self.service.list_containers()]
        names = [
            f"{zone}/{blob.name}"
            for zone in zones
            for blob in self.service.get_container_client(zone).list_blobs()
        ]
        return [name for name in names if name.startswith(prefix)]

    def read(self, name: str) -> bytes:
        zone, _, blob = name.partition("/")
        return bytes(self.service.get_blob_client(zone, blob).download_blob().readall())

    def predict(self, model: str, instances: list[dict[str, Any]]) -> Any:
        import requests

        token = self.credential.get_token("https://ml.azure.com/.default").token
        answer = requests.post(
            self.outputs["models"][model]["endpoint_url"],
            json={"instances": instances},
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
        )
        answer.raise_for_status()
        return answer.json()


def of(outputs: dict[str, Any]) -> Client:
    """The client for the cloud that the outputs name."""
    clients: dict[str, type[Aws] | type[Gcp] | type[Azure]] = {
        "aws": Aws,
        "gcp": Gcp,
        "azure": Azure,
    }
    return clients[outputs["cloud"]](outputs)
