"""Google Cloud as a whole: its resource types with rules, its functions, its routes and its clients' variables."""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import ClassVar

from rehearsal.core.assets import ARCHIVE, SIGNATURE, archive_bytes, asset_bytes
from rehearsal.core.files import write_private
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.gcp import cloud_run, iam, storage_api, vertex_ai
from rehearsal.gcp.labels import check_labels
from rehearsal.gcp.routes import routes
from rehearsal.provider.cloud_profile import CloudProfile, Invoke
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType


class Service(ResourceType):
    token = iam.SERVICE
    source = "https://cloud.google.com/service-usage/docs/enable-disable"
    name = Name(
        property="service",
        pattern=r"[a-z0-9.-]+\.googleapis\.com",
        max=100,
        says="the name of an API ends in .googleapis.com",
        unique=None,
    )

    def create(self, context: Context, record: Record) -> None:
        record.id = f"{record.outputs['project']}/{record.inputs['service']}"

    def stays(self, record: Record) -> bool:
        """Enabled it remains, also for the other stacks of the project."""
        return record.inputs.get("disableOnDestroy") is False


class Account(ResourceType):
    token = iam.ACCOUNT
    source = "https://cloud.google.com/iam/docs/service-accounts-create"
    needs = "iam.googleapis.com"
    name = Name(
        property="accountId",
        pattern=r"[a-z]([a-z0-9-]*[a-z0-9])",
        min=6,
        max=30,
        says="lower-case letters, digits and hyphens, beginning with a letter, no hyphen at the end",
        unique=("project",),
        lower=True,
    )

    def create(self, context: Context, record: Record) -> None:
        project = record.outputs["project"]
        email = f"{record.inputs['accountId']}@{project}.iam.gserviceaccount.com"
        record.id = f"projects/{project}/serviceAccounts/{email}"
        record.outputs |= {
            "email": email,
            "member": f"serviceAccount:{email}",
            "name": record.id,
            "uniqueId": f"1{secrets.randbelow(10**20):020}",
        }


class CustomRole(ResourceType):
    token = iam.CUSTOM_ROLE
    source = "https://cloud.google.com/iam/docs/creating-custom-roles"
    needs = "iam.googleapis.com"
    name = Name(
        property="roleId",
        pattern=r"[a-zA-Z0-9_.]{3,64}",
        max=64,
        says="3 to 64 letters, digits, underscores and periods; no hyphens",
        unique=("project",),
        separator="",
    )
    UNDELETE_SECONDS = 7 * 24 * 3600
    FORGET_SECONDS = 37 * 24 * 3600

    def create(self, context: Context, record: Record) -> None:
        record.id = f"projects/{record.outputs['project']}/roles/{record.inputs['roleId']}"
        record.outputs |= {"name": record.id, "deleted": False}
        # For seven days the provider revives a deleted role, for thirty more nobody can.
        deleted = time.time() - context.kv.get("gcp/deleted-roles", record.id, 0)
        if self.UNDELETE_SECONDS < deleted < self.FORGET_SECONDS:
            raise Refusal(
                "failedPrecondition",
                f"Error 400: You can't create a role with role_id ({record.inputs['roleId']}) where"
                " there is an existing role with that role_id in a deleted state.",
            )
        context.kv.delete("gcp/deleted-roles", record.id)

    def delete(self, context: Context, record: Record) -> None:
        context.kv.put("gcp/deleted-roles", record.id, time.time())


class Member(ResourceType):
    """What every binding of one member to one role has in common."""

    source = "https://cloud.google.com/iam/docs/reference/rest/v1/Policy"
    replace_on = frozenset({"role", "member", "condition"})
    handle: ClassVar[str] = "project"
    thing: ClassVar[str] = "{project}"
    """What it is a binding of, as ``pulumi import`` names it, over the outputs."""

    def imported_as(self, record: Record) -> str:
        """https://registry.terraform.io/providers/hashicorp/google/latest/docs/resources/google_project_iam#import"""
        title = (record.inputs.get("condition") or {}).get("title")
        named = self.thing.format_map({**record.outputs, **record.inputs})
        parts = (named, record.inputs["role"], record.inputs["member"], title)
        return " ".join(part for part in parts if part)

    def check(self, context: Context, inputs: Inputs) -> None:
        role = inputs.get("role")
        if role and not re.fullmatch(r"(projects/[^/]+/|organizations/\d+/)?roles/[\w.]+", role):
            raise CheckFailure("role", f'"{role}" is no role: write roles/… or projects/…/roles/…')
        member = inputs.get("member")
        if member and not re.fullmatch(r"allUsers|allAuthenticatedUsers|\w+:.+", member):
            raise CheckFailure(
                "member", f'"{member}" is no member: write serviceAccount:…, user:…, group:…'
            )
        if "condition" not in inputs.unknown:
            iam.check_condition(inputs.get("condition"))

    def create(self, context: Context, record: Record) -> None:
        member, role = record.inputs["member"], record.inputs["role"]
        kind, _, email = member.partition(":")
        if kind == "serviceAccount" and not iam.account_exists(context, email):
            raise Refusal("badRequest", f"Error 400: Service account {email} does not exist.")
        if role.startswith("projects/") and context.find(iam.CUSTOM_ROLE, name=role) is None:
            raise Refusal("badRequest", f"Error 400: Role {role} does not exist.")
        iam.check_condition(record.inputs.get("condition"))
        record.id = "/".join([record.inputs.get(self.handle) or "", role, member])
        if condition := record.inputs.get("condition"):
            record.id += f"/{condition['title']}"


class ProjectMember(Member):
    token = "gcp:projects/iAMMember:IAMMember"
    needs = "cloudresourcemanager.googleapis.com"


class BucketMember(Member):
    token = "gcp:storage/bucketIAMMember:BucketIAMMember"
    references: ClassVar = {"bucket": "gcp:storage/bucket:Bucket"}
    handle = "bucket"
    thing = "b/{bucket}"


class RepositoryMember(Member):
    token = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    references: ClassVar = {"repository": "gcp:artifactregistry/repository:Repository"}
    handle = "repository"
    thing = "projects/{project}/locations/{location}/repositories/{repository}"


class EndpointMember(Member):
    token = "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember"
    source = "https://cloud.google.com/vertex-ai/docs/general/endpoint-access-control"
    references: ClassVar = {"endpoint": "gcp:vertex/aiEndpoint:AiEndpoint"}
    handle = "endpoint"
    thing = "projects/{project}/locations/{location}/endpoints/{endpoint}"


class SecretMember(Member):
    token = "gcp:secretmanager/secretIamMember:SecretIamMember"
    references: ClassVar = {"secretId": "gcp:secretmanager/secret:Secret"}
    handle = "secretId"
    thing = "{secretId}"


class AccountMember(Member):
    """Who may act as a service account: other accounts, and identities of a pool."""

    token = "gcp:serviceaccount/iAMMember:IAMMember"
    source = "https://cloud.google.com/iam/docs/manage-access-service-accounts"
    references: ClassVar = {"serviceAccountId": iam.ACCOUNT}
    handle = "serviceAccountId"
    thing = "{serviceAccountId}"

    def create(self, context: Context, record: Record) -> None:
        pool = re.match(
            r"principal(?:Set)?://iam\.googleapis\.com/(projects/.+?/workloadIdentityPools/[^/]+)/",
            record.inputs["member"],
        )
        if pool and context.find(WorkloadIdentityPool.token, name=pool[1]) is None:
            raise Refusal(
                "badRequest", f"Error 400: Identity Pool does not exist ({pool[1]}). Please check."
            )
        super().create(context, record)


class WorkloadIdentityPool(ResourceType):
    """A deleted pool keeps its id for 30 days."""

    token = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"
    source = "https://cloud.google.com/iam/docs/manage-workload-identity-pools-providers"
    needs = "iam.googleapis.com"
    name = Name(
        property="workloadIdentityPoolId",
        pattern=r"(?!gcp-)[a-z0-9-]+",
        min=4,
        max=32,
        says="lower-case letters, digits and hyphens, not beginning with gcp-",
        unique=("project",),
        taken="alreadyExists",
    )
    FORGET_SECONDS = 30 * 24 * 3600

    def create(self, context: Context, record: Record) -> None:
        project, pool = record.outputs["project"], record.inputs["workloadIdentityPoolId"]
        place = "locations/global/workloadIdentityPools"
        record.id = f"projects/{project}/{place}/{pool}"
        if time.time() - context.kv.get("gcp/deleted-pools", record.id, 0) < self.FORGET_SECONDS:
            raise Refusal("alreadyExists", "Error 409: Requested entity already exists")
        number = context.account.gcp_number(project)
        record.outputs |= {"name": f"projects/{number}/{place}/{pool}", "state": "ACTIVE"}

    def delete(self, context: Context, record: Record) -> None:
        context.kv.put("gcp/deleted-pools", record.id, time.time())


class WorkloadIdentityPoolProvider(ResourceType):
    token = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
    source = (
        "https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines"
    )
    name = Name(
        property="workloadIdentityPoolProviderId",
        pattern=r"(?!gcp-)[a-z0-9-]+",
        min=4,
        max=32,
        says="lower-case letters, digits and hyphens, not beginning with gcp-",
        unique=("project", "workloadIdentityPoolId"),
        taken="alreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        issuer = (inputs.get("oidc") or {}).get("issuerUri", "")
        unpinned = (
            not inputs.get("attributeCondition") and "attributeCondition" not in inputs.unknown
        )
        if unpinned and issuer.startswith("https://token.actions.githubusercontent.com"):
            raise CheckFailure(
                "attributeCondition",
                "The attribute condition must reference one of the provider's claims.",
            )

    def create(self, context: Context, record: Record) -> None:
        wanted = record.inputs["workloadIdentityPoolId"]
        pool = context.find(WorkloadIdentityPool.token, workloadIdentityPoolId=wanted)
        if pool is None:
            raise Refusal("notFound", f"Error 404: workload identity pool {wanted} was not found")
        provider = record.inputs["workloadIdentityPoolProviderId"]
        record.id = f"{pool.id}/providers/{provider}"
        record.outputs |= {
            "name": f"{pool.outputs['name']}/providers/{provider}",
            "state": "ACTIVE",
        }


class Bucket(ResourceType):
    token = "gcp:storage/bucket:Bucket"
    source = "https://cloud.google.com/storage/docs/buckets#naming"
    executes = "a bucket of fake-gcs-server; versions, lifecycle and soft delete are only recorded"
    needs = "storage.googleapis.com"
    name = Name(
        property="name",
        pattern=r"(?!goog)(?!.*google)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9._-]*[a-z0-9]",
        min=3,
        max=63,
        says="lower-case letters, digits, hyphens, underscores and periods, a letter or digit at both"
        " ends, no goog at the beginning, no google anywhere, no IP address",
        taken="conflict",
        lower=True,
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_labels(inputs)

    def create(self, context: Context, record: Record) -> None:
        name = record.inputs["name"]
        storage_api.make_bucket(context, name)
        record.id = name
        self._describe(record)

    def read(self, context: Context, record: Record) -> bool:
        return storage_api.bucket_exists(context, record.id)

    def update(self, context: Context, old: Record, record: Record) -> None:
        self._describe(record)

    def delete(self, context: Context, record: Record) -> None:
        if not record.inputs.get("forceDestroy") and storage_api.names(context, record.id):
            raise Refusal(
                "conflict",
                f"Error trying to delete bucket {record.id} containing objects without"
                " `force_destroy` set to true",
            )
        storage_api.drop_bucket(context, record.id)
        # Objects that were retained when their resources were deleted go with the bucket.
        for each in context.all(BucketObject.token):
            if each.inputs["bucket"] == record.id:
                context.store.remove(each)

    @staticmethod
    def _describe(record: Record) -> None:
        record.outputs |= {
            "location": record.inputs["location"].upper(),
            "url": f"gs://{record.id}",
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{record.id}",
        }


class BucketObject(ResourceType):
    token = "gcp:storage/bucketObject:BucketObject"
    source = "https://cloud.google.com/storage/docs/objects#naming"
    executes = "an object of fake-gcs-server"
    replace_on = frozenset({"bucket", "name"})
    references: ClassVar = {"bucket": "gcp:storage/bucket:Bucket"}
    name = Name(
        property="name",
        pattern=r"(?!\.well-known/acme-challenge/)[^\r\n]+",
        max=1024,
        says="1 to 1024 bytes without carriage return or line feed",
        # Writing an object that is there replaces it.
        unique=None,
    )
    volatile = frozenset({"crc32c", "md5hash", "md5hexhash", "generation", "mediaLink"})

    def create(self, context: Context, record: Record) -> None:
        bucket, name = record.inputs["bucket"], record.inputs["name"]
        record.id = f"{bucket}-{name}"
        self._put(context, record)

    def read(self, context: Context, record: Record) -> bool:
        return storage_api.object_exists(context, record.inputs["bucket"], record.inputs["name"])

    def update(self, context: Context, old: Record, record: Record) -> None:
        self._put(context, record)

    def delete(self, context: Context, record: Record) -> None:
        storage_api.delete(context, record.inputs["bucket"], record.inputs["name"])

    @staticmethod
    def _put(context: Context, record: Record) -> None:
        bucket, name = record.inputs["bucket"], record.inputs["name"]
        stored = storage_api.put(context, bucket, name, _content(record.inputs))
        record.outputs |= {
            "outputName": name,
            "crc32c": stored.get("crc32c", ""),
            "md5hash": stored.get("md5Hash", ""),
            "generation": int(stored.get("generation", 0)),
            "mediaLink": stored.get("mediaLink", ""),
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{bucket}/o/{name}",
        }


def _content(inputs: Json) -> bytes:
    source = inputs.get("source")
    if source is None:
        return str(inputs.get("content", "")).encode()
    return archive_bytes(source) if source[SIGNATURE] == ARCHIVE else asset_bytes(source)


class Repository(ResourceType):
    token = "gcp:artifactregistry/repository:Repository"
    source = "https://cloud.google.com/artifact-registry/docs/repositories/create-repos"
    executes = "images are kept and run; clean-up policies are only recorded"
    needs = "artifactregistry.googleapis.com"
    name = Name(
        property="repositoryId",
        pattern=r"[a-z]([a-z0-9-]*[a-z0-9])?",
        max=63,
        says="lower-case letters, digits and hyphens, beginning with a letter, no hyphen at the end",
        unique=("project", "location"),
        taken="alreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_labels(inputs)

    def create(self, context: Context, record: Record) -> None:
        place, repository = record.outputs, record.inputs["repositoryId"]
        location = f"projects/{place['project']}/locations/{place['location']}"
        record.id = f"{location}/repositories/{repository}"
        host = f"{place['location']}-docker.pkg.dev"
        record.outputs |= {
            "name": repository,
            "registryUri": f"{host}/{place['project']}/{repository}",
        }

    def delete(self, context: Context, record: Record) -> None:
        for image in context.kv.get("gcp/packages", record.id, []):
            context.images.drop_repository(f"{record.outputs['registryUri']}/{image}")
        context.kv.delete("gcp/packages", record.id)


class Secret(ResourceType):
    token = "gcp:secretmanager/secret:Secret"
    source = "https://cloud.google.com/secret-manager/docs/creating-and-accessing-secrets"
    needs = "secretmanager.googleapis.com"
    name = Name(
        property="secretId",
        pattern=r"[a-zA-Z0-9_-]+",
        max=255,
        says="letters, digits, hyphens and underscores",
        unique=("project",),
        taken="alreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_labels(inputs)

    def create(self, context: Context, record: Record) -> None:
        project, secret = record.outputs["project"], record.inputs["secretId"]
        record.id = f"projects/{project}/secrets/{secret}"
        number = context.account.gcp_number(project)
        record.outputs["name"] = f"projects/{number}/secrets/{secret}"

    def delete(self, context: Context, record: Record) -> None:
        context.kv.delete("gcp/secret-versions", record.id)


class SecretVersion(ResourceType):
    token = "gcp:secretmanager/secretVersion:SecretVersion"
    import_as = "{secret}/versions/{version}"
    source = "https://cloud.google.com/secret-manager/docs/add-secret-version"
    replace_on = frozenset({"secret", "secretData"})
    references: ClassVar = {"secret": "gcp:secretmanager/secret:Secret"}

    def create(self, context: Context, record: Record) -> None:
        secret = context.refer("gcp:secretmanager/secret:Secret", record.inputs["secret"])
        assert secret is not None, "`references` has seen it"
        # Numbers are never used again, also those of destroyed versions.
        number = context.kv.get("gcp/secret-versions", secret.id, 0) + 1
        context.kv.put("gcp/secret-versions", secret.id, number)
        record.id = f"{secret.outputs['name']}/versions/{number}"
        record.outputs |= {"name": record.id, "version": str(number), "enabled": True}


RESOURCE_TYPES: tuple[type[ResourceType], ...] = (
    Service,
    Account,
    CustomRole,
    ProjectMember,
    BucketMember,
    RepositoryMember,
    EndpointMember,
    SecretMember,
    AccountMember,
    WorkloadIdentityPool,
    WorkloadIdentityPoolProvider,
    Bucket,
    BucketObject,
    Repository,
    Secret,
    SecretVersion,
    vertex_ai.Endpoint,
    cloud_run.Service,
)


def get_client_config(context: Context, arguments: Json, config: Json) -> Json:
    region = config.get("region") or context.account.gcp_region
    return {
        "id": "client-config",
        "project": config.get("project") or context.account.gcp_project,
        "region": region,
        "zone": config.get("zone") or f"{region}-a",
        "accessToken": "rehearsal",
        "defaultLabels": config.get("defaultLabels") or {},
    }


def get_project(context: Context, arguments: Json, config: Json) -> Json:
    project = arguments.get("projectId") or config.get("project") or context.account.gcp_project
    return {
        "id": f"projects/{project}",
        "projectId": project,
        "name": project,
        "number": context.account.gcp_number(project),
        "orgId": "",
        "folderId": "",
        "billingAccount": "",
        "autoCreateNetwork": True,
        "deletionPolicy": "PREVENT",
        "labels": {},
        "effectiveLabels": {},
        "pulumiLabels": {},
        "tags": {},
    }


INVOKES: dict[str, Invoke] = {
    "gcp:organizations/getClientConfig:getClientConfig": get_client_config,
    "gcp:organizations/getProject:getProject": get_project,
}


def environment(context: Context) -> dict[str, str]:
    """The variables by which Google's own clients find the rehearsal; writes the engineer's key beside the state."""
    project, base = context.account.gcp_project, f"{context.base_url}/gcp"
    private, _ = iam.engineer_key(context)
    file = context.state_dir / "google-credentials.json"
    key = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "rehearsal",
        "private_key": private,
        "client_email": iam.engineer(context),
        "client_id": "1",
        "token_uri": f"{base}/oauth2/token",
        "universe_domain": "googleapis.com",
    }
    write_private(file, json.dumps(key, indent=2))
    return {
        "GOOGLE_APPLICATION_CREDENTIALS": str(file),
        "GOOGLE_CLOUD_PROJECT": project,
        "GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT": f"{base}/aiplatform/v1/",
        "GOOGLE_CLOUD_BUILD_CUSTOM_ENDPOINT": f"{base}/cloudbuild/v1/",
        "GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT": f"{base}/artifactregistry/v1/",
        "GOOGLE_CLOUD_RUN_V2_CUSTOM_ENDPOINT": f"{base}/run/v2/",
        "GOOGLE_IAM_CUSTOM_ENDPOINT": f"{base}/iam/v1/",
        "GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT": f"{base}/secretmanager/v1/",
        # Through the permission check; the first request starts the emulator.
        "STORAGE_EMULATOR_HOST": f"{base}/as/{iam.engineer(context)}",
    }


PROFILE = CloudProfile(
    package="gcp",
    path="/gcp",
    resource_types=RESOURCE_TYPES,
    invokes=INVOKES,
    routes=routes,
    environment=environment,
)
