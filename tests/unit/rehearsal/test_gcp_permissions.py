"""Who may do what on the rehearsed Google Cloud: conditions, bindings on single resources, and the calls of each method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from config import github
from rehearsal.core.records import CheckFailure, Refusal
from rehearsal.core.wire import encode
from rehearsal.gcp import credentials, expressions, iam, permissions, required_permissions, storage
from rehearsal.gcp.profile import PROFILE
from rehearsal.provider.context import Context
from rehearsal.provider.service import Provider
from tests.fuzz.odd_tokens import odd_tokens
from tests.unit.rehearsal.gcp_project import (
    BUCKET,
    BUCKET_MEMBER,
    ENDPOINT,
    ENDPOINT_MEMBER,
    PLACE,
    PROJECT,
    REGION,
    SECRET,
    SECRET_MEMBER,
    Project,
)
from tests.unit.rehearsal.test_core_provider import Call, Refused

ATTRIBUTES = {
    "resource.name": "projects/_/buckets/lake/objects/builds/a",
    "resource.type": "storage.googleapis.com/Object",
    "assertion.sub": "repo:acme/triplane:environment:staging",
    "assertion.ref": "refs/heads/main",
}


@pytest.fixture
def project(live_context: Context) -> Iterator[Project]:
    project = Project(live_context)
    with project.http:  # one event loop for all requests
        yield project


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("assertion.ref == 'refs/heads/main'", True),
        ("assertion.ref != 'refs/heads/main'", False),
        ("assertion.ref == 'refs/heads/main' && assertion.sub.endsWith(':staging')", True),
        ("assertion.ref == 'refs/heads/main' && assertion.sub.endsWith(':production')", False),
        ("assertion.ref in ['refs/heads/main', 'refs/heads/next']", True),
        ("!(assertion.ref == 'refs/heads/main')", False),
        ("!assertion.sub.contains('pull_request')", True),
        ('resource.name.startsWith("projects/_/buckets/lake/") || resource.type == "x"', True),
        # In a text the operators are letters.
        ("assertion.ref == 'refs/heads/main || true'", False),
        # Without a value a part decides nothing, and another one may.
        ("request.host == 'x'", False),
        ("!(request.host == 'x')", False),
        ("request.host == 'x' || assertion.ref == 'refs/heads/main'", True),
        ("request.host == 'x' && assertion.ref == 'refs/heads/other'", False),
        ("api.getAttribute('a/b', []).hasOnly(['roles/viewer'])", True),
        ("api.getAttribute('a/b', 'none') == 'none'", True),
        ("assertion.ref", False),
        ("assertion.ref.startsWith(['refs']) || assertion.ref == 'refs/heads/main'", True),
    ],
)
def test_a_condition_is_evaluated_as_cel(expression: str, holds: bool) -> None:
    expressions.check(expression)
    assert expressions.holds(expression, ATTRIBUTES) is holds


@pytest.mark.parametrize(
    "expression",
    [
        "request.time < timestamp('2030-01-01T00:00:00Z')",
        "resource.matchTag('1/env', 'prod')",
        "assertion.sub.matches('.*')",
        "true ||",
        "",
        "(" * 500 + "assertion.ref" + ")" * 500,
        "api.getAttribute(['a'], '') == ''",
        "__import__('os').system('x')",
        "not assertion.sub.contains('x')",
    ],
)
def test_what_is_not_evaluated_is_refused_and_not_ignored(expression: str) -> None:
    with pytest.raises(expressions.Unsupported):
        expressions.check(expression)


def test_a_pools_condition_that_is_not_evaluated_is_refused(project: Project) -> None:
    pool = project.create(iam.WorkloadIdentityPool.token, "p", workloadIdentityPoolId="pool-1")
    with pytest.raises(CheckFailure, match="attributeCondition"):
        project.create(
            iam.WorkloadIdentityPoolProvider.token,
            "github",
            workloadIdentityPoolId=pool.inputs["workloadIdentityPoolId"],
            workloadIdentityPoolProviderId="github",
            oidc={"issuerUri": "https://token.actions.githubusercontent.com"},
            attributeCondition="assertion.sub.matches('.*')",
        )


def role(project: Project, *granted: str) -> str:
    """A custom role of these permissions."""
    id = f"role{len(project.context.all(permissions.CUSTOM_ROLE))}"
    return project.create(
        permissions.CUSTOM_ROLE, id, roleId=id, title=id, permissions=list(granted)
    ).id


def test_a_condition_on_the_name_fits_secrets_and_no_endpoint(project: Project) -> None:
    """Vertex AI gives conditions no attributes, and Secret Manager's names have the project's number."""
    email = project.account("reader")
    endpoint = project.create(
        ENDPOINT, "e", name="123", displayName="e", location=REGION, region=REGION
    )
    secret = project.create(SECRET, "key", secretId="key", replication={"auto": {}})
    number = project.context.account.gcp_number(PROJECT)
    reads = role(project, "aiplatform.endpoints.get", "secretmanager.versions.list")

    def bind(token: str, title: str, prefix: str, **inputs: Any) -> None:
        condition = {"title": title, "expression": f'resource.name.startsWith("{prefix}")'}
        project.grant(token, reads, email, condition=condition, **inputs)

    bind(ENDPOINT_MEMBER, "e", endpoint.id, endpoint="123", location=REGION)
    bind(SECRET_MEMBER, "id", secret.id, secretId=secret.id)
    assert project.call("GET", f"aiplatform/v1/{endpoint.id}", caller=email)[0] == 403
    # What has no value is not "something else", either.
    other = {"title": "other", "expression": '!resource.name.startsWith("projects/x")'}
    project.grant(ENDPOINT_MEMBER, reads, email, condition=other, endpoint="123", location=REGION)
    assert project.call("GET", f"aiplatform/v1/{endpoint.id}", caller=email)[0] == 403
    versions = f"secretmanager/v1/{secret.id}/versions"
    assert project.call("GET", versions, caller=email)[0] == 403
    bind(SECRET_MEMBER, "number", f"projects/{number}/secrets/key", secretId=secret.id)
    assert project.call("GET", versions, caller=email)[0] == 200


def test_a_right_on_one_resource_is_none_on_its_neighbour(project: Project) -> None:
    email, reads = project.account("reader"), role(project, "aiplatform.endpoints.get")
    for name in ("12", "123"):
        project.create(ENDPOINT, name, name=name, displayName="e", location=REGION, region=REGION)
    project.grant(ENDPOINT_MEMBER, reads, email, endpoint="123", location=REGION)
    path = f"aiplatform/v1/{PLACE}/endpoints"
    assert project.call("GET", f"{path}/123", caller=email)[0] == 200
    assert project.call("GET", f"{path}/12", caller=email)[0] == 403
    assert project.call("GET", path, caller=email)[0] == 403


def test_a_bucket_and_its_policy_need_rights_of_their_own(project: Project) -> None:
    email = project.account("reader")
    bucket = project.create(BUCKET, "lake", location="EU")
    project.grant(BUCKET_MEMBER, "roles/storage.objectUser", email, bucket=bucket.id)
    store = f"{project.address(email)}/storage/v1/b/{bucket.id}"
    assert project.http.get(f"{store}/o").status_code == 200
    for method, path in (
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", ""),
        ("GET", "/iam"),
        ("PUT", "/iam"),
    ):
        assert project.http.request(method, f"{store}{path}").status_code == 403, f"{method} {path}"
    project.grant(
        BUCKET_MEMBER,
        role(project, "storage.buckets.update", "storage.buckets.get"),
        email,
        bucket=bucket.id,
    )
    for method in ("GET", "PUT"):
        refused = project.http.request(method, f"{store}/iam")
        assert (refused.status_code, "IamPolicy" in refused.text) == (403, True)


def test_a_copy_needs_the_right_to_write_where_it_goes(project: Project) -> None:
    email = project.account("copier")
    own, other = (project.create(BUCKET, name, location="EU") for name in ("own", "other"))
    project.grant(BUCKET_MEMBER, "roles/storage.objectUser", email, bucket=own.id)
    store = project.address(email)
    upload = f"{store}/upload/storage/v1/b/{own.id}/o?uploadType=media&name=a"
    assert project.http.post(upload, content=b"a").status_code == 200
    copy = f"{store}/storage/v1/b/{own.id}/o/a/rewriteTo/b/{{}}/o/b"
    assert project.http.post(copy.format(own.id)).status_code == 200
    refused = project.http.post(copy.format(other.id))
    assert refused.status_code == 403
    assert "storage.objects.create" in refused.json()["error"]["message"]


def test_to_overwrite_an_object_needs_the_right_to_delete_it(project: Project) -> None:
    email = project.account("writer")
    lake = project.create(BUCKET, "lake", location="EU")
    project.grant(BUCKET_MEMBER, "roles/storage.objectCreator", email, bucket=lake.id)
    upload = f"{project.address(email)}/upload/storage/v1/b/{lake.id}/o"
    about = {"uploadType": "media", "name": "a"}
    assert project.http.post(upload, params=about, content=b"first").status_code == 200
    related = {"content-type": "multipart/related; boundary=x"}
    part = b"--x\r\ncontent-type: application/json\r\n\r\n"
    whole = part + b'{"name": "a"}\r\n' + part + b"second\r\n--x--"
    for kind, content in (
        ("media", b"second"),
        ("multipart", whole),
        ("resumable", b'{"name":"a"}'),
    ):
        named = {"name": "a"} if kind == "media" else {}
        refused = project.http.post(
            upload, params={"uploadType": kind, **named}, content=content, headers=related
        )
        assert (refused.status_code, kind) == (403, kind)
        assert "does not have storage.objects.delete access" in refused.json()["error"]["message"]
        # As the gateway writes: only if there is no such object.
        new_only = {"uploadType": kind, **named, "ifGenerationMatch": "0"}
        refused = project.http.post(upload, params=new_only, content=content, headers=related)
        assert (refused.status_code, kind) == (412, kind)
    assert storage.get_object(project.context, lake.id, "a") == b"first"
    project.grant(BUCKET_MEMBER, "roles/storage.objectUser", email, bucket=lake.id)
    assert project.http.post(upload, params=about, content=b"second").status_code == 200
    assert storage.get_object(project.context, lake.id, "a") == b"second"


def test_an_address_is_checked_as_the_one_that_is_used(project: Project) -> None:
    """Each of these reached the other bucket, or another object, with rights on the own ones alone."""
    email = project.account("writer")
    own, lake = (project.create(BUCKET, name, location="EU") for name in ("own", "lake"))
    for name in ("secret", "captures/a"):
        storage.put_object(project.context, lake.id, name, b"secret")
    project.grant(BUCKET_MEMBER, "roles/storage.objectUser", email, bucket=own.id)
    within = f'resource.name.startsWith("projects/_/buckets/{lake.id}/objects/captures/")'
    condition = {"title": "c", "expression": within}
    writer = {"bucket": lake.id, "condition": condition}
    project.grant(BUCKET_MEMBER, "roles/storage.objectCreator", email, **writer)
    project.grant(permissions.PROJECT_BINDING, "roles/storage.objectViewer", email, project=PROJECT)
    front = project.address(email)
    upload = f"/upload/storage/v1/b/{lake.id}/o?uploadType="
    preamble = b'{"name": "captures/b"}\r\n--x\r\n\r\n{"name": "mine"}\r\n--x\r\n\r\nmine\r\n--x--'
    attacks = [
        ("DELETE", f"/upload/resumable/../../storage/v1/b/{lake.id}/o/secret", b""),
        ("DELETE", f"/upload/resumable/%2e%2e/%2E./storage/v1/b/{lake.id}/o/secret", b""),
        ("DELETE", f"/storage/v1/b/{own.id}/../{lake.id}/o/secret", b""),
        ("DELETE", f"/storage/v1/b/{own.id}/o/..%2F..%2F{lake.id}%2Fsecret", b""),
        ("POST", f"{upload}media&name=captures%2F..%2Fmine", b"mine"),
        ("POST", f"{upload}media&name=mine&name=captures%2Fb", b"mine"),
        ("POST", f"{upload}multipart", preamble),
        ("POST", f"/storage/v1/b/{lake.id}/o?uploadType=media&name=mine", b"mine"),
        ("PUT", f"/{lake.id}/mine", b"mine"),
        ("POST", f"/storage/v1/b/{own.id}/o/a/rewriteTo/b/{lake.id}/o/captures%2F..%2Fmine", b""),
        (
            "POST",
            f"/storage/v1/b/{lake.id}/o/mine/compose",
            b'{"sourceObjects":[{"name":"secret"}]}',
        ),
        ("POST", "/batch/storage/v1", b"--x\r\n\r\nDELETE /storage/v1/b/own/o/a\r\n--x--"),
        ("PUT", "/_internal/config", b"{}"),
        ("POST", "/storage/v1/b", b'{"name": "mine"}'),
    ]
    assert project.http.post(f"{front}/upload/storage/v1/b/{own.id}/o?uploadType=media&name=a")
    allowed = {"captures/a", "captures/b", "secret"}
    done = []
    for method, path, content in attacks:
        headers = {"content-type": "multipart/related; boundary=x"}
        status = project.raw(method, f"{front}{path}", content, headers)
        if status not in (400, 403, 404):
            done.append((method, path, status))
        assert storage.get_object(project.context, lake.id, "secret") == b"secret", path
        if not allowed.issuperset(storage.object_names(project.context, lake.id)):
            done.append((method, path, "wrote another object"))
            storage.delete_object(project.context, lake.id, "mine")
    # The upload whose preamble names another object writes the one that is checked.
    assert done == [("POST", f"{upload}multipart", 200)]
    assert not storage.object_exists(project.context, lake.id, "mine")


def test_a_resumable_upload_goes_on_at_the_address_of_its_session(project: Project) -> None:
    email = project.account("writer")
    lake = project.create(BUCKET, "lake", location="EU")
    project.grant(BUCKET_MEMBER, "roles/storage.objectCreator", email, bucket=lake.id)
    begin = f"{project.address(email)}/upload/storage/v1/b/{lake.id}/o?uploadType=resumable"
    begun = project.http.post(begin, json={"name": "captures/ä"})
    session = begun.headers["location"]
    assert session.startswith(f"{project.context.base_url}{project.address(email)}/upload/")
    headers = {"content-range": "bytes 0-2/3"}
    path = session.removeprefix(project.context.base_url)
    assert project.http.put(path, content=b"abc", headers=headers).status_code == 200
    assert storage.get_object(project.context, lake.id, "captures/ä") == b"abc"


def test_a_client_that_sends_its_token_reaches_storage_as_its_account(project: Project) -> None:
    email = project.account("reader")
    lake = project.create(BUCKET, "lake", location="EU")
    project.grant(BUCKET_MEMBER, "roles/storage.objectViewer", email, bucket=lake.id)
    token = credentials.token(project.context, email)["access_token"]
    path = f"/gcp/storage/storage/v1/b/{lake.id}/o"
    headers = {"authorization": f"Bearer {token}"}
    assert project.http.get(path, headers=headers).status_code == 200
    assert project.http.post(path, headers=headers).status_code == 404
    assert project.http.get(path).status_code == 401
    assert project.http.get(path, headers={"authorization": "Bearer x"}).status_code == 401


def test_only_permissions_that_are_held_are_reported(project: Project) -> None:
    email = project.account("reader")
    held = role(project, "run.services.list")
    project.grant(permissions.PROJECT_BINDING, held, email, project=PROJECT)
    body = {"permissions": ["run.services.list", "run.services.create"]}
    path = f"cloudresourcemanager/v3/projects/{PROJECT}:testIamPermissions"
    assert project.call("POST", path, body, email)[1] == {"permissions": ["run.services.list"]}
    assert project.call("POST", path, body)[1] == body


def test_a_step_of_the_engine_needs_the_rights_of_its_credentials(project: Project) -> None:
    email = project.account("deployer")
    bucket = project.create(BUCKET, "lake", location="EU")
    token = credentials.token(project.context, email)["access_token"]

    def step(verb: str, type: str = BUCKET) -> None:
        required_permissions.require_for_step(
            project.context, {"accessToken": token}, verb, type, bucket.inputs, bucket
        )

    for verb in ("create", "read", "update", "delete"):
        with pytest.raises(Refusal, match=r"googleapi: Error 403: Permission 'storage\.buckets"):
            step(verb)
    project.grant(BUCKET_MEMBER, role(project, "storage.buckets.get"), email, bucket=bucket.id)
    step("read")
    with pytest.raises(Refusal, match=r"Permission 'storage\.buckets\.update' denied"):
        step("update")
    with pytest.raises(Refusal, match="may not read a gcp:pubsub/topic:Topic"):
        step("read", "gcp:pubsub/topic:Topic")


def test_what_is_gone_looks_like_what_is_forbidden_without_a_right_in_the_project(
    project: Project,
) -> None:
    """Google's own words: "denied on resource … (or it may not exist)"."""
    email = project.account("reader")
    token = credentials.token(project.context, email)["access_token"]
    provider, call = Provider(project.context, PROFILE), Call()
    settings = pb.ConfigureRequest(args=encode({"accessToken": token}))
    provider.Configure(settings, call)
    urn = f"urn:pulumi:s::p::{BUCKET}::lake"
    gone = pb.ReadRequest(urn=urn, id="lake-1", inputs=encode({"name": "lake-1"}))
    with pytest.raises(Refused, match=r"Permission 'storage\.buckets\.get' denied .*may not exist"):
        provider.Read(gone, call)
    project.grant(
        permissions.PROJECT_BINDING, role(project, "storage.buckets.get"), email, project=PROJECT
    )
    assert provider.Read(gone, call).id == ""


def test_who_may_give_some_roles_only_cannot_give_another(project: Project) -> None:
    """https://cloud.google.com/iam/docs/setting-limits-on-granting-roles"""
    email = project.account("giver")
    gives = role(
        project, "resourcemanager.projects.setIamPolicy", "resourcemanager.projects.getIamPolicy"
    )
    modified = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', [])"
    condition = {"title": "viewer", "expression": f"{modified}.hasOnly(['roles/viewer'])"}
    project.grant(permissions.PROJECT_BINDING, gives, email, project=PROJECT, condition=condition)
    token = credentials.token(project.context, email)["access_token"]

    def give(granted: str) -> None:
        inputs = {"project": PROJECT, "role": granted, "member": f"serviceAccount:{email}"}
        required_permissions.require_for_step(
            project.context,
            {"accessToken": token},
            "create",
            permissions.PROJECT_BINDING,
            inputs,
            None,
        )

    give("roles/viewer")
    with pytest.raises(Refusal, match=r"resourcemanager\.projects\.setIamPolicy' denied"):
        give("roles/owner")
    path = f"cloudresourcemanager/v3/projects/{PROJECT}:setIamPolicy"
    for granted, status in (("roles/viewer", 501), ("roles/owner", 403)):
        body = {"policy": {"bindings": [{"role": granted, "members": ["user:a@b.example"]}]}}
        assert project.call("POST", path, body, email)[0] == status, granted


def test_a_token_with_odd_claims_is_refused_and_no_fault(project: Project) -> None:
    pool = project.create(iam.WorkloadIdentityPool.token, "p", workloadIdentityPoolId="pool-1")
    provider = project.create(
        iam.WorkloadIdentityPoolProvider.token,
        "github",
        workloadIdentityPoolId=pool.inputs["workloadIdentityPoolId"],
        workloadIdentityPoolProviderId="github",
        oidc={"issuerUri": github.ISSUER},
        attributeMapping={"google.subject": "assertion.sub"},
        attributeCondition="assertion.sub == 'repo:a/b:ref:refs/heads/main'",
    )
    name = provider.outputs["name"]
    good = {
        "iss": github.ISSUER,
        "aud": f"//iam.googleapis.com/{name}",
        "sub": "repo:a/b:ref:refs/heads/main",
        "exp": 4e9,
    }

    def exchange(**claims: Any) -> tuple[int, str]:
        token = jwt.encode({**good, **claims}, "x" * 32, "HS256")
        form = {"audience": good["aud"], "subject_token": token}
        answer = project.http.post("/gcp/sts/v1/token", data=form)
        return answer.status_code, answer.text

    assert exchange()[0] == 200
    for claims in ({"iss": "https://issuer.example"}, {"sub": "repo:a/b:pull_request"}):
        assert exchange(**claims)[0] == 400, claims
    for token in odd_tokens(good):
        form = {"audience": good["aud"], "subject_token": token}
        answer = project.http.post("/gcp/sts/v1/token", data=form)
        assert answer.status_code == 400, token[:200]
        assert "error_description" in answer.text


OBJECTS = "storage.objects"
IMAGES = "artifactregistry.repositories"
ACCOUNTS = "iam.serviceAccounts"
# https://cloud.google.com/iam/docs/roles-permissions: of each role what the rehearsal's services ask for
PREDEFINED = {
    "roles/storage.objectViewer": {f"{OBJECTS}.get", f"{OBJECTS}.list"},
    "roles/storage.objectCreator": {f"{OBJECTS}.create"},
    "roles/storage.objectUser": {
        f"{OBJECTS}.{verb}" for verb in ("get", "list", "create", "delete", "update")
    },
    "roles/artifactregistry.reader": {f"{IMAGES}.downloadArtifacts"},
    "roles/artifactregistry.writer": {f"{IMAGES}.downloadArtifacts", f"{IMAGES}.uploadArtifacts"},
    "roles/secretmanager.secretAccessor": {"secretmanager.versions.access"},
    "roles/iam.serviceAccountAdmin": {f"{ACCOUNTS}.setIamPolicy"},
    "roles/iam.serviceAccountUser": {f"{ACCOUNTS}.{verb}" for verb in ("actAs", "get", "list")},
    "roles/iam.workloadIdentityUser": {
        f"{ACCOUNTS}.{verb}" for verb in ("get", "getAccessToken", "getOpenIdToken")
    },
    "roles/logging.logWriter": {"logging.logEntries.create"},
    "roles/aiplatform.user": {"aiplatform.endpoints.predict"},
}


def test_a_predefined_role_holds_what_google_lists_of_it() -> None:
    assert {name: set(held) for name, held in permissions.ROLES.items()} == PREDEFINED
