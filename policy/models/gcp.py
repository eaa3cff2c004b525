"""Google Cloud: the discovery documents that google-api-python-client carries. Types, enums, patterns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient

from policy.models import Json, matches, member, put
from policy.record import Resource

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"


@dataclass(frozen=True, eq=False)
class Body:
    """The schema of a request's body, and how a resource's inputs become it where names do not say."""

    document: str
    schema: str
    renames: Mapping[str, str] = field(default_factory=dict)
    path: frozenset[str] = frozenset()
    """Inputs that are in the URL, or that tell the provider what to do."""

    def __str__(self) -> str:
        return f"{self.document} {self.schema}"


def binding(*path: str) -> Body:
    """One member of a policy: every service takes the same."""
    return Body("cloudresourcemanager.v1", "Binding", {"member": "members"}, frozenset(path))


BODIES = {
    "gcp:artifactregistry/repository:Repository": Body(
        "artifactregistry.v1",
        "Repository",
        path=frozenset({"location", "repositoryId"}),
    ),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": binding(
        "location", "repository"
    ),
    "gcp:cloudrunv2/service:Service": Body(
        "run.v2",
        "GoogleCloudRunV2Service",
        path=frozenset({"location", "deletionProtection"}),
    ),
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": Body(
        "iam.v1", "WorkloadIdentityPool", path=frozenset({"workloadIdentityPoolId"})
    ),
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": Body(
        "iam.v1",
        "WorkloadIdentityPoolProvider",
        path=frozenset({"workloadIdentityPoolId", "workloadIdentityPoolProviderId"}),
    ),
    "gcp:projects/iAMCustomRole:IAMCustomRole": Body(
        "iam.v1", "Role", {"permissions": "includedPermissions"}, frozenset({"roleId"})
    ),
    "gcp:projects/iAMMember:IAMMember": binding("project"),
    "gcp:secretmanager/secret:Secret": Body("secretmanager.v1", "Secret"),
    "gcp:secretmanager/secretIamMember:SecretIamMember": binding("secretId"),
    "gcp:secretmanager/secretVersion:SecretVersion": Body(
        "secretmanager.v1",
        "AddSecretVersionRequest",
        {"secretData": "payload.data"},
        frozenset({"secret"}),
    ),
    "gcp:serviceaccount/account:Account": Body(
        "iam.v1", "CreateServiceAccountRequest", {"displayName": "serviceAccount.displayName"}
    ),
    "gcp:serviceaccount/iAMMember:IAMMember": binding("serviceAccountId"),
    "gcp:storage/bucket:Bucket": Body(
        "storage.v1",
        "Bucket",
        {
            "lifecycleRules": "lifecycle.rule",
            "publicAccessPrevention": "iamConfiguration.publicAccessPrevention",
            "uniformBucketLevelAccess": "iamConfiguration.uniformBucketLevelAccess.enabled",
        },
        frozenset({"forceDestroy"}),
    ),
    "gcp:storage/bucketIAMMember:BucketIAMMember": binding("bucket"),
    "gcp:storage/bucketObject:BucketObject": Body(
        "storage.v1", "Object", path=frozenset({"source"})
    ),
    "gcp:vertex/aiEndpoint:AiEndpoint": Body(
        "aiplatform.v1",
        "GoogleCloudAiplatformV1Endpoint",
        path=frozenset({"location", "region"}),
    ),
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember": binding("location", "endpoint"),
}
NOT_COVERED = {
    "gcp:projects/service:Service": "the request has no body: the API's name is in the URL",
    "gcp:projects/serviceIdentity:ServiceIdentity": "the method is in serviceusage.v1beta1 only",
}

# Inputs inside a block that the provider translates before it sends them.
# https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/storage/resource_storage_bucket.go
TRANSLATED = {"withState": "isLive"}


def title(type_: str) -> str:
    """The body that a type maps to."""
    return str(BODIES[type_])


@cache
def document(name: str) -> Json:
    """One discovery document."""
    loaded: Json = json.loads((DOCUMENTS / f"{name}.json").read_text())
    return loaded


def problems(resource: Resource) -> Iterator[str]:
    """What Google would refuse of a resource's inputs."""
    body = BODIES[resource.type]
    schemas = document(body.document)["schemas"]
    schema = schemas[body.schema]
    request: Json = {}
    for name, value in resource.inputs.items():
        if name in body.path:
            continue
        place = body.renames.get(name) or member(name, schema["properties"])
        if place is None:
            yield f"{name} is no property of {body}"
        else:
            put(request, place, value)
    yield from held(request, schema, schemas, body.schema)


def held(value: Any, schema: Json, schemas: Json, path: str) -> Iterator[str]:
    """A value against its schema."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    match schema.get("type"):
        case "array":
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                yield from held(item, schema["items"], schemas, f"{path}[{index}]")
        case "object" if "additionalProperties" in schema:
            # Terraform writes a map whose keys are the user's as blocks with an id.
            for key, item in (value if isinstance(value, Mapping) else by_id(value)).items():
                yield from held(item, schema["additionalProperties"], schemas, f"{path}.{key}")
        case "object":
            if not isinstance(value, Mapping):
                yield f"{path}: a mapping is needed, not {value!r}"
                return
            for name, item in value.items():
                if name in TRANSLATED and TRANSLATED[name] in schema["properties"]:
                    continue
                key = member(name, schema.get("properties", {}))
                if key is None:
                    near = list(schema.get("properties", {}))[:8]
                    yield f"{path}: has no {name}; there are {', '.join(near)} …"
                elif item is not None:
                    yield from held(item, schema["properties"][key], schemas, f"{path}.{key}")
        case "string":
            if isinstance(value, bool | dict | list):
                yield f"{path}: a text is needed, not {value!r}"
                return
            if "enum" in schema and value not in schema["enum"]:
                yield f"{path}: {value!r} is none of {', '.join(schema['enum'][:8])} …"
            if "pattern" in schema:
                yield from matches(schema["pattern"], str(value), path)
        case "integer" | "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{path}: a number is needed, not {value!r}"
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: true or false is needed, not {value!r}"


def by_id(blocks: list[Json]) -> dict[str, Json]:
    """Blocks by their ``id``."""
    return {each["id"]: each for each in blocks}
