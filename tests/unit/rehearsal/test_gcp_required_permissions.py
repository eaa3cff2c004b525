"""The permissions that the engine's steps need on Google Cloud, type by type.

The table is that of https://cloud.google.com/iam/docs/roles-permissions and the pages "Access control with IAM" of the
services; the provider's calls are those of https://github.com/hashicorp/terraform-provider-google/tree/main/google/services.
"""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal.core.records import Refusal
from rehearsal.gcp import credentials, iam, permissions, required_permissions, service_usage
from rehearsal.provider.context import Context
from tests.unit.rehearsal.gcp_project import (
    BUCKET,
    BUCKET_MEMBER,
    ENDPOINT,
    ENDPOINT_MEMBER,
    OBJECT,
    PROJECT,
    REGION,
    REPOSITORY,
    REPOSITORY_MEMBER,
    RUN,
    SECRET,
    SECRET_MEMBER,
    SECRET_VERSION,
    Project,
)

OWNED = {
    iam.ACCOUNT: "iam.serviceAccounts",
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": "iam.workloadIdentityPools",
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": "iam.workloadIdentityPoolProviders",
    permissions.CUSTOM_ROLE: "iam.roles",
    BUCKET: "storage.buckets",
    REPOSITORY: "artifactregistry.repositories",
    SECRET: "secretmanager.secrets",
    RUN: "run.services",
    ENDPOINT: "aiplatform.endpoints",
}
BINDINGS = {
    iam.ACCOUNT_BINDING: "iam.serviceAccounts",
    permissions.PROJECT_BINDING: "resourcemanager.projects",
    BUCKET_MEMBER: "storage.buckets",
    REPOSITORY_MEMBER: "artifactregistry.repositories",
    SECRET_MEMBER: "secretmanager.secrets",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": "run.services",
    ENDPOINT_MEMBER: "aiplatform.endpoints",
}
VERSIONS = "secretmanager.versions"
OTHERS = {
    service_usage.SERVICE: {
        "create": ["serviceusage.services.enable"],
        "read": ["serviceusage.services.list"],
        "update": ["serviceusage.services.enable"],
        "delete": ["serviceusage.services.disable"],
    },
    OBJECT: {
        "create": ["storage.objects.create", "storage.objects.delete"],
        "read": ["storage.objects.get"],
        "update": ["storage.objects.create", "storage.objects.delete"],
        "delete": ["storage.objects.delete"],
    },
    SECRET_VERSION: {
        "create": [f"{VERSIONS}.add", f"{VERSIONS}.get", f"{VERSIONS}.access"],
        "read": [f"{VERSIONS}.get", f"{VERSIONS}.access"],
        "update": [f"{VERSIONS}.enable"],
        "delete": [f"{VERSIONS}.destroy"],
    },
}


def expected() -> dict[str, dict[str, list[str]]]:
    """The permissions by type and step."""
    table = {
        token: {
            step: [f"{kind}.{verb}"]
            for step, verb in (
                ("create", "create"),
                ("read", "get"),
                ("update", "update"),
                ("delete", "delete"),
            )
        }
        for token, kind in OWNED.items()
    }
    for token, kind in BINDINGS.items():
        read = [f"{kind}.getIamPolicy"]
        write = [*read, f"{kind}.setIamPolicy"]
        table[token] = {"create": write, "read": read, "update": write, "delete": write}
    return table | OTHERS


def test_each_step_needs_the_permissions_of_the_providers_calls() -> None:
    found = {
        token: {step: list(each.of(step)) for step in ("create", "read", "update", "delete")}
        for token, each in required_permissions.TYPES.items()
    }
    assert found == expected()


class Caller:
    """A project, and an account with a custom role of these permissions on it."""

    def __init__(self, context: Context) -> None:
        self.gcp = Project(context)
        self.number = 0

    def refusal(
        self, allowed: list[str], step: str, token: str, inputs: dict[str, Any], record: Any = None
    ) -> str:
        """Why a step is refused; empty: it is not."""
        self.number += 1
        email = self.gcp.account(f"caller{self.number}")
        role = self.gcp.create(
            permissions.CUSTOM_ROLE,
            f"r{self.number}",
            roleId=f"role{self.number}",
            title="r",
            permissions=allowed,
        )
        self.gcp.grant(permissions.PROJECT_BINDING, role.id, email, project=PROJECT)
        token_ = credentials.token(self.gcp.context, email)["access_token"]
        try:
            required_permissions.require_for_step(
                self.gcp.context, {"accessToken": token_}, step, token, inputs, record
            )
        except Refusal as refused:
            return str(refused)
        return ""


@pytest.fixture
def caller(live_context: Context) -> Caller:
    return Caller(live_context)


def test_a_step_is_refused_for_each_permission_that_is_missing(caller: Caller) -> None:
    bucket = caller.gcp.create(BUCKET, "lake", location="EU")
    inputs = {"bucket": bucket.id, "name": "models/a"}
    needed = ["storage.objects.create", "storage.objects.delete"]
    assert caller.refusal(needed, "create", OBJECT, inputs) == ""
    for missing in needed:
        held = [each for each in needed if each != missing]
        assert missing in caller.refusal(held, "create", OBJECT, inputs)
    member = {"bucket": bucket.id, "role": "roles/viewer", "member": "allUsers"}
    assert "storage.buckets.setIamPolicy" in caller.refusal(
        ["storage.buckets.getIamPolicy"], "create", BUCKET_MEMBER, member
    )
    secret = caller.gcp.create(SECRET, "key", secretId="key", replication={"auto": {}})
    version = {"secret": secret.id}
    assert caller.refusal([f"{VERSIONS}.destroy"], "delete", SECRET_VERSION, version) == ""
    assert caller.refusal([], "delete", SECRET_VERSION, version)
    unknown = caller.refusal([], "create", "gcp:pubsub/topic:Topic", {})
    assert unknown.startswith("PERMISSION_DENIED: googleapi: Error 403: ")
    assert unknown.endswith(" may not create a gcp:pubsub/topic:Topic., forbidden")


def test_a_service_needs_its_account_its_image_and_the_right_to_open_it(caller: Caller) -> None:
    # https://cloud.google.com/run/docs/reference/iam/roles#additional-configuration
    gcp = caller.gcp
    gcp.create(REPOSITORY, "images", repositoryId="images", location=REGION, format="DOCKER")
    email = gcp.account("worker")
    image = f"{REGION}-docker.pkg.dev/{PROJECT}/images/platform@sha256:00"
    inputs: dict[str, Any] = {
        "name": "gateway",
        "location": REGION,
        "template": {"serviceAccount": email, "containers": [{"image": image}]},
    }
    download = "artifactregistry.repositories.downloadArtifacts"
    act_as, create = "iam.serviceAccounts.actAs", "run.services.create"
    open_it = "run.services.setIamPolicy"
    assert caller.refusal([create, act_as, download], "create", RUN, inputs) == ""
    assert act_as in caller.refusal([create, download], "create", RUN, inputs)
    assert download in caller.refusal([create, act_as], "create", RUN, inputs)
    public = {**inputs, "invokerIamDisabled": True}
    assert open_it in caller.refusal([create, act_as, download], "create", RUN, public)
    assert caller.refusal([create, act_as, download, open_it], "create", RUN, public) == ""
    assert caller.refusal(["run.services.delete"], "delete", RUN, public) == ""


def test_without_a_token_in_the_settings_the_deployer_takes_the_step(live_context: Context) -> None:
    gcp = Project(live_context)
    deployer = credentials.token(gcp.context, credentials.deployer(gcp.context))["access_token"]
    for config in ({}, {"accessToken": deployer}):
        required_permissions.require_for_step(
            gcp.context, config, "delete", "gcp:pubsub/topic:Topic", {}, None
        )
