"""Google Cloud: the rules of the types that the platform uses, and the services that really answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rehearsal.core.files import write_private
from rehearsal.gcp import iam

if TYPE_CHECKING:
    from rehearsal.provider.context import Context


def environment(context: Context) -> dict[str, str]:
    """What ``make env`` prints for Google Cloud; writes the engineer's key beside the state."""
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
        # Through the permissions, and so that asking starts the store.
        "STORAGE_EMULATOR_HOST": f"{base}/as/{iam.engineer(context)}",
    }
