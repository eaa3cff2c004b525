"""Google Cloud as a whole: its resource types with rules, its functions, its routes and its clients' variables."""

from __future__ import annotations

import json

from rehearsal.core.files import write_private
from rehearsal.core.records import Json
from rehearsal.gcp import (
    artifact_registry,
    cloud_run,
    credentials,
    iam,
    secret_manager,
    service_usage,
    storage,
    vertex_ai,
)
from rehearsal.gcp.provider import PROVIDER
from rehearsal.gcp.required_permissions import require_for_step
from rehearsal.gcp.routes import routes
from rehearsal.provider.cloud_profile import CloudProfile, Invoke
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

RESOURCE_TYPES: tuple[type[ResourceType], ...] = (
    service_usage.Service,
    iam.Account,
    iam.CustomRole,
    iam.ProjectMember,
    iam.AccountMember,
    iam.WorkloadIdentityPool,
    iam.WorkloadIdentityPoolProvider,
    storage.Bucket,
    storage.BucketObject,
    storage.BucketMember,
    artifact_registry.Repository,
    artifact_registry.RepositoryMember,
    secret_manager.Secret,
    secret_manager.SecretVersion,
    secret_manager.SecretMember,
    vertex_ai.Endpoint,
    vertex_ai.EndpointMember,
    cloud_run.Service,
    cloud_run.ServiceMember,
)


def get_client_config(context: Context, arguments: Json, config: Json) -> Json:
    """The provider's settings, as the cloud completes them."""
    region = config.get("region") or context.account.gcp_region
    return {
        "id": "client-config",
        "project": config.get("project") or context.account.gcp_project,
        "region": region,
        "zone": config.get("zone") or f"{region}-a",
        "accessToken": credentials.token(context, credentials.deployer(context))["access_token"],
        "defaultLabels": config.get("defaultLabels") or {},
    }


def get_project(context: Context, arguments: Json, config: Json) -> Json:
    """A project and its number."""
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
    """The variables by which Google's own clients find the rehearsal.

    Writes the deployer's key to a file beside the state.
    """
    project, base = context.account.gcp_project, f"{context.base_url}/gcp"
    private, _ = credentials.deployer_key(context)
    file = context.state_dir / "google-credentials.json"
    key = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "rehearsal",
        "private_key": private,
        "client_email": credentials.deployer(context),
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
        "GOOGLE_BILLING_CUSTOM_ENDPOINT": f"{base}/cloudbilling/v1/",
        "GOOGLE_RESOURCE_MANAGER_V3_CUSTOM_ENDPOINT": f"{base}/cloudresourcemanager/v3/",
        "GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT": f"{base}/serviceusage/v1/",
        "GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT": f"{base}/secretmanager/v1/",
        # Through the permission check; the first request starts the emulator.
        "STORAGE_EMULATOR_HOST": context.base_url
        + credentials.account_address(context, credentials.deployer(context)),
    }


PROFILE = CloudProfile(
    title="Google Cloud",
    provider=PROVIDER,
    path="/gcp",
    resource_types=RESOURCE_TYPES,
    invokes=INVOKES,
    routes=routes,
    environment=environment,
    require_for_step=require_for_step,
)
