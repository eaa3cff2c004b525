"""Each address below ``/gcp`` is a method of the API's discovery document, and needs the method's permission.

The permissions: https://cloud.google.com/iam/docs/roles-permissions, and each service's page "Access control with IAM".
"""

from __future__ import annotations

import re

import pytest

from rehearsal.gcp.calls import not_rehearsed
from rehearsal.gcp.routes import SERVICES
from rehearsal.provider.context import Context
from tests.unit.rehearsal.gcp_project import PLACE, PROJECT, Project
from tests.unit.rehearsal.known_shapes import google_method

UNKNOWN = {
    # Of any method and of any owner, and the policy of an endpoint, which v1's document has not.
    *(("POST", f"endpoints/{{endpoint:int}}:{verb}") for verb in ("{verb}", "getIamPolicy")),
    *(("POST", "endpoints/{endpoint:int}:setIamPolicy"), ("GET", "{owner:path}/operations")),
    ("GET", "/{name:path}"),
    # Its metric's name has slashes, encoded.
    ("GET", "services/{service}/consumerQuotaMetrics/{metric:path}"),
}
METHODS = [
    (mount, verb, path, permission)
    for mount, methods in SERVICES.items()
    for verb, path, permission, _ in methods
]
# What the method's own permission is called, where it is not the collection's and the method's name.
PERMISSIONS = {
    "cloudbuild.projects.locations.builds.create": "cloudbuild.builds.create",
    "cloudbuild.projects.locations.builds.get": "cloudbuild.builds.get",
    "cloudbuild.projects.triggers.create": "cloudbuild.builds.create",
    "cloudbilling.projects.getBillingInfo": "resourcemanager.projects.get",
    "cloudresourcemanager.projects.testIamPermissions": "",
    "cloudresourcemanager.projects.patch": "resourcemanager.projects.update",
    "serviceusage.services.batchGet": "serviceusage.services.get",
    "iam.projects.serviceAccounts.keys.create": "iam.serviceAccountKeys.create",
    "iam.projects.locations.workloadIdentityPools.providers.create": "iam.workloadIdentityPoolProviders.create",
    "iam.projects.locations.workloadIdentityPools.providers.patch": "iam.workloadIdentityPoolProviders.update",
    "iam.projects.locations.workloadIdentityPools.providers.delete": "iam.workloadIdentityPoolProviders.delete",
    "iamcredentials.projects.serviceAccounts.generateAccessToken": "iam.serviceAccounts.getAccessToken",
    "iamcredentials.projects.serviceAccounts.signBlob": "iam.serviceAccounts.signBlob",
    "secretmanager.projects.secrets.addVersion": "secretmanager.versions.add",
    "artifactregistry.projects.locations.repositories.packages.versions.delete": "artifactregistry.versions.delete",
    "aiplatform.projects.locations.endpoints.deployModel": "aiplatform.endpoints.deploy",
    "aiplatform.projects.locations.endpoints.undeployModel": "aiplatform.endpoints.undeploy",
    "aiplatform.projects.locations.endpoints.mutateDeployedModel": "aiplatform.endpoints.update",
}


def permission_of(method: str) -> str:
    """``run.projects.locations.services.patch`` needs ``run.services.update``."""
    if method in PERMISSIONS:
        return PERMISSIONS[method]
    words = method.replace("cloudresourcemanager", "resourcemanager").split(".")
    verb = {"patch": "update"}.get(words[-1], words[-1])
    return f"{words[0]}.{words[-2]}.{verb}"


@pytest.mark.parametrize(("mount", "verb", "path", "permission"), METHODS)
def test_an_address_is_a_method_of_the_api_and_needs_its_permission(
    mount: str, verb: str, path: str, permission: str
) -> None:
    if any(
        (verb, end) in UNKNOWN
        for end in (path, re.sub(r"^/projects/\{project\}/(locations/\{location\}/)?", "", path))
    ):
        return
    method = google_method(mount, verb, path)
    assert method, (verb, path)
    assert permission == permission_of(method["id"])


def test_the_addresses_that_no_document_has_are_still_there() -> None:
    paths = {
        (verb, re.sub(r"^/projects/\{project\}/(locations/\{location\}/)?", "", path))
        for _, verb, path, _ in METHODS
    }
    assert {each for each in UNKNOWN if each not in paths} == set()
    of_endpoints = {
        permission
        for _, _, path, permission in METHODS
        if path.endswith("IamPolicy") and "endpoint" in path
    }
    assert of_endpoints == {f"aiplatform.endpoints.{each}IamPolicy" for each in ("get", "set")}
    assert len(METHODS) == len({(mount, verb, path) for mount, verb, path, _ in METHODS})


def test_a_method_that_is_not_rehearsed_says_so_to_who_may_call_it(live_context: Context) -> None:
    gcp = Project(live_context)
    nobody = gcp.account("nobody")
    recorded = [
        (mount, verb, path, permission)
        for mount, methods in SERVICES.items()
        for verb, path, permission, operation in methods
        if operation is not_rehearsed
    ]
    assert len(recorded) > 40
    for mount, verb, path, permission in recorded[::7]:
        address = path.replace("/projects/{project}/locations/{location}", f"/{PLACE}")
        address = address.replace("{project}", PROJECT)
        address = re.sub(r"\{endpoint:int\}", "7", address)
        address = re.sub(r"\{\w+\}", "x", address)
        status, answer = gcp.call(verb, f"{mount[1:]}{address}", {})
        assert (status, answer["error"]["status"]) == (501, "UNIMPLEMENTED"), (verb, path)
        status, answer = gcp.call(verb, f"{mount[1:]}{address}", {}, nobody)
        assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
        assert permission in answer["error"]["message"]


def test_the_clients_of_vertex_ai_predict_at_both_addresses(live_context: Context) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/rawPredict
    gcp = Project(live_context)
    for verb in ("predict", "rawPredict"):
        status, answer = gcp.call("POST", f"aiplatform/v1/{PLACE}/endpoints/7:{verb}", {})
        assert (status, answer["error"]["message"].split()[0]) == (404, "Endpoint")
