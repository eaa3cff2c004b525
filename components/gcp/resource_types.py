"""The resource types that the platform registers on Google Cloud: ids, searches and permissions, as data.

Ids: the page of each type at https://www.pulumi.com/registry/packages/gcp/api-docs/, "Import".
Permissions: https://cloud.google.com/iam/docs/roles-permissions
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from components.gcp import vertex_ids
from components.resource_type import (
    DYNAMIC,
    DeployPermissions,
    Facts,
    LabelledList,
    ResourceType,
    access,
    compute,
    data,
)

PROJECT = "projects/{account}"
LOCATION = f"{PROJECT}/locations/{{location}}"
POOLS = f"{PROJECT}/locations/global/workloadIdentityPools"

DOWNLOAD = "artifactregistry.repositories.downloadArtifacts"
"""Cloud Run asks for it of whoever sets up a service: https://cloud.google.com/artifact-registry/docs/integrate-cloud-run"""


class Place(StrEnum):
    """What the delivery's permissions are granted on: the smallest thing that has a policy of its own.

    A condition cannot take its place: Cloud Run, Vertex AI, Artifact Registry and IAM give conditions no attributes.
    https://cloud.google.com/iam/docs/resource-types-with-policies
    https://cloud.google.com/iam/docs/conditions-attribute-reference
    """

    LAKE = "the lake's bucket"
    ZONES = "objects of some zones of the lake"
    REGISTRY = "the registry's repository"
    KEY = "the secret of the gateway's key"
    GATEWAY = "the gateway's service"
    ENDPOINT = "the model endpoint"
    ACCOUNTS = "each of the platform's service accounts"
    PROJECT = "the project"


PLACES = {
    "storage.buckets.": Place.LAKE,
    "storage.objects.": Place.ZONES,
    "artifactregistry.": Place.REGISTRY,
    "secretmanager.": Place.KEY,
    "run.services.": Place.GATEWAY,
    "aiplatform.endpoints.": Place.ENDPOINT,
    "iam.serviceAccounts.": Place.ACCOUNTS,
}
"""By how a permission begins. All others are granted on the project: what they are for has no policy of its own, or
does not exist yet, such as a model that is uploaded."""


def delivery_permissions(place: Place) -> list[str]:
    """What the delivery may do on a place, sorted."""
    granted = {*DeployPermissions.of(RESOURCE_TYPES).permissions, QUOTAS}
    return sorted(each for each in granted if place_of(each) is place)


def place_of(permission: str) -> Place:
    """What a permission of the delivery is granted on."""
    found = (place for start, place in PLACES.items() if permission.startswith(start))
    return next(found, Place.PROJECT)


QUOTAS = "serviceusage.quotas.get"
"""What `make check-account` asks before a release. https://cloud.google.com/service-usage/docs/access-control"""


def _verbs(resource: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"{resource}.{verb}" for verb in verbs)


def _member(target: str) -> Callable[[Facts], str]:
    """The id of a binding of one member to one role on ``target``; a condition is identified by its title.

    https://registry.terraform.io/providers/hashicorp/google/latest/docs/resources/storage_bucket_iam#import
    """

    def member_id(facts: Facts) -> str:
        title = (facts.get("condition") or {}).get("title")
        parts = (target.format_map(facts), facts["role"], facts["member"], title)
        return " ".join(part for part in parts if part)

    return member_id


def _vertex_model_name(facts: Facts) -> str:
    return vertex_ids.model_name({name: facts[name] for name in vertex_ids.MODEL_INPUTS})


def _vertex_deployment_id(facts: Facts) -> str:
    return vertex_ids.deployment_id({name: facts[name] for name in vertex_ids.DEPLOYMENT_INPUTS})


# A binding is imported by its target, role and member with spaces between, and has slashes afterwards.
RESOURCE_TYPES: dict[str, ResourceType] = {
    "gcp:artifactregistry/repository:Repository": ResourceType(
        creation=_verbs("artifactregistry.repositories", "create", "delete", "update"),
        import_id=f"{LOCATION}/repositories/{{repositoryId}}",
        precious="registry",
        deploy=data("artifactregistry.repositories.get"),
    ),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": ResourceType(
        creation=_verbs("artifactregistry.repositories", "setIamPolicy"),
        import_id=_member(f"{LOCATION}/repositories/{{repository}}"),
        keeps_import_id=False,
        deploy=access("artifactregistry.repositories.getIamPolicy"),
    ),
    "gcp:cloudrunv2/service:Service": ResourceType(
        # A right on one service is given when it exists, so a person creates it.
        creation=_verbs("run.services", "create", "delete"),
        import_id=f"{LOCATION}/services/{{name}}",
        search=LabelledList("run", "services", regional=True),
        deploy=compute(
            # Letting anyone call (`invoker_iam_disabled`: the gateway checks its key itself) needs
            # setIamPolicy. https://cloud.google.com/run/docs/securing/managing-access#invoker_check
            *_verbs("run.services", "get", "setIamPolicy", "update"),
            "run.operations.get",
            DOWNLOAD,
        ),
    ),
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": ResourceType(
        creation=_verbs("run.services", "setIamPolicy"),
        import_id=_member(f"{LOCATION}/services/{{name}}"),
        keeps_import_id=False,
        deploy=access("run.services.getIamPolicy"),
    ),
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": ResourceType(
        creation=_verbs("iam.workloadIdentityPools", "create", "delete", "update"),
        import_id=f"{POOLS}/{{workloadIdentityPoolId}}",
        deploy=access("iam.workloadIdentityPools.get"),
    ),
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": ResourceType(
        creation=_verbs("iam.workloadIdentityPoolProviders", "create", "delete", "update"),
        import_id=f"{POOLS}/{{workloadIdentityPoolId}}/providers/{{workloadIdentityPoolProviderId}}",
        deploy=access("iam.workloadIdentityPoolProviders.get"),
    ),
    "gcp:projects/iAMCustomRole:IAMCustomRole": ResourceType(
        creation=_verbs("iam.roles", "create", "delete", "update"),
        import_id=f"{PROJECT}/roles/{{roleId}}",
        deploy=access("iam.roles.get"),
    ),
    "gcp:projects/iAMMember:IAMMember": ResourceType(
        creation=_verbs("resourcemanager.projects", "setIamPolicy"),
        import_id=_member("{project}"),
        keeps_import_id=False,
        deploy=access("resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy"),
    ),
    "gcp:projects/service:Service": ResourceType(
        creation=_verbs("serviceusage.services", "enable"),
        import_id="{account}/{service}",
        # An API that is switched on is a new service in the project: a person decides on that.
        deploy=access(*_verbs("serviceusage.services", "get", "list")),
    ),
    "gcp:secretmanager/secret:Secret": ResourceType(
        creation=_verbs("secretmanager.secrets", "create", "delete", "update"),
        import_id=f"{PROJECT}/secrets/{{secretId}}",
        precious="vault",
        search=LabelledList("secretmanager", "secrets"),
        deploy=data("secretmanager.secrets.get"),
    ),
    "gcp:secretmanager/secretIamMember:SecretIamMember": ResourceType(
        creation=_verbs("secretmanager.secrets", "setIamPolicy"),
        import_id=_member("{secretId}"),
        keeps_import_id=False,
        deploy=access("secretmanager.secrets.getIamPolicy"),
    ),
    "gcp:secretmanager/secretVersion:SecretVersion": ResourceType(
        # No import id: versions are counted, so which one it is depends on the others.
        keeps_import_id=False,
        secret_paths=("secretData",),
        secret_output="secretData",  # noqa: S106  # the output's name
        # https://cloud.google.com/secret-manager/docs/access-control#lowest-level
        deploy=compute(
            *_verbs("secretmanager.versions", "access", "add", "destroy", "enable", "get")
        ),
    ),
    "gcp:serviceaccount/account:Account": ResourceType(
        creation=_verbs("iam.serviceAccounts", "actAs", "create", "delete", "update"),
        import_id=f"{PROJECT}/serviceAccounts/{{accountId}}@{{account}}.iam.gserviceaccount.com",
        deploy=access("iam.serviceAccounts.get"),
    ),
    "gcp:serviceaccount/iAMMember:IAMMember": ResourceType(
        creation=_verbs("iam.serviceAccounts", "setIamPolicy"),
        import_id=_member("{serviceAccountId}"),
        keeps_import_id=False,
        deploy=access("iam.serviceAccounts.getIamPolicy"),
    ),
    "gcp:storage/bucket:Bucket": ResourceType(
        creation=_verbs("storage.buckets", "create", "delete", "update"),
        import_id="{name}",
        precious="lake",
        deploy=data("storage.buckets.get"),
    ),
    "gcp:storage/bucketIAMMember:BucketIAMMember": ResourceType(
        creation=_verbs("storage.buckets", "setIamPolicy"),
        import_id=_member("b/{bucket}"),
        keeps_import_id=False,
        deploy=access("storage.buckets.getIamPolicy"),
    ),
    "gcp:storage/bucketObject:BucketObject": ResourceType(
        # google_storage_bucket_object has no import; this is the id that the provider makes.
        import_id="{bucket}-{name}",
        importable=False,
        deploy=compute(*_verbs("storage.objects", "create", "delete", "get")),
    ),
    "gcp:vertex/aiEndpoint:AiEndpoint": ResourceType(
        # As a service of Cloud Run; besides, whoever calls it knows its address.
        creation=_verbs("aiplatform.endpoints", "create", "delete"),
        import_id=f"{LOCATION}/endpoints/{{name}}",
        precious="endpoint",
        deploy=compute(*_verbs("aiplatform.endpoints", "get", "update")),
    ),
    "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember": ResourceType(
        creation=_verbs("aiplatform.endpoints", "setIamPolicy"),
        import_id=_member(f"{LOCATION}/endpoints/{{endpoint}}"),
        keeps_import_id=False,
        deploy=access("aiplatform.endpoints.getIamPolicy"),
    ),
    f"{DYNAMIC}GcpBuiltImage": ResourceType(
        import_id="{repository}:{tag}",
        importable=False,
        deploy=compute(*_verbs("cloudbuild.builds", "create", "get"), "artifactregistry.tags.get"),
    ),
    f"{DYNAMIC}VertexDeployment": ResourceType(
        import_id=_vertex_deployment_id,
        importable=False,
        deploy=compute(
            *_verbs("aiplatform.endpoints", "deploy", "get", "undeploy", "update"),
            "aiplatform.operations.list",
        ),
    ),
    f"{DYNAMIC}VertexModel": ResourceType(
        import_id=_vertex_model_name,
        importable=False,
        deploy=compute(
            *_verbs("aiplatform.models", "delete", "get", "update", "upload"),
            "aiplatform.operations.list",
        ),
    ),
    f"{DYNAMIC}VertexTraffic": ResourceType(
        import_id="{endpoint}",
        importable=False,
        deploy=compute(
            *_verbs("aiplatform.endpoints", "get", "update"),
            "aiplatform.models.get",
        ),
    ),
}
