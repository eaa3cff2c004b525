"""pulumi-gcp, bridged from Terraform's provider: how it behaves, as data with its source.

A file after ``TF`` is in https://github.com/hashicorp/terraform-provider-google/tree/main/google/services
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.core.account import Account
from rehearsal.core.assets import content_bytes
from rehearsal.core.records import Errors, Json, Record
from rehearsal.core.schema import Schema
from rehearsal.core.wire import has_unknown
from rehearsal.gcp import (
    artifact_registry,
    cloud_run,
    iam,
    permissions,
    secret_manager,
    storage,
    vertex_ai,
)
from rehearsal.provider import generic
from rehearsal.provider.bridged import BridgedProvider
from rehearsal.provider.context import Context

DIFFERENT_HASH = "different hash"
PROBE = {"failureThreshold": 3, "periodSeconds": 10, "timeoutSeconds": 1, "httpGet.path": "/"}
PROBES = {
    f"template.containers.{probe}.{name}": value
    for probe in ("startupProbe", "livenessProbe")
    for name, value in PROBE.items()
}
CHECK_DEFAULTS: dict[str, dict[str, Any]] = {
    # TF: artifactregistry/resource_artifact_registry_repository.go
    artifact_registry.REPOSITORY: {
        "mode": "STANDARD_REPOSITORY",
        "cleanupPolicies.condition.tagState": "ANY",
        "mavenConfig.versionPolicy": "VERSION_POLICY_UNSPECIFIED",
    },
    # TF: cloudrunv2/resource_cloud_run_v2_service.go
    cloud_run.SERVICE: {
        "deletionProtection": True,
        "template.volumes.emptyDir.medium": "MEMORY",
        **PROBES,
    },
    # TF: resourcemanager/resource_google_project_iam_custom_role.go
    permissions.CUSTOM_ROLE: {"stage": "GA"},
    # TF: secretmanager/resource_secret_manager_secret_version.go
    secret_manager.SECRET_VERSION: {"enabled": True},
    # TF: storage/resource_storage_bucket.go
    storage.BUCKET: {
        "storageClass": "STANDARD",
        "softDeletePolicy.retentionDurationSeconds": 604800,
    },
    # TF: storage/resource_storage_bucket_object.go
    storage.BUCKET_OBJECT: {"detectMd5hash": DIFFERENT_HASH},
}


def object_outputs(context: Context, record: Record) -> Json:
    """The hash that the object has now, whoever wrote it. TF: storage/resource_storage_bucket_object.go"""
    found = storage.object_hash(context, record.inputs["bucket"], record.inputs["name"])
    return {"md5hash": found, "detectMd5hash": found} if found else {}


def binding_outputs(context: Context, record: Record) -> Json:
    """The etag of the whole policy that a binding is in: another binding changes it, too.

    TF: ../tpgiamresource/resource_iam_member.go; https://cloud.google.com/iam/docs/reference/rest/v1/Policy
    """

    def policy(each: Record) -> Json:
        return {k: v for k, v in each.inputs.items() if k not in ("role", "member", "condition")}

    bindings = sorted(
        [each.inputs.get("role"), each.inputs.get("member")]
        for each in (*context.all(record.token), record)
        if policy(each) == policy(record)
    )
    digest = hashlib.sha256(json.dumps(bindings).encode()).digest()
    return {"etag": base64.b64encode(digest[:8]).decode()}


def place(record: Record, account: Account) -> dict[str, str]:
    """Project, region, location and zone."""
    config, inputs = record.config, record.inputs
    region = config.get("region") or account.gcp_region
    project = inputs.get("project") or config.get("project") or account.gcp_project
    return {
        "project": project,
        "projectNumber": account.gcp_number(project),
        "region": inputs.get("region") or region,
        "location": inputs.get("location") or region,
        "zone": inputs.get("zone") or config.get("zone") or f"{region}-a",
    }


@dataclass(frozen=True, kw_only=True)
class GoogleProvider(BridgedProvider):
    """Its ids name the project. It compares the objects of Cloud Storage with files of the machine."""

    content_hashes: dict[str, str] = field(default_factory=dict)
    """The MD5 of the content that `Check` has written to the machine's temporary folder, by URN.

    The next operation takes it out. The folder of a real machine keeps the file, but a refresh runs no `Check`, and on
    another machine, such as a runner of CI, there is none:
    https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/info/assets.go (translateToFile)
    https://github.com/pulumi/pulumi/blob/v3.250.0/sdk/go/common/resource/plugin/provider_plugin.go (ElideAssetContents)
    """

    def keep_content(self, urn: str, token: str, inputs: Json) -> None:
        given = {k: v for k, v in inputs.items() if k in ("source", "content")}
        if token == storage.BUCKET_OBJECT and not has_unknown(given):
            digest = hashlib.md5(content_bytes(inputs), usedforsecurity=False).digest()
            self.content_hashes[urn] = base64.b64encode(digest).decode()

    def drop_content(self, urn: str) -> None:
        self.content_hashes.pop(urn, None)

    def suppressed(self, urn: str, token: str, olds: Json, news: Json) -> frozenset[str]:
        """The hash of an object is no difference while it is that of the program's content, if that is at hand.

        It is asked only where the two inputs differ. Before the first read the old one says nothing.
        TF: storage/resource_storage_bucket_object.go (detect_md5hash, DiffSuppressFunc)
        """
        if token != storage.BUCKET_OBJECT:
            return frozenset()
        known = (self.content_hashes.pop(urn, None), DIFFERENT_HASH)
        is_same = news.get("sourceMd5hash") or olds.get("detectMd5hash") in known
        return frozenset({"detectMd5hash"} if is_same else ())

    def untemplated_id(
        self, record: Record, schema: Schema, place: Mapping[str, str], name: str
    ) -> str | None:
        _, kind = generic.service_and_type(record)
        return f"projects/{place['project']}/{generic.plural(kind)}/{name}"


PROVIDER = GoogleProvider(
    package="gcp",
    errors=Errors(
        not_found=("notFound", "Error 404: {what} {id} was not found"),
        taken="alreadyExists",
        throttled=(
            "rateLimitExceeded",
            "Error 429: Quota exceeded for quota metric 'Requests' per minute",
        ),
        unavailable=("backendError", "Error 503: The service is currently unavailable"),
        # https://docs.cloud.google.com/apis/design/errors (UNAUTHENTICATED is 401)
        expired=(
            "UNAUTHENTICATED",
            "Error 401: Request had invalid authentication credentials. Expected OAuth 2 access token",
        ),
    ),
    places=frozenset({"project", "region", "zone", "location"}),
    place=place,
    # ``secretId``, ``repositoryId`` and the like are not autonamed:
    # https://github.com/pulumi/pulumi-gcp/blob/master/provider/resources.go
    check_defaults=CHECK_DEFAULTS,
    # TF: ../tpgresource/utils.go (DefaultProviderDeletionPolicy): of 682 types 668 have this one.
    usual_outputs={"deletionPolicy": "DELETE"},
    read_back={
        storage.BUCKET_OBJECT: object_outputs,
        **dict.fromkeys(
            (
                permissions.PROJECT_BINDING,
                iam.ACCOUNT_BINDING,
                storage.BUCKET_BINDING,
                artifact_registry.REPOSITORY_BINDING,
                secret_manager.SECRET_BINDING,
                vertex_ai.ENDPOINT_BINDING,
                cloud_run.SERVICE_BINDING,
            ),
            binding_outputs,
        ),
    },
    renewed={
        # https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services
        "etag": "a fingerprint of the service, which the service may change (believed)",
        "updateTime": "the last change, also by the service itself (believed)",
    },
)
