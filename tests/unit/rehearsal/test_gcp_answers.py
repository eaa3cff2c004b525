"""What Google's APIs answer about a resource that exists, and how they refuse one that does not.

Shapes are judged by the discovery documents (`known_shapes`), names of outputs by the SDK (`known_names`); the tests hold
what the answers say. The codes of refusals are those of https://google.aip.dev/193.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from pulumi_gcp.organizations import GetProjectResult

from rehearsal.core.records import CheckFailure, Json, Record, Refusal
from rehearsal.gcp import credentials, iam, operations, permissions, vertex_ai
from rehearsal.gcp.profile import INVOKES, environment
from rehearsal.provider.context import Context
from tests.unit.rehearsal.gcp_project import (
    BUCKET,
    BUCKET_MEMBER,
    ENDPOINT,
    ENDPOINT_MEMBER,
    OBJECT,
    PLACE,
    PROJECT,
    REGION,
    REPOSITORY,
    REPOSITORY_MEMBER,
    SECRET,
    SECRET_MEMBER,
    SECRET_VERSION,
    Project,
)

VERTEX = f"aiplatform/v1/{PLACE}"
MACHINE = {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1}
POOL = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"
POOL_PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"

PROJECT_RESULT = set(inspect.signature(GetProjectResult).parameters)
"""What the SDK reads of the function's answer, as Python spells it."""


@pytest.fixture
def gcp(live_context: Context) -> Project:
    return Project(live_context)


def refused(answer: tuple[int, Json]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["status"]


def test_a_function_of_the_provider_answers_for_its_argument_or_else_its_settings(
    gcp: Project,
) -> None:
    # https://www.pulumi.com/registry/packages/gcp/api-docs/organizations/getproject/
    project = INVOKES["gcp:organizations/getProject:getProject"]
    number = gcp.context.account.gcp_number
    for arguments, config, expected in (
        ({"projectId": "one"}, {"project": "two"}, "one"),
        ({}, {"project": "two"}, "two"),
        ({}, {}, gcp.context.account.gcp_project),
    ):
        answer = project(gcp.context, arguments, config)
        assert answer["projectId"] == answer["name"] == expected
        assert (answer["id"], answer["number"]) == (f"projects/{expected}", number(expected))
        wire = {re.sub(r"_(\w)", lambda found: found[1].upper(), name) for name in PROJECT_RESULT}
        assert answer.keys() == wire
    client = INVOKES["gcp:organizations/getClientConfig:getClientConfig"]
    place = {"project": "two", "region": "europe-west4", "zone": "europe-west4-b"}
    answer = client(gcp.context, {}, place)
    assert {name: answer[name] for name in ("project", "region", "zone")} == place
    headers = {"authorization": f"Bearer {answer['accessToken']}"}
    url = f"/gcp/cloudresourcemanager/v3/projects/{PROJECT}"
    assert gcp.http.get(url, headers=headers).status_code == 200


def test_googles_clients_find_every_api_and_the_key_of_the_deployer(gcp: Project) -> None:
    # https://cloud.google.com/iam/docs/keys-create-delete has the file's form
    variables = environment(gcp.context)
    base = f"{gcp.context.base_url}/gcp"
    assert {name: value for name, value in variables.items() if value.startswith(base)} == {
        "GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT": f"{base}/aiplatform/v1/",
        "GOOGLE_CLOUD_BUILD_CUSTOM_ENDPOINT": f"{base}/cloudbuild/v1/",
        "GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT": f"{base}/artifactregistry/v1/",
        "GOOGLE_CLOUD_RUN_V2_CUSTOM_ENDPOINT": f"{base}/run/v2/",
        "GOOGLE_IAM_CUSTOM_ENDPOINT": f"{base}/iam/v1/",
        "GOOGLE_BILLING_CUSTOM_ENDPOINT": f"{base}/cloudbilling/v1/",
        "GOOGLE_RESOURCE_MANAGER_V3_CUSTOM_ENDPOINT": f"{base}/cloudresourcemanager/v3/",
        "GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT": f"{base}/serviceusage/v1/",
        "GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT": f"{base}/secretmanager/v1/",
        "STORAGE_EMULATOR_HOST": variables["STORAGE_EMULATOR_HOST"],
    }
    assert variables["GOOGLE_CLOUD_PROJECT"] == gcp.context.account.gcp_project
    with open(variables["GOOGLE_APPLICATION_CREDENTIALS"]) as file:
        key = json.load(file)
    assert (key["type"], key["token_uri"]) == ("service_account", f"{base}/oauth2/token")
    assert key["universe_domain"] == "googleapis.com"
    assert key["client_email"] == credentials.deployer(gcp.context)
    # Google's own client makes its assertion of the key: https://datatracker.ietf.org/doc/html/rfc7523
    from google.oauth2.service_account import Credentials

    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    of_key = Credentials.from_service_account_info(key, scopes=scopes)
    assertion = of_key._make_authorization_grant_assertion().decode()
    url = "/gcp/oauth2/token"
    answer = gcp.http.post(url, data={"assertion": assertion}).json()
    assert (answer["token_type"], answer["expires_in"] > 0) == ("Bearer", True)
    headers = {"authorization": f"Bearer {answer['access_token']}"}
    listed = gcp.http.get(f"/gcp/secretmanager/v1/projects/{PROJECT}/secrets", headers=headers)
    assert listed.status_code == 200
    for form in ({}, {"assertion": "x"}, {"assertion": assertion[:-4] + "AAAA"}):
        wrong = gcp.http.post(url, data=form)
        assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")


def test_the_metadata_server_tells_a_workload_its_project_and_account(gcp: Project) -> None:
    # https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
    email = gcp.account("worker")
    at = gcp.address(email)
    flavor = {"metadata-flavor": "Google"}

    def get(path: str, headers: dict[str, str] = flavor) -> Any:
        return gcp.http.get(f"{at}/{path}", headers=headers)

    root = get("")
    assert (root.text, root.headers["metadata-flavor"]) == ("computeMetadata/\n", "Google")
    below = "computeMetadata/v1"
    number = gcp.context.account.gcp_number(PROJECT)
    for path, text in (
        ("project/project-id", PROJECT),
        ("project/numeric-project-id", number),
        ("universe/universe-domain", "googleapis.com"),
    ):
        answer = get(f"{below}/{path}")
        assert (answer.text, answer.headers["metadata-flavor"]) == (text, "Google")
    accounts = f"{below}/instance/service-accounts"
    for account in ("default", email):
        about = get(f"{accounts}/{account}/?recursive=true").json()
        assert (about["email"], about["aliases"]) == (email, ["default"])
        assert about["scopes"] == ["https://www.googleapis.com/auth/cloud-platform"]
        token = get(f"{accounts}/{account}/token").json()
        assert credentials.caller(gcp.context, f"Bearer {token['access_token']}") == email
    for path in (f"{accounts}/other/token", f"{accounts}/default/identity", f"{below}/nothing"):
        assert get(path).status_code == 404
    refused = get(f"{accounts}/default/token", {})
    assert (refused.status_code, refused.text) == (403, "Missing Metadata-Flavor:Google header.")


def test_a_project_is_described_and_says_what_its_caller_may_do(gcp: Project) -> None:
    # https://cloud.google.com/resource-manager/reference/rest/v3/projects
    manager = f"cloudresourcemanager/v3/projects/{PROJECT}"
    number = gcp.context.account.gcp_number(PROJECT)
    expected = {"name": f"projects/{number}", "projectId": PROJECT, "state": "ACTIVE"}
    assert gcp.call("GET", manager) == (200, expected)
    nobody = gcp.account("nobody")
    assert refused(gcp.call("GET", manager, caller=nobody)) == (403, "PERMISSION_DENIED")
    asked = {"permissions": ["storage.objects.get", "run.services.get"]}
    assert gcp.call("POST", f"{manager}:testIamPermissions", asked) == (200, asked)
    assert gcp.call("POST", f"{manager}:testIamPermissions", asked, nobody) == (200, {})
    missing = gcp.call("POST", f"{manager}:testIamPermissions", {})
    assert refused(missing) == (400, "INVALID_ARGUMENT")
    # https://cloud.google.com/billing/docs/reference/rest/v1/ProjectBillingInfo
    assert gcp.call("GET", f"cloudbilling/v1/projects/{PROJECT}/billingInfo")[1] == {
        "name": f"projects/{PROJECT}/billingInfo",
        "projectId": PROJECT,
        "billingAccountName": "billingAccounts/000000-000000-000000",
        "billingEnabled": True,
    }


def model(gcp: Project, name: str = "m", **fields: Any) -> str:
    """A model that was uploaded."""
    full = f"{PLACE}/models/{name}"
    known = {"name": full, "displayName": name, "versionId": "1"}
    spec = {"containerSpec": {"imageUri": "image"}}
    gcp.context.kv.put(vertex_ai.MODELS, full, {**known, **spec, **fields})
    return full


def endpoint(gcp: Project, number: str = "7", *deployed: str, **split: int) -> Record:
    """An endpoint with these deployments, which do not run."""
    record = gcp.create(
        ENDPOINT, f"e{number}", name=number, location=REGION, displayName="e", labels={"a": "b"}
    )
    models = [
        {"id": each, "model": f"{PLACE}/models/m", "dedicatedResources": MACHINE}
        for each in deployed
    ]
    state = {"deployedModels": models, "trafficSplit": {k[1:]: v for k, v in split.items()}}
    gcp.context.kv.put(vertex_ai.ENDPOINTS, record.id, state)
    return record


def test_a_location_of_vertex_ai_exists_where_the_api_is_enabled(live_context: Context) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations/get
    gcp = Project(live_context)
    assert gcp.call("GET", VERTEX)[1] == {"name": PLACE, "locationId": REGION}
    elsewhere = gcp.call("GET", VERTEX.replace(PROJECT, "other-project"))
    assert refused(elsewhere) == (403, "PERMISSION_DENIED")


def test_a_model_is_changed_in_its_name_description_and_labels_only(gcp: Project) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/patch
    model(gcp, updateTime="2020-01-01T00:00:00Z")
    path = f"{VERTEX}/models/m"
    body = {"displayName": "new", "labels": {"a": "b"}, "description": "not in the mask"}
    status, changed = gcp.call("PATCH", f"{path}?updateMask=displayName,labels", body)
    assert (status, changed["displayName"], changed["labels"]) == (200, "new", {"a": "b"})
    assert "description" not in changed
    assert changed["updateTime"] > "2026"
    assert gcp.call("GET", path)[1] == changed
    for mask in ("?updateMask=artifactUri", "?updateMask=displayName,etag", ""):
        assert refused(gcp.call("PATCH", path + mask, body)) == (400, "INVALID_ARGUMENT")
    missing = gcp.call("PATCH", f"{VERTEX}/models/no?updateMask=labels", body)
    assert refused(missing) == (404, "NOT_FOUND")
    assert gcp.call("GET", f"{VERTEX}/models/m@1")[1]["name"] == f"{PLACE}/models/m"


def test_a_model_is_deleted_unless_it_is_deployed(gcp: Project) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/delete
    model(gcp)
    model(gcp, "other")
    endpoint(gcp, "7", "1", _1=100)
    assert refused(gcp.call("DELETE", f"{VERTEX}/models/m")) == (400, "FAILED_PRECONDITION")
    _, operation = gcp.call("DELETE", f"{VERTEX}/models/other")
    assert gcp.finish(operation)["response"] == {}
    assert refused(gcp.call("GET", f"{VERTEX}/models/other")) == (404, "NOT_FOUND")
    assert refused(gcp.call("DELETE", f"{VERTEX}/models/other")) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"modelId": "A"}, (400, "INVALID_ARGUMENT")),
        ({"modelId": "-a"}, (400, "INVALID_ARGUMENT")),
        ({"modelId": "a" * 64}, (400, "INVALID_ARGUMENT")),
        ({"modelId": "m"}, (409, "ALREADY_EXISTS")),
        ({"model": {}}, (400, "INVALID_ARGUMENT")),
        ({}, (404, "NOT_FOUND")),
    ],
)
def test_a_model_is_uploaded_under_a_free_id_with_an_image_that_exists(
    gcp: Project, change: Json, status: tuple[int, str]
) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/upload
    model(gcp)
    image = f"{REGION}-docker.pkg.dev/{PROJECT}/images/none:1"
    body = {"modelId": "fits", "model": {"containerSpec": {"imageUri": image}}, **change}
    assert refused(gcp.call("POST", f"{VERTEX}/models:upload", body)) == status


def test_an_endpoint_is_described_with_its_deployments_and_traffic(gcp: Project) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
    record = endpoint(gcp, "7", "1", "2", _1=90, _2=10)
    assert record.id == f"{PLACE}/endpoints/7"
    status, found = gcp.call("GET", f"{VERTEX}/endpoints/7")
    assert (status, found["name"], found["displayName"]) == (200, record.id, "e")
    assert found["labels"] == {"a": "b"}
    assert [each["id"] for each in found["deployedModels"]] == ["1", "2"]
    assert found["trafficSplit"] == {"1": 90, "2": 10}
    number = gcp.context.account.gcp_number(PROJECT)
    by_number = gcp.call("GET", f"{VERTEX.replace(PROJECT, number)}/endpoints/7")
    assert by_number[0] == 403 or by_number[1]["name"] == record.id
    assert gcp.call("GET", f"{VERTEX}/endpoints")[1] == {"endpoints": [found]}
    assert refused(gcp.call("GET", f"{VERTEX}/endpoints/8")) == (404, "NOT_FOUND")
    elsewhere = VERTEX.replace(REGION, "europe-west4")
    assert refused(gcp.call("GET", f"{elsewhere}/endpoints/7")) == (404, "NOT_FOUND")
    assert gcp.call("GET", f"{elsewhere}/endpoints")[1] == {"endpoints": []}
    unknown = gcp.call("POST", f"{VERTEX}/endpoints/7:explode", {})
    assert refused(unknown) == (404, "NOT_FOUND")
    read = gcp.lifecycle.read(ENDPOINT, record.id)
    assert read
    of_model = f"{PLACE}/models/m"
    assert read.outputs["deployedModels"] == [
        {"id": "1", "model": of_model},
        {"id": "2", "model": of_model},
    ]


@pytest.mark.parametrize(
    ("split", "status"),
    [
        ({"1": 50, "2": 50}, 200),
        ({"1": 100, "2": 0}, 200),
        ({}, 200),
        ({"1": 60, "2": 50}, 400),
        ({"1": 99}, 400),
        ({"3": 100}, 400),
    ],
)
def test_traffic_adds_up_to_100_and_goes_to_what_is_deployed(
    gcp: Project, split: Json, status: int
) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints#Endpoint.FIELDS.traffic_split
    endpoint(gcp, "7", "1", "2", _1=100)
    path = f"{VERTEX}/endpoints/7"
    got, _ = gcp.call("PATCH", f"{path}?updateMask=trafficSplit", {"trafficSplit": split})
    assert got == status
    expected = {name: share for name, share in split.items() if share} if got == 200 else {"1": 100}
    assert gcp.call("GET", path)[1]["trafficSplit"] == expected
    other = gcp.call("PATCH", f"{path}?updateMask=displayName", {"displayName": "x"})
    assert refused(other) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"id": "12345678901"}, (400, "INVALID_ARGUMENT")),
        ({"id": "a"}, (400, "INVALID_ARGUMENT")),
        ({"id": "1"}, (409, "ALREADY_EXISTS")),
        ({"model": f"{PLACE}/models/no"}, (404, "NOT_FOUND")),
        ({"dedicatedResources": {}}, (400, "INVALID_ARGUMENT")),
        ({"serviceAccount": "no@triplane-dev.iam.gserviceaccount.com"}, (400, "INVALID_ARGUMENT")),
    ],
)
def test_a_deployment_is_refused_before_anything_starts(
    gcp: Project, change: Json, status: tuple[int, str]
) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/deployModel
    model(gcp)
    endpoint(gcp, "7", "1", _1=100)
    wanted = {"id": "2", "model": f"{PLACE}/models/m", "dedicatedResources": MACHINE, **change}
    answer = gcp.call("POST", f"{VERTEX}/endpoints/7:deployModel", {"deployedModel": wanted})
    assert refused(answer) == status


def test_a_deployment_counts_its_most_replicas_against_the_quota_of_its_location(
    gcp: Project,
) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/DedicatedResources
    model(gcp)
    endpoint(gcp, "7")
    cpus = gcp.context.behaviour.quotas.vertex_cpus
    resources = {**MACHINE, "maxReplicaCount": cpus // 4 + 1}
    wanted = {"model": f"{PLACE}/models/m", "dedicatedResources": resources}
    answer = gcp.call("POST", f"{VERTEX}/endpoints/7:deployModel", {"deployedModel": wanted})
    assert refused(answer) == (429, "RESOURCE_EXHAUSTED")


def test_replicas_of_a_deployment_are_changed_and_traffic_is_moved_before_it_ends(
    gcp: Project,
) -> None:
    record = endpoint(gcp, "7", "1", "2", _1=100)
    path = f"{VERTEX}/endpoints/7"
    change = {"id": "2", "dedicatedResources": {"maxReplicaCount": 3}}
    _, operation = gcp.call("POST", f"{path}:mutateDeployedModel", {"deployedModel": change})
    answer = gcp.finish(operation)["response"]["deployedModel"]
    assert answer["dedicatedResources"] == {**MACHINE, "maxReplicaCount": 3}
    assert gcp.call("GET", path)[1]["deployedModels"][1] == answer
    change = {"id": "3", "dedicatedResources": {}}
    missing = gcp.call("POST", f"{path}:mutateDeployedModel", {"deployedModel": change})
    assert refused(missing) == (404, "NOT_FOUND")
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/undeployModel
    undeploy = f"{path}:undeployModel"
    busy = gcp.call("POST", undeploy, {"deployedModelId": "1"})
    assert refused(busy) == (400, "FAILED_PRECONDITION")
    assert refused(gcp.call("POST", undeploy, {"deployedModelId": "9"})) == (404, "NOT_FOUND")
    moved = {"deployedModelId": "1", "trafficSplit": {"2": 100}}
    assert gcp.finish(gcp.call("POST", undeploy, moved)[1])["response"] == {}
    found = gcp.call("GET", path)[1]
    assert ([each["id"] for each in found["deployedModels"]], found["trafficSplit"]) == (
        ["2"],
        {"2": 100},
    )
    with pytest.raises(Refusal, match="has deployed or being-deployed") as refusal:
        gcp.delete(record)
    assert refusal.value.code == "badRequest"
    gcp.finish(gcp.call("POST", undeploy, {"deployedModelId": "2"})[1])
    assert gcp.call("GET", path)[1]["trafficSplit"] == {}
    gcp.delete(record)
    assert refused(gcp.call("GET", path)) == (404, "NOT_FOUND")


def test_an_operation_is_listed_by_its_owner_and_found_by_its_name(gcp: Project) -> None:
    # https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints.operations
    model(gcp)
    _, operation = gcp.call("DELETE", f"{VERTEX}/models/m")
    done = gcp.finish(operation)
    assert done["name"].startswith(f"{PLACE}/models/m/operations/")
    listed = gcp.call("GET", f"{VERTEX}/models/m/operations")[1]
    assert [each["name"] for each in listed["operations"]] == [done["name"]]
    missing = gcp.call("GET", f"aiplatform/v1/{PLACE}/models/m/operations/0")
    assert refused(missing) == (404, "NOT_FOUND")


def test_traffic_cannot_be_given_to_an_endpoint_that_is_created(gcp: Project) -> None:
    with pytest.raises(Refusal, match="cannot be set on an Endpoint without DeployedModels"):
        gcp.create(
            ENDPOINT, "e", name="7", location=REGION, displayName="e", trafficSplit='{"0": 100}'
        )


def test_a_service_account_gets_a_token_for_who_may_make_one(gcp: Project) -> None:
    # https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
    email, other = gcp.account("worker"), gcp.account("other1")
    path = f"iamcredentials/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    status, answer = gcp.call("POST", path, {"scope": ["x"]})
    assert status == 200
    assert credentials.caller(gcp.context, f"Bearer {answer['accessToken']}") == email
    ends = time.strptime(answer["expireTime"], "%Y-%m-%dT%H:%M:%SZ")
    assert 3000 < time.mktime(ends) - time.mktime(time.gmtime()) <= 3601
    assert refused(gcp.call("POST", path, {}, other)) == (403, "PERMISSION_DENIED")
    missing = path.replace(email, f"none@{PROJECT}.iam.gserviceaccount.com")
    assert refused(gcp.call("POST", missing, {})) == (400, "INVALID_ARGUMENT")


def test_accounts_are_listed_with_what_they_are_called(gcp: Project) -> None:
    # https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts
    made = gcp.create(iam.ACCOUNT, "worker", displayName="Worker", description="works")
    (found,) = gcp.call("GET", f"iam/v1/projects/{PROJECT}/serviceAccounts")[1]["accounts"]
    email = f"{made.inputs['accountId']}@{PROJECT}.iam.gserviceaccount.com"
    assert found == {
        "name": f"projects/{PROJECT}/serviceAccounts/{email}",
        "email": email,
        "displayName": "Worker",
        "description": "works",
    }
    assert made.outputs["member"] == f"serviceAccount:{email}"
    assert (made.outputs["name"], made.outputs["email"]) == (made.id, email)
    assert made.outputs["uniqueId"].isdecimal()
    assert len(made.outputs["uniqueId"]) == 21


@pytest.mark.parametrize(
    ("token", "inputs", "imported"),
    [
        (permissions.PROJECT_BINDING, {"project": PROJECT}, PROJECT),
        (BUCKET_MEMBER, {"bucket": "lake-1234567"}, "b/lake-1234567"),
        (
            REPOSITORY_MEMBER,
            {"repository": "images", "location": REGION},
            f"{PLACE}/repositories/images",
        ),
        (ENDPOINT_MEMBER, {"endpoint": "7", "location": REGION}, f"{PLACE}/endpoints/7"),
        (SECRET_MEMBER, {}, ""),
    ],
)
def test_a_binding_is_imported_by_resource_role_member_and_condition(
    gcp: Project, token: str, inputs: Json, imported: str
) -> None:
    # https://registry.terraform.io/providers/hashicorp/google/latest/docs/resources/google_project_iam#import
    email = gcp.account("worker")
    gcp.create(BUCKET, "lake", location="EU")
    gcp.create(REPOSITORY, "images", repositoryId="images", location=REGION, format="DOCKER")
    endpoint(gcp)
    secret = gcp.create(SECRET, "key", secretId="key", replication={"auto": {}})
    if token == SECRET_MEMBER:
        inputs, imported = {"secretId": secret.id}, secret.id
    role = "roles/viewer"
    made = gcp.grant(token, role, email, **inputs)
    rules = gcp.types[token]
    assert rules.imported_as(made) == f"{imported} {role} serviceAccount:{email}"
    if token in (BUCKET_MEMBER, permissions.PROJECT_BINDING):
        condition = {"title": "zone", "expression": 'resource.name.startsWith("a")'}
        limited = gcp.grant(token, role, email, **inputs, condition=condition)
        assert rules.imported_as(limited).endswith(f" {role} serviceAccount:{email} zone")
        assert limited.id == f"{made.id}/zone"
    assert gcp.lifecycle.read(token, rules.imported_as(made)) is not None


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        ({"role": "viewer"}, "role"),
        ({"role": "roles/a b"}, "role"),
        ({"role": "projects/p/roles"}, "role"),
        ({"member": "somebody"}, "member"),
        ({"member": "user:"}, "member"),
    ],
)
def test_a_binding_names_a_role_and_a_member(gcp: Project, inputs: Json, wrong: str) -> None:
    # https://cloud.google.com/iam/docs/reference/rest/v1/Policy#Binding
    good = {"role": "roles/viewer", "member": "user:a@b.c", "project": PROJECT}
    gcp.create(permissions.PROJECT_BINDING, "good", **good)
    with pytest.raises(CheckFailure) as failure:
        gcp.create(permissions.PROJECT_BINDING, "bad", **{**good, **inputs})
    assert failure.value.property == wrong


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"member": f"serviceAccount:no@{PROJECT}.iam.gserviceaccount.com"}, "does not exist"),
        ({"role": f"projects/{PROJECT}/roles/none"}, "Role .* does not exist"),
    ],
)
def test_a_binding_is_for_an_account_and_a_role_that_exist(
    gcp: Project, inputs: Json, words: str
) -> None:
    good = {"role": "roles/viewer", "member": "allUsers", "project": PROJECT}
    with pytest.raises(Refusal, match=words) as refusal:
        gcp.create(permissions.PROJECT_BINDING, "bad", **{**good, **inputs})
    assert refusal.value.code == "badRequest"


def test_a_deleted_pool_keeps_its_id_for_30_days(
    gcp: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # https://cloud.google.com/iam/docs/manage-workload-identity-pools-providers#delete-pool
    inputs = {"workloadIdentityPoolId": "github"}
    pool = gcp.create(POOL, "github", **inputs)
    number = gcp.context.account.gcp_number(PROJECT)
    place = "locations/global/workloadIdentityPools/github"
    assert pool.id == f"projects/{PROJECT}/{place}"
    assert (pool.outputs["name"], pool.outputs["state"]) == (
        f"projects/{number}/{place}",
        "ACTIVE",
    )
    provider: Json = {
        "workloadIdentityPoolProviderId": "actions",
        "oidc": {"issuerUri": "https://token.actions.githubusercontent.com"},
        "attributeMapping": {"google.subject": "assertion.sub"},
        **inputs,
    }
    with pytest.raises(CheckFailure, match="must reference one of the provider's claims"):
        gcp.create(POOL_PROVIDER, "actions", **provider)
    condition = "assertion.repository == 'acme/triplane'"
    made = gcp.create(POOL_PROVIDER, "actions", **provider, attributeCondition=condition)
    assert made.id == f"{pool.id}/providers/actions"
    assert made.outputs["name"] == f"{pool.outputs['name']}/providers/actions"
    assert made.outputs["state"] == "ACTIVE"
    with pytest.raises(CheckFailure, match="does not evaluate"):
        gcp.create(POOL_PROVIDER, "odd", **provider, attributeCondition="now() + 1")
    elsewhere = {**provider, "workloadIdentityPoolId": "none"}
    with pytest.raises(Refusal, match="workload identity pool none was not found"):
        gcp.create(POOL_PROVIDER, "x", **elsewhere, attributeCondition=condition)
    member = f"principal://iam.googleapis.com/{pool.outputs['name']}/subject/x"
    account = gcp.create(iam.ACCOUNT, "worker")
    grant: Json = {"role": "roles/iam.workloadIdentityUser", "serviceAccountId": account.id}
    gcp.create(iam.ACCOUNT_BINDING, "ok", member=member, **grant)
    other = member.replace("/github/", "/none/")
    with pytest.raises(Refusal, match="Identity Pool does not exist"):
        gcp.create(iam.ACCOUNT_BINDING, "no", member=other, **grant)
    gcp.delete(pool)
    with pytest.raises(Refusal) as refusal:
        gcp.create(POOL, "again", **inputs)
    assert refusal.value.code == "alreadyExists"
    now = time.time()
    day = 24 * 3600
    monkeypatch.setattr(iam.time, "time", lambda: now + 31 * day)
    gcp.create(POOL, "again", **inputs)


def test_the_id_of_a_deleted_role_is_blocked_from_the_8th_to_the_37th_day(
    gcp: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # https://cloud.google.com/iam/docs/creating-custom-roles#deleting-custom-role
    inputs: Json = {"roleId": "reader", "title": "Reader", "permissions": ["storage.objects.get"]}
    role = gcp.create(permissions.CUSTOM_ROLE, "reader", **inputs)
    assert role.id == role.outputs["name"] == f"projects/{PROJECT}/roles/reader"
    assert role.outputs["deleted"] is False
    gcp.delete(role)
    now, day = time.time(), 24 * 3600
    for days, is_blocked in ((6, False), (8, True), (36, True), (38, False)):
        gcp.context.kv.put(iam.DELETED_ROLES, role.id, now - days * day)
        if is_blocked:
            with pytest.raises(Refusal, match="in a deleted state") as refusal:
                gcp.create(permissions.CUSTOM_ROLE, f"r{days}", **inputs)
            assert refusal.value.code == "failedPrecondition"
        else:
            gcp.delete(gcp.create(permissions.CUSTOM_ROLE, f"r{days}", **inputs))


def test_versions_of_a_secret_are_listed_newest_first_and_never_share_a_number(
    gcp: Project,
) -> None:
    # https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions
    secret = gcp.create(
        SECRET, "key", secretId="key", replication={"auto": {}}, labels={"team": "a"}
    )
    path = f"secretmanager/v1/projects/{PROJECT}/secrets"
    name = f"projects/{gcp.context.account.gcp_number(PROJECT)}/secrets/key"
    (found,) = gcp.call("GET", path)[1]["secrets"]
    assert (found["name"], found["labels"]["team"]) == (name, "a")
    assert gcp.call("GET", f"{path}/key/versions") == (200, {})
    one, two = (
        gcp.create(SECRET_VERSION, value, secret=secret.id, secretData=value, **more)
        for value, more in (("one", {}), ("two", {"enabled": False}))
    )
    assert (one.outputs["version"], one.outputs["name"]) == ("1", one.id)
    assert one.outputs["enabled"] is True
    assert two.id == f"{name}/versions/2"
    listed = gcp.call("GET", f"{path}/key/versions")[1]["versions"]
    assert listed == [
        {"name": two.id, "state": "DISABLED"},
        {"name": one.id, "state": "ENABLED"},
    ]
    gcp.delete(two)
    three = gcp.create(SECRET_VERSION, "three", secret=secret.id, secretData="three")
    assert three.outputs["version"] == "3"
    for version, expected in (("1", "one"), ("3", "three"), ("latest", "three")):
        answer = gcp.call("GET", f"{path}/key/versions/{version}:access")[1]
        assert base64.b64decode(answer["payload"]["data"]).decode() == expected
    for missing in ("key/versions/2:access", "none/versions/latest:access", "none/versions"):
        assert refused(gcp.call("GET", f"{path}/{missing}")) == (404, "NOT_FOUND")
    two_on_a_page = gcp.call("GET", f"{path}/key/versions?pageSize=1")[1]
    assert [each["name"] for each in two_on_a_page["versions"]] == [three.id]
    rest = gcp.call(
        "GET", f"{path}/key/versions?pageSize=1&pageToken={two_on_a_page['nextPageToken']}"
    )[1]
    assert [each["name"] for each in rest["versions"]] == [one.id]
    assert "nextPageToken" not in rest


# https://cloud.google.com/apis/design/errors#handling_errors: an operation has the code of gRPC
@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("INVALID_ARGUMENT", 3),
        ("NOT_FOUND", 5),
        ("ALREADY_EXISTS", 6),
        ("PERMISSION_DENIED", 7),
        ("RESOURCE_EXHAUSTED", 8),
        ("FAILED_PRECONDITION", 9),
        ("ABORTED", 10),
        ("UNIMPLEMENTED", 12),
        ("INTERNAL", 13),
        ("UNAVAILABLE", 14),
        ("UNAUTHENTICATED", 16),
        ("OfAnotherService", 13),
    ],
)
def test_a_failed_operation_has_the_number_of_its_error(
    gcp: Project, code: str, number: int
) -> None:
    def work() -> Json:
        raise Refusal(code, "no")

    done = gcp.finish(operations.start(gcp.context, f"{PLACE}/models/m", work))
    assert done["error"] == {"code": number, "message": "no"}
    assert "response" not in done
    assert done["done"] is True


def test_a_build_that_nobody_began_is_not_found(gcp: Project) -> None:
    # https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds/get
    missing = gcp.call("GET", f"cloudbuild/v1/{PLACE}/builds/none")
    assert refused(missing) == (404, "NOT_FOUND")


def test_a_bucket_is_listed_and_written_as_cloud_storage_writes_it(gcp: Project) -> None:
    # https://cloud.google.com/storage/docs/json_api/v1/buckets
    bucket = gcp.create(BUCKET, "lake", location="eu", labels={"team": "a"})
    assert bucket.outputs["location"] == "EU"
    assert bucket.outputs["url"] == f"gs://{bucket.id}"
    assert bucket.outputs["selfLink"] == f"https://www.googleapis.com/storage/v1/b/{bucket.id}"
    listed = gcp.call("GET", f"storage/storage/v1/b?project={PROJECT}")[1]
    (found,) = listed["items"]
    assert listed["kind"] == "storage#buckets"
    assert (found["kind"], found["id"], found["name"]) == (
        "storage#bucket",
        bucket.id,
        bucket.id,
    )
    assert found["labels"]["team"] == "a"
    assert "items" not in gcp.call("GET", "storage/storage/v1/b?project=other")[1]
    made = gcp.create(OBJECT, "a", bucket=bucket.id, name="a b", content="content")
    digest = base64.b64encode(hashlib.md5(b"content").digest()).decode()
    assert made.outputs["md5hash"] == digest
    assert made.outputs["outputName"] == "a b"
    assert made.outputs["generation"] > 0
    assert made.outputs["crc32c"]
    assert made.id == f"{bucket.id}-a b"
    with pytest.raises(Refusal, match="containing objects without") as refusal:
        gcp.delete(bucket)
    assert refusal.value.code == "conflict"
    gcp.delete(gcp.update(bucket, forceDestroy=True))
    assert gcp.context.all(OBJECT) == []
    assert gcp.lifecycle.read(BUCKET, bucket.id) is None


def test_an_upload_names_its_object_in_the_query_or_in_front_of_its_body(gcp: Project) -> None:
    # https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects
    bucket = gcp.create(BUCKET, "lake", location="EU").id
    at = gcp.address(credentials.deployer(gcp.context))
    upload = f"{at}/upload/storage/v1/b/{bucket}/o"

    def put(query: str, body: bytes, **headers: str) -> Any:
        return gcp.http.post(f"{upload}?{query}", content=body, headers=headers)

    with gcp.http:  # one event loop for the proxy's connections
        assert put("uploadType=media&name=a", b"x").status_code == 200
        for body in (b"", b"no object", b"{}", b'{"name"', b"[" * 100_000):
            wrong = put("uploadType=resumable", body)
            assert wrong.status_code == 400
            assert wrong.json()["error"]["message"] == "Required: the object's name."
        encoded = {"content-encoding": "gzip"}
        wrong = put("uploadType=media&name=b", b"no gzip", **encoded)
        assert (wrong.status_code, wrong.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        once = put("uploadType=media&name=a&ifGenerationMatch=0", b"x")
        assert (once.status_code, once.json()["error"]["code"]) == (412, 412)
        for name in ("", "a/../b", "a%0Ab", "x" * 1025):
            assert put(f"uploadType=media&name={name}", b"x").status_code == 400
        assert gcp.http.get(f"{at}/storage/v1/b/{bucket}/unknown").status_code == 404
        assert gcp.http.delete(f"{at}/storage/v1/b/{bucket}/o/a").status_code in (200, 204)


BUILDER = "gcr.io/cloud-builders/docker"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"name": "bash", "args": ["build"]}, "only: "),
        ({"name": BUILDER, "args": ["push"]}, "only: "),
        ({"name": BUILDER, "args": ["build", "--tag", "other:1", "."]}, "not among the images"),
        ({"name": BUILDER, "args": ["build", "."]}, "None is built, but not among the images"),
        (
            {"name": BUILDER, "args": ["build", "-t", "x-docker.pkg.dev/p/r/i:1", "."]},
            'name unknown: Repository "x-docker.pkg.dev/p/r/i" not found',
        ),
    ],
)
def test_a_build_whose_step_cannot_be_done_fails_with_its_reason(
    gcp: Project, step: Json, words: str
) -> None:
    # https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#failureinfo
    email = gcp.account("builder")
    body = {
        "steps": [step],
        "images": ["x-docker.pkg.dev/p/r/i:1"],
        "serviceAccount": f"projects/{PROJECT}/serviceAccounts/{email}",
        "options": {"logging": "CLOUD_LOGGING_ONLY"},
    }
    status, operation = gcp.call("POST", f"cloudbuild/v1/{PLACE}/builds", body)
    assert status == 200, operation
    build = operation["metadata"]["build"]
    assert build["status"] == "QUEUED"
    deadline = time.monotonic() + 20
    while build["status"] in ("QUEUED", "WORKING"):
        assert time.monotonic() < deadline
        build = gcp.call("GET", f"cloudbuild/v1/{PLACE}/builds/{build['id']}")[1]
    assert build["status"] == "FAILURE"
    assert build["failureInfo"]["type"] == "USER_BUILD_STEP"
    assert words in build["failureInfo"]["detail"]
    assert build["finishTime"] >= build["startTime"] >= build["createTime"]


@pytest.mark.parametrize("replicas", [{"minReplicaCount": 2}, {"maxReplicaCount": 2}])
def test_the_cpus_of_a_machine_are_those_in_its_name(live_context: Context, replicas: Json) -> None:
    quotas = replace(live_context.behaviour.quotas, vertex_cpus=8)
    gcp = Project(replace(live_context, behaviour=replace(live_context.behaviour, quotas=quotas)))
    model(gcp)
    endpoint(gcp, "7", "1", _1=100)  # which has four of the eight

    def deployed(machine: str) -> tuple[int, str]:
        resources = {"machineSpec": {"machineType": machine}, **replicas}
        wanted = {"id": "1", "model": f"{PLACE}/models/m", "dedicatedResources": resources}
        path = f"{VERTEX}/endpoints/8:deployModel"
        return refused(gcp.call("POST", path, {"deployedModel": wanted}))

    endpoint(gcp, "8")
    assert deployed("n1-standard-4") == (429, "RESOURCE_EXHAUSTED")
