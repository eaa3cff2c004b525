"""Google Cloud: the discovery documents of google-api-python-client. They state types, formats, enumerations,
what is required and what is output only. The rules of names are in their descriptions, as prose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient

from api_models.matching import (
    Json,
    NotChecked,
    ProseRule,
    matching_member,
    pattern_problems,
    problems_among,
    set_path,
)
from api_models.resource import Resource

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"


@dataclass(frozen=True, eq=False)
class Body:
    """The schema of a request's body, and how a resource's inputs become it if their names do not say it."""

    document: str
    schema: str
    renames: Mapping[str, str] = field(default_factory=dict)
    not_in_body: frozenset[str] = frozenset()
    """Inputs that are part of the URL, or that control the provider."""
    build: Callable[[Json], Json] | None = None
    """The function that makes the body of a hand-written request; its names are those of the request."""
    partial: bool = False
    """Whether the request changes a part, by a field mask. Then the required members of the whole are optional."""
    names: Mapping[str, ProseRule] = field(default_factory=dict)
    """The rules of names, by path. A name that the program leaves to Pulumi is the resource's id."""

    def __str__(self) -> str:
        return f"{self.document} {self.schema}"


def binding(*not_in_body: str) -> Body:
    """One member of an IAM policy: the same body for every service."""
    return Body("cloudresourcemanager.v1", "Binding", {"member": "members"}, frozenset(not_in_body))


# The rules of names. The documents state them in descriptions only.
SERVICE_ID = ProseRule(
    "run.v2 projects.locations.services.create serviceId",
    "It must begin with letter, and cannot end with hyphen; must contain fewer than 50 characters.",
    r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?",
)
POOL_ID = ProseRule(
    "iam.v1 projects.locations.workloadIdentityPools.create workloadIdentityPoolId",
    "This value should be 4-32 characters, and may contain the characters [a-z0-9-]. "
    "The prefix `gcp-` is reserved for use by Google, and may not be specified.",
    r"(?!gcp-)[a-z0-9-]{4,32}",
)
POOL_PROVIDER_ID = ProseRule(
    "iam.v1 projects.locations.workloadIdentityPools.providers.create workloadIdentityPoolProviderId",
    "This value must be 4-32 characters, and may contain the characters [a-z0-9-]. "
    "The prefix `gcp-` is reserved for use by Google, and may not be specified.",
    r"(?!gcp-)[a-z0-9-]{4,32}",
)
ROLE_ID = ProseRule(
    "iam.v1 CreateRoleRequest roleId",
    "A role ID may contain alphanumeric characters, underscores (`_`), and periods (`.`). "
    "It must contain a minimum of 3 characters and a maximum of 64 characters.",
    r"[a-zA-Z0-9_.]{3,64}",
)
SECRET_ID = ProseRule(
    "secretmanager.v1 projects.secrets.create secretId",
    "A secret ID is a string with a maximum length of 255 characters and can contain uppercase and "
    "lowercase letters, numerals, and the hyphen (`-`) and underscore (`_`) characters.",
    r"[a-zA-Z0-9_-]{1,255}",
)
ACCOUNT_ID = ProseRule(
    "iam.v1 CreateServiceAccountRequest accountId",
    "must be 6-30 characters long, and match the regular expression `[a-z]([-a-z0-9]*[a-z0-9])`",
    r"(?=.{6,30}$)[a-z]([-a-z0-9]*[a-z0-9])",
)
ENDPOINT_ID = ProseRule(
    "aiplatform.v1 projects.locations.endpoints.create endpointId",
    "If the first character is a number, this value may be up to 9 characters, and valid "
    "characters are `[0-9]` with no leading zeros",
    r"[1-9][0-9]{0,8}",
)
DEPLOYED_MODEL_ID = ProseRule(
    "aiplatform.v1 GoogleCloudAiplatformV1DeployedModel id",
    "This value should be 1-10 characters, and valid characters are `/[0-9]/`.",
    r"[0-9]{1,10}",
)
MODEL_ID = ProseRule(
    "aiplatform.v1 GoogleCloudAiplatformV1UploadModelRequest modelId",
    "This value may be up to 63 characters, and valid characters are `[a-z0-9_-]`. "
    "The first character cannot be a number or hyphen.",
    r"[a-z_][a-z0-9_-]{0,62}",
)

BODIES: Mapping[str, Body] = {
    "gcp:artifactregistry/repository:Repository": Body(
        "artifactregistry.v1",
        "Repository",
        not_in_body=frozenset({"location", "repositoryId"}),
    ),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": binding(
        "location", "repository"
    ),
    "gcp:cloudrunv2/service:Service": Body(
        "run.v2",
        "GoogleCloudRunV2Service",
        not_in_body=frozenset({"location", "deletionProtection"}),
        names={"name": SERVICE_ID},
    ),
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": binding("location", "name"),
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": Body(
        "iam.v1",
        "WorkloadIdentityPool",
        not_in_body=frozenset({"workloadIdentityPoolId"}),
        names={"workloadIdentityPoolId": POOL_ID},
    ),
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": Body(
        "iam.v1",
        "WorkloadIdentityPoolProvider",
        not_in_body=frozenset({"workloadIdentityPoolId", "workloadIdentityPoolProviderId"}),
        names={
            "workloadIdentityPoolId": POOL_ID,
            "workloadIdentityPoolProviderId": POOL_PROVIDER_ID,
        },
    ),
    "gcp:projects/iAMCustomRole:IAMCustomRole": Body(
        "iam.v1",
        "Role",
        {"permissions": "includedPermissions"},
        frozenset({"roleId"}),
        names={"roleId": ROLE_ID},
    ),
    "gcp:projects/iAMMember:IAMMember": binding("project"),
    "gcp:secretmanager/secret:Secret": Body(
        "secretmanager.v1", "Secret", names={"secretId": SECRET_ID}
    ),
    "gcp:secretmanager/secretIamMember:SecretIamMember": binding("secretId"),
    "gcp:secretmanager/secretVersion:SecretVersion": Body(
        "secretmanager.v1",
        "AddSecretVersionRequest",
        {"secretData": "payload.data"},
        # A version is enabled and disabled by requests of their own.
        frozenset({"enabled", "secret"}),
    ),
    "gcp:serviceaccount/account:Account": Body(
        "iam.v1",
        "CreateServiceAccountRequest",
        {name: f"serviceAccount.{name}" for name in ("displayName", "description")},
        names={"accountId": ACCOUNT_ID},
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
        "storage.v1", "Object", not_in_body=frozenset({"detectMd5hash", "source"})
    ),
    "gcp:vertex/aiEndpoint:AiEndpoint": Body(
        "aiplatform.v1",
        "GoogleCloudAiplatformV1Endpoint",
        not_in_body=frozenset({"location", "region"}),
        names={"name": ENDPOINT_ID},
    ),
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember": binding("location", "endpoint"),
}
NOT_COVERED = {
    "gcp:projects/service:Service": "the request has no body: the API's name is in the URL",
    "gcp:projects/serviceIdentity:ServiceIdentity": "the method is in serviceusage.v1beta1 only",
}

# Inputs inside a block that the provider translates before it sends them, and the values that it accepts.
# https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/storage/resource_storage_bucket.go
TRANSLATED = {"withState": ("isLive", ("LIVE", "ARCHIVED", "ANY"))}
# Required members that the provider fills in: a name that the program leaves to Pulumi.
FILLED_BY_PROVIDER = {("CreateServiceAccountRequest", "accountId")}
# The pattern of a string, by its format. A string of another format is not checked.
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
FindProperty = Callable[[str, Any], str | None]
"""The property of a schema that a name means."""


def exact_property(name: str, properties: Any) -> str | None:
    """The property of exactly this name: a hand-written request is sent as it is."""
    return name if name in properties else None


def title(type_: str, bodies: Mapping[str, Body] = BODIES) -> str:
    """The body that a type is compared with."""
    return str(bodies[type_])


@cache
def document(name: str) -> Json:
    """One discovery document."""
    loaded: Json = json.loads((DOCUMENTS / f"{name}.json").read_text())
    return loaded


def documentation(where: str) -> str:
    """The description of a method's parameter, or of a schema's property."""
    name, owner, member = where.split()
    found = document(name)
    if owner in found["schemas"]:
        return str(found["schemas"][owner]["properties"][member]["description"])
    *resources, method = owner.split(".")
    for step in resources:
        found = found["resources"][step]
    return str(found["methods"][method]["parameters"][member]["description"])


def problems(resource: Resource, bodies: Mapping[str, Body] = BODIES) -> Iterator[str]:
    """What Google would refuse of a resource's inputs."""
    return problems_among(findings(resource, bodies))


def findings(resource: Resource, bodies: Mapping[str, Body] = BODIES) -> Iterator[str]:
    """The problems, and the paths that are not checked.

    A caller with hand-written requests passes its own ``bodies``.
    """
    body = bodies[resource.type]
    schemas = document(body.document)["schemas"]
    schema = schemas[body.schema]
    for name in resource.inputs:
        if name in body.not_in_body and name not in body.names:
            yield NotChecked(name)
    request: Json = {}
    if body.build:
        try:
            request = body.build(dict(resource.inputs))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield f"no {body} can be made of the inputs: {error}"
            return
    else:
        for name, value in resource.inputs.items():
            if name in body.not_in_body:
                continue
            if path := body.renames.get(name) or matching_member(name, schema["properties"]):
                set_path(request, path, value)
            else:
                yield f"{name} is no property of {body}"
    yield from name_problems(resource, body.names, request if body.build else resource.inputs)
    find = exact_property if body.build else matching_member
    yield from value_findings(request, schema, schemas, body.schema, find, body.partial)


def name_problems(
    resource: Resource, rules: Mapping[str, ProseRule], inputs: Mapping[str, Any]
) -> Iterator[str]:
    """The problems of the names under their rules."""
    for path, rule in rules.items():
        value: Any = inputs
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        value = resource.id if value is None else value
        if isinstance(value, str):
            yield from pattern_problems(rule.pattern, value, path)
        else:
            yield f"{path}: a string is needed, not {value!r}"


def value_findings(
    value: Any,
    schema: Json,
    schemas: Json,
    path: str,
    find: FindProperty = matching_member,
    partial: bool = False,
) -> Iterator[str]:
    """The findings of a value under its schema."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    match schema.get("type"):
        case "array":
            if find is exact_property and not isinstance(value, list):
                yield f"{path}: a list is needed, not {value!r}"
                return
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                place = f"{path}[{index}]"
                yield from value_findings(item, schema["items"], schemas, place, find, partial)
        case "object" if "additionalProperties" in schema:
            items = map_by_id(value)
            if items is None:
                yield f"{path}: a mapping is needed, not {value!r}"
                return
            for key, item in items.items():
                inner = schema["additionalProperties"]
                yield from value_findings(item, inner, schemas, f"{path}.{key}", find, partial)
        case "object":
            if not isinstance(value, Mapping):
                yield f"{path}: a mapping is needed, not {value!r}"
                return
            yield from property_findings(value, schema, schemas, path, find, partial)
        case "string":
            yield from string_findings(value, schema, path)
        case "integer" | "number" as kind:
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{path}: a number is needed, not {value!r}"
            elif kind == "integer" and not (isinstance(value, int) and -(2**31) <= value < 2**31):
                yield f"{path}: {value} is no whole number of 32 bits"
        case "boolean":
            if not isinstance(value, bool):
                yield f"{path}: true or false is needed, not {value!r}"
        case _:
            yield NotChecked(path)


def property_findings(
    value: Mapping[str, Any],
    schema: Json,
    schemas: Json,
    path: str,
    find: FindProperty,
    partial: bool,
) -> Iterator[str]:
    """The findings of a mapping under an object's properties."""
    known: Json = schema.get("properties", {})
    given = set()
    for name, item in value.items():
        if name in TRANSLATED and TRANSLATED[name][0] in known:
            if item not in TRANSLATED[name][1]:
                yield f"{path}.{name}: {item!r} is not one of {', '.join(TRANSLATED[name][1])}"
            continue
        key = find(name, known)
        if key is None:
            yield f"{path}: has no {name}; there are {', '.join(list(known)[:8])} …"
        elif item is not None:
            given.add(key)
            if known[key].get("readOnly"):
                yield f"{path}.{key}: cannot be written"
            yield from value_findings(item, known[key], schemas, f"{path}.{key}", find, partial)
    for name, each in known.items():
        # The description begins with the behaviour of the field: https://google.aip.dev/203
        required = each.get("description", "").startswith("Required.") and not partial
        if required and name not in given and (path, name) not in FILLED_BY_PROVIDER:
            yield f"{path}: {name} is required"


def string_findings(value: Any, schema: Json, path: str) -> Iterator[str]:
    """The findings of a string. A number of 64 bits is a string, too, because JSON has none."""
    wide = schema.get("format") in ("int64", "uint64")
    if isinstance(value, bool) or not isinstance(value, str | int if wide else str):
        yield f"{path}: a string is needed, not {value!r}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not one of {', '.join(schema['enum'][:8])} …"
    if "pattern" in schema:
        yield from pattern_problems(schema["pattern"], str(value), path, whole=False)
    if format_ := schema.get("format"):
        if format_ in FORMATS:
            yield from pattern_problems(FORMATS[format_], str(value), path)
        else:
            yield NotChecked(path)


def map_by_id(value: Any) -> Mapping[str, Any] | None:
    """A mapping whose keys the user chooses. Terraform writes it as a list of blocks with an ``id``."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and all(
        isinstance(each, Mapping) and isinstance(each.get("id"), str) for each in value
    ):
        return {each["id"]: each for each in value}
    return None
