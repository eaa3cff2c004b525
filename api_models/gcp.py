"""Google Cloud: the discovery documents that google-api-python-client carries. Types, formats, enums, what is
required and what is output only; and of what they say in prose, the rules of names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient

from api_models.matching import Json, NotLookedAt, Said, complaints, matches, member, put
from components.gcp.dynamic import built_image, vertex_deployment, vertex_model, vertex_traffic
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
    made: Callable[[Json], Json] | None = None
    """How components/ makes the body of a dynamic resource's inputs; each name must then be the wire's."""
    part: bool = False
    """A change of a part, by a field mask: what is required of the whole is not of it."""

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
        "iam.v1",
        "CreateServiceAccountRequest",
        {name: f"serviceAccount.{name}" for name in ("displayName", "description")},
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
    "pulumi-python:dynamic/triplane:GcpBuiltImage": Body(
        "cloudbuild.v1",
        "Build",
        path=frozenset({"region"}),
        made=built_image.build_request,
    ),
    "pulumi-python:dynamic/triplane:VertexDeployment": Body(
        "aiplatform.v1",
        "GoogleCloudAiplatformV1DeployModelRequest",
        path=frozenset({"region", "endpoint"}),
        made=vertex_deployment.deploy_request,
    ),
    "pulumi-python:dynamic/triplane:VertexModel": Body(
        "aiplatform.v1",
        "GoogleCloudAiplatformV1UploadModelRequest",
        path=frozenset({"region", "project"}),
        made=vertex_model.upload_request,
    ),
    "pulumi-python:dynamic/triplane:VertexTraffic": Body(
        "aiplatform.v1",
        "GoogleCloudAiplatformV1Endpoint",
        path=frozenset({"region"}),
        made=lambda props: vertex_traffic.traffic_request(
            props["endpoint"], {props["deployed_model"]: 100}
        ),
        part=True,
    ),
}
NOT_COVERED = {
    "gcp:projects/service:Service": "the request has no body: the API's name is in the URL",
    "gcp:projects/serviceIdentity:ServiceIdentity": "the method is in serviceusage.v1beta1 only",
}

# What the documents say of a name in prose only. A name that the program leaves to Pulumi is its id.
SAID: dict[tuple[str, str], Said] = {
    ("gcp:cloudrunv2/service:Service", "name"): Said(
        "run.v2 projects.locations.services.create serviceId",
        "It must begin with letter, and cannot end with hyphen; must contain fewer than 50 characters.",
        r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?",
    ),
    ("gcp:iam/workloadIdentityPool:WorkloadIdentityPool", "workloadIdentityPoolId"): Said(
        "iam.v1 projects.locations.workloadIdentityPools.create workloadIdentityPoolId",
        "This value should be 4-32 characters, and may contain the characters [a-z0-9-]. "
        "The prefix `gcp-` is reserved for use by Google, and may not be specified.",
        r"(?!gcp-)[a-z0-9-]{4,32}",
    ),
    (
        "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",
        "workloadIdentityPoolId",
    ): Said(
        "iam.v1 projects.locations.workloadIdentityPools.create workloadIdentityPoolId",
        "This value should be 4-32 characters",
        r"(?!gcp-)[a-z0-9-]{4,32}",
    ),
    (
        "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",
        "workloadIdentityPoolProviderId",
    ): Said(
        "iam.v1 projects.locations.workloadIdentityPools.providers.create workloadIdentityPoolProviderId",
        "This value must be 4-32 characters, and may contain the characters [a-z0-9-]. "
        "The prefix `gcp-` is reserved for use by Google, and may not be specified.",
        r"(?!gcp-)[a-z0-9-]{4,32}",
    ),
    ("gcp:projects/iAMCustomRole:IAMCustomRole", "roleId"): Said(
        "iam.v1 CreateRoleRequest roleId",
        "A role ID may contain alphanumeric characters, underscores (`_`), and periods (`.`). "
        "It must contain a minimum of 3 characters and a maximum of 64 characters.",
        r"[a-zA-Z0-9_.]{3,64}",
    ),
    ("gcp:secretmanager/secret:Secret", "secretId"): Said(
        "secretmanager.v1 projects.secrets.create secretId",
        "A secret ID is a string with a maximum length of 255 characters and can contain uppercase and "
        "lowercase letters, numerals, and the hyphen (`-`) and underscore (`_`) characters.",
        r"[a-zA-Z0-9_-]{1,255}",
    ),
    ("gcp:serviceaccount/account:Account", "accountId"): Said(
        "iam.v1 CreateServiceAccountRequest accountId",
        "must be 6-30 characters long, and match the regular expression `[a-z]([-a-z0-9]*[a-z0-9])`",
        r"(?=.{6,30}$)[a-z]([-a-z0-9]*[a-z0-9])",
    ),
    ("gcp:vertex/aiEndpoint:AiEndpoint", "name"): Said(
        "aiplatform.v1 projects.locations.endpoints.create endpointId",
        "If the first character is a number, this value may be up to 9 characters, and valid "
        "characters are `[0-9]` with no leading zeros",
        r"[1-9][0-9]{0,8}",
    ),
    ("pulumi-python:dynamic/triplane:VertexDeployment", "deployedModel.id"): Said(
        "aiplatform.v1 GoogleCloudAiplatformV1DeployedModel id",
        "This value should be 1-10 characters, and valid characters are `/[0-9]/`.",
        r"[0-9]{1,10}",
    ),
    ("pulumi-python:dynamic/triplane:VertexModel", "modelId"): Said(
        "aiplatform.v1 GoogleCloudAiplatformV1UploadModelRequest modelId",
        "This value may be up to 63 characters, and valid characters are `[a-z0-9_-]`. "
        "The first character cannot be a number or hyphen.",
        r"[a-z_][a-z0-9_-]{0,62}",
    ),
}

# Inputs inside a block that the provider translates before it sends them, and what it takes.
# https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/storage/resource_storage_bucket.go
TRANSLATED = {"withState": ("isLive", ("LIVE", "ARCHIVED", "ANY"))}
# Required ones that the provider fills in: a name that the program leaves to Pulumi.
FILLED = {("CreateServiceAccountRequest", "accountId")}
# How a text of a format is written; what a text of another one holds is not looked at.
# https://developers.google.com/discovery/v1/type-format
FORMATS = {
    "date": r"\d{4}-\d\d-\d\d",
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "google-datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "google-duration": r"-?\d+(\.\d{1,9})?s",
    "google-fieldmask": r"[a-zA-Z0-9_.]+(,[a-zA-Z0-9_.]+)*",
    "int64": r"-?\d+",
    "uint64": r"\d+",
}
Find = Callable[[str, Any], str | None]
"""Which of a schema's properties a name means."""


def exactly(name: str, properties: Any) -> str | None:
    """The property of that very name: what components/ writes itself goes over the wire as it is."""
    return name if name in properties else None


def title(type_: str) -> str:
    """The body that a type maps to."""
    return str(BODIES[type_])


@cache
def document(name: str) -> Json:
    """One discovery document."""
    loaded: Json = json.loads((DOCUMENTS / f"{name}.json").read_text())
    return loaded


def prose(where: str) -> str:
    """What a document says of a method's parameter, or of a schema's property."""
    name, owner, field_ = where.split()
    found = document(name)
    if owner in found["schemas"]:
        return str(found["schemas"][owner]["properties"][field_]["description"])
    *way, method = owner.split(".")
    for step in way:
        found = found["resources"][step]
    return str(found["methods"][method]["parameters"][field_]["description"])


def problems(resource: Resource) -> Iterator[str]:
    """What Google would refuse of a resource's inputs."""
    return complaints(findings(resource))


def findings(resource: Resource) -> Iterator[str]:
    """The complaints, and what is not looked at."""
    body = BODIES[resource.type]
    schemas = document(body.document)["schemas"]
    schema = schemas[body.schema]
    for name in resource.inputs:
        if name in body.path and (resource.type, name) not in SAID:
            yield NotLookedAt(name)
    request: Json = {}
    find: Find = member
    if body.made:
        find = exactly
        try:
            request = body.made(dict(resource.inputs))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield f"no {body} can be made of the inputs: {error}"
            return
    else:
        for name, value in resource.inputs.items():
            if name in body.path:
                continue
            if place := body.renames.get(name) or member(name, schema["properties"]):
                put(request, place, value)
            else:
                yield f"{name} is no property of {body}"
    yield from named(resource, request if body.made else resource.inputs)
    yield from held(request, schema, schemas, body.schema, find, part=body.part)


def named(resource: Resource, given: Mapping[str, Any]) -> Iterator[str]:
    """The names against what is said of them."""
    for (type_, place), said in SAID.items():
        if type_ == resource.type:
            value: Any = given
            for step in place.split("."):
                value = value.get(step) if isinstance(value, Mapping) else None
            value = resource.id if value is None else value
            if isinstance(value, str):
                yield from matches(said.pattern, value, place)
            else:
                yield f"{place}: a text is needed, not {value!r}"


def held(
    value: Any, schema: Json, schemas: Json, path: str, find: Find = member, part: bool = False
) -> Iterator[str]:
    """A value against its schema."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    match schema.get("type"):
        case "array":
            if find is exactly and not isinstance(value, list):
                yield f"{path}: a list is needed, not {value!r}"
                return
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                yield from held(item, schema["items"], schemas, f"{path}[{index}]", find, part)
        case "object" if "additionalProperties" in schema:
            items = by_id(value)
            if items is None:
                yield f"{path}: a mapping is needed, not {value!r}"
                return
            for key, item in items.items():
                inner = schema["additionalProperties"]
                yield from held(item, inner, schemas, f"{path}.{key}", find, part)
        case "object":
            if not isinstance(value, Mapping):
                yield f"{path}: a mapping is needed, not {value!r}"
                return
            yield from properties(value, schema, schemas, path, find, part)
        case "string":
            yield from text(value, schema, path)
        case "integer" | "number" as kind:
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{path}: a number is needed, not {value!r}"
            elif kind == "integer" and not (isinstance(value, int) and -(2**31) <= value < 2**31):
                yield f"{path}: {value} is no whole number of 32 bits"
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: true or false is needed, not {value!r}"
        case _:
            yield NotLookedAt(path)


def properties(
    value: Mapping[str, Any], schema: Json, schemas: Json, path: str, find: Find, part: bool
) -> Iterator[str]:
    """A mapping against an object's properties."""
    known: Json = schema.get("properties", {})
    given = set()
    for name, item in value.items():
        if name in TRANSLATED and TRANSLATED[name][0] in known:
            if item not in TRANSLATED[name][1]:
                yield f"{path}.{name}: {item!r} is none of {', '.join(TRANSLATED[name][1])}"
            continue
        key = find(name, known)
        if key is None:
            yield f"{path}: has no {name}; there are {', '.join(list(known)[:8])} …"
        elif item is not None:
            given.add(key)
            if known[key].get("readOnly"):
                yield f"{path}.{key}: cannot be written"
            yield from held(item, known[key], schemas, f"{path}.{key}", find, part)
    for name, each in known.items():
        # https://google.aip.dev/203: what a field is stands first in its description.
        required = each.get("description", "").startswith("Required.")
        if required and not part and name not in given and (path, name) not in FILLED:
            yield f"{path}: {name} is required"


def text(value: Any, schema: Json, path: str) -> Iterator[str]:
    """A text; a number of 64 bits is one, too, for JSON has none."""
    wide = schema.get("format") in ("int64", "uint64")
    if isinstance(value, bool) or not isinstance(value, str | int if wide else str):
        yield f"{path}: a text is needed, not {value!r}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {', '.join(schema['enum'][:8])} …"
    if "pattern" in schema:
        yield from matches(schema["pattern"], str(value), path, whole=False)
    if format_ := schema.get("format"):
        if format_ in FORMATS:
            yield from matches(FORMATS[format_], str(value), path)
        else:
            yield NotLookedAt(path)


def by_id(value: Any) -> Mapping[str, Any] | None:
    """A map whose keys are the user's; Terraform writes one as blocks with an ``id``."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and all(
        isinstance(each, Mapping) and isinstance(each.get("id"), str) for each in value
    ):
        return {each["id"]: each for each in value}
    return None
