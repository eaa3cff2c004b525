"""What really runs on the rehearsed Google Cloud: builds, models, services, and the permissions they need.

The dynamic providers of ``components/gcp`` are driven against it, so that both are tested together.
"""

from __future__ import annotations

import base64
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from components import dynamic
from components.built_image import BuildFailed
from components.gcp import rest
from components.gcp.dynamic.built_image import BuiltImageProvider
from components.gcp.dynamic.vertex_deployment import VertexDeploymentProvider, deploy_request
from components.gcp.dynamic.vertex_model import VertexModelProvider
from components.gcp.dynamic.vertex_traffic import VertexTrafficProvider
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.gcp import credentials, iam, operations, permissions, routes, storage
from rehearsal.provider.context import Context
from rehearsal.runtime.containers import CONTAINERS, Container, ContainerFailed
from tests.unit.rehearsal.archives import archive
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
    RUN,
    SECRET,
    SECRET_MEMBER,
    SECRET_VERSION,
    Project,
)

DOCKERFILE = """\
FROM python:3.11-slim
WORKDIR /app
COPY server.py ./
ENTRYPOINT ["python", "server.py"]
"""
# Answers with the model's folder, or with its environment's API_KEY.
SERVER = """\
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
said = os.environ.get("AIP_STORAGE_URI") or os.environ.get("API_KEY") or "nothing"
assert not said.endswith("/broken"), "the model is broken"

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(b'{"predictions": [{"from": "%s"}], "more": 1}' % said.encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

port = int(os.environ.get("AIP_HTTP_PORT") or os.environ["PORT"])
HTTPServer((os.environ["HOST"], port), Handler).serve_forever()
"""
WITHIN = 'resource.name.startsWith("projects/_/buckets/{}/objects/{}/")'


class Platform(Project):
    """A project with a lake, a registry and an image of `SERVER`."""

    def __init__(self, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(context)
        monkeypatch.setattr(rest, "call", self._call)
        monkeypatch.setattr(dynamic, "LONGEST_GRANT_SECONDS", 0.2)
        monkeypatch.setattr(dynamic, "GRANT_PAUSE", 0.05)
        self.lake = self.create(BUCKET, "lake", location="EU", forceDestroy=True)
        self.registry = self.create(
            REPOSITORY,
            "images",
            repositoryId="images",
            location=REGION,
            format="DOCKER",
            dockerConfig={"immutableTags": True},
        )
        self.builder = self.account("builder")
        self.reading = self.let_zone("roles/storage.objectViewer", self.builder, "builds")
        self.pushing = self.let("roles/artifactregistry.writer", self.builder)
        source = archive({"Dockerfile": DOCKERFILE, "server.py": SERVER})
        self.create(OBJECT, "context", bucket=self.lake.id, name="builds/c.zip", source=source)

    def let(self, role: str, email: str) -> Record:
        return self.grant(REPOSITORY_MEMBER, role, email, repository=self.registry.outputs["name"])

    def let_zone(self, role: str, email: str, zone: str) -> Record:
        condition = {"title": zone, "expression": WITHIN.format(self.lake.id, zone)}
        return self.grant(BUCKET_MEMBER, role, email, bucket=self.lake.id, condition=condition)

    def build(self, tag: str = "one") -> str:
        """The image, through the provider that the components use."""
        props = {
            "project": PROJECT,
            "region": REGION,
            "repository": f"{REGION}-docker.pkg.dev/{PROJECT}/images/platform",
            "tag": tag,
            "arguments": {},
            "bucket": self.lake.id,
            "context": "builds/c.zip",
            "service_account": self.builder,
        }
        outs = BuiltImageProvider().create(props).outs
        assert outs
        return str(outs["image"])

    def artifact(self, version: str) -> str:
        name = f"models/flight-delay/{version}/model.onnx"
        self.create(OBJECT, version, bucket=self.lake.id, name=name, content=version)
        return f"gs://{self.lake.id}/models/flight-delay/{version}"

    def upload(self, image: str, version: str) -> tuple[str, Json]:
        props = {
            "project": PROJECT,
            "region": REGION,
            "display_name": "endpoint",
            "image": image,
            "artifact_uri": self.artifact(version),
            "labels": {"team": "flights"},
        }
        made = VertexModelProvider().create(props)
        assert made.outs
        return made.id, made.outs

    def endpoint(self) -> Record:
        return self.create(ENDPOINT, "e", name="123456789", displayName="e", location=REGION)

    def deployment(self, endpoint: str, model: str) -> Json:
        return {
            "region": REGION,
            "endpoint": endpoint,
            "model": model,
            "machine": "n1-standard-2",
            "min_instances": 1.0,
            "max_instances": 2.0,
            "service_account": "",
        }

    def deploy(self, endpoint: str, model: str) -> tuple[str, Json]:
        made = VertexDeploymentProvider().create(self.deployment(endpoint, model))
        assert made.outs
        return made.id, made.outs

    def under_way(
        self, monkeypatch: pytest.MonkeyPatch, failure: Exception | None = None
    ) -> threading.Event:
        """The next start of a container takes a second, and fails if it is to. The event: it has begun."""
        start, started = self.context.containers.run, threading.Event()

        def slow_start(key: str, container: Container) -> None:
            monkeypatch.setattr(self.context.containers, "run", start)
            started.set()
            time.sleep(1)
            if failure:
                raise failure
            start(key, container)

        monkeypatch.setattr(self.context.containers, "run", slow_start)
        return started

    def predict(self, verb: str, caller: str | None = None) -> tuple[int, Json]:
        path = f"aiplatform/v1/{PLACE}/endpoints/123456789:{verb}"
        return self.call("POST", path, {"instances": [{}]}, caller)

    def _call(self, method: str, url: str, body: Json | None = None) -> Json:
        """What `rest.call` does, without a network."""
        host, _, path = url.removeprefix("https://").partition("/v1/")
        service = host.removesuffix(".googleapis.com").removeprefix(f"{REGION}-")
        status, answer = self.call(method, f"{service}/v1/{path}", body)
        if status >= 400:
            raise rest.GoogleError(status, answer["error"]["message"])
        return answer


@pytest.fixture
def platform(live_context: Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    for name in ("VERTEX_AI", "CLOUD_BUILD", "ARTIFACT_REGISTRY"):
        monkeypatch.delenv(f"GOOGLE_{name}_CUSTOM_ENDPOINT", raising=False)
    platform = Platform(live_context, monkeypatch)
    with platform.http:  # one event loop for all requests
        yield platform


def test_an_image_is_built_once_for_each_tag_and_found_again(platform: Platform) -> None:
    first = platform.build()
    assert "@sha256:" in first
    platform.delete(platform.reading)
    assert platform.build() == first, "the tag is there: no build, so nothing is read"


def test_a_build_that_may_not_read_its_context_fails_in_googles_words(platform: Platform) -> None:
    platform.delete(platform.reading)
    with pytest.raises(BuildFailed, match=r"does not have storage\.objects\.get access"):
        platform.build()


def test_a_build_with_an_account_of_its_own_must_name_where_its_log_goes(
    platform: Platform,
) -> None:
    body = {
        "steps": [{"name": "gcr.io/cloud-builders/docker"}],
        "serviceAccount": f"projects/{PROJECT}/serviceAccounts/{platform.builder}",
    }
    status, answer = platform.call("POST", f"cloudbuild/v1/{PLACE}/builds", body)
    assert status == 400
    assert "CLOUD_LOGGING_ONLY" in answer["error"]["message"]


def test_a_new_model_takes_over_the_traffic_of_the_same_endpoint(platform: Platform) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    old_model, old_props = platform.upload(image, "a" * 64)
    old, old_deployment = platform.deploy(endpoint.id, old_model)
    traffic = {"region": REGION, "endpoint": endpoint.id, "deployed_model": old}
    assert VertexTrafficProvider().create(traffic).outs == {**traffic, "model_version": "a" * 64}
    assert platform.predict("rawPredict")[1]["predictions"][0]["from"].endswith("a" * 64)

    new_model, new_props = platform.upload(image, "b" * 64)
    assert new_model != old_model
    new, new_deployment = platform.deploy(endpoint.id, new_model)
    assert platform.predict("rawPredict")[1]["predictions"][0]["from"].endswith("a" * 64)
    with pytest.raises(rest.GoogleError, match="has 100 % of the traffic"):
        VertexDeploymentProvider().delete(old, old_deployment)
    shifted = {**traffic, "deployed_model": new}
    outs = VertexTrafficProvider().update(endpoint.id, traffic, shifted).outs
    assert outs == {**shifted, "model_version": "b" * 64}
    assert platform.predict("rawPredict")[1]["predictions"][0]["from"].endswith("b" * 64)

    with pytest.raises(rest.GoogleError, match="Please undeploy them first"):
        VertexModelProvider().delete(old_model, old_props)
    VertexDeploymentProvider().delete(old, old_deployment)
    VertexModelProvider().delete(old_model, old_props)
    assert platform.predict("rawPredict")[0] == 200

    with pytest.raises(Refusal, match="has deployed or being-deployed"):
        platform.delete(endpoint)
    VertexTrafficProvider().delete(endpoint.id, shifted)
    assert platform.predict("rawPredict")[0] == 400
    VertexDeploymentProvider().delete(new, new_deployment)
    VertexModelProvider().delete(new_model, new_props)
    platform.delete(endpoint)


def test_models_and_deployments_are_listed_in_their_own_location(platform: Platform) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, _ = platform.upload(image, "a" * 64)
    deployed, _ = platform.deploy(endpoint.id, model)
    base = f"aiplatform/v1/{PLACE}"
    _, models = platform.call("GET", f"{base}/models")
    assert [each["name"] for each in models["models"]] == [model]
    _, endpoints = platform.call("GET", f"{base}/endpoints")
    assert [each["deployedModels"][0]["id"] for each in endpoints["endpoints"]] == [deployed]
    elsewhere = base.replace(REGION, "us-central1")
    assert platform.call("GET", f"{elsewhere}/models") == (200, {"models": []})
    assert platform.call("GET", f"{elsewhere}/endpoints") == (200, {"endpoints": []})


def test_a_repeated_create_finds_what_an_interrupted_one_created(platform: Platform) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, props = platform.upload(image, "a" * 64)
    assert VertexModelProvider().create(props).id == model
    deployed, outs = platform.deploy(endpoint.id, model)
    assert VertexDeploymentProvider().create(outs).id == deployed


def test_a_deployment_that_outlives_the_engine_is_waited_for(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, _ = platform.upload(image, "a" * 64)
    props = platform.deployment(endpoint.id, model)
    started = platform.under_way(monkeypatch)
    path = f"aiplatform/v1/{endpoint.id}:deployModel"
    assert platform.call("POST", path, deploy_request(props))[0] == 200
    assert started.wait(10)
    _, reported = platform.call("GET", f"aiplatform/v1/{endpoint.id}")
    assert reported["deployedModels"] == []
    with pytest.raises(Refusal, match="being-deployed"):
        platform.delete(endpoint)

    assert (
        VertexDeploymentProvider().create(props).id == deploy_request(props)["deployedModel"]["id"]
    )
    _, reported = platform.call("GET", f"aiplatform/v1/{endpoint.id}")
    assert [each["model"] for each in reported["deployedModels"]] == [model]


def test_a_deployment_that_fails_after_the_engine_is_gone_is_repeated(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, _ = platform.upload(image, "a" * 64)
    props = platform.deployment(endpoint.id, model)
    started = platform.under_way(monkeypatch, ContainerFailed("no machines"))
    path = f"aiplatform/v1/{endpoint.id}:deployModel"
    assert platform.call("POST", path, deploy_request(props))[0] == 200
    assert started.wait(10)
    VertexDeploymentProvider().create(props)
    _, reported = platform.call("GET", f"aiplatform/v1/{endpoint.id}")
    assert [each["model"] for each in reported["deployedModels"]] == [model]


def test_what_another_run_created_in_between_is_found(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, uploaded = platform.upload(image, "a" * 64)
    deployed, deployment = platform.deploy(endpoint.id, model)
    found, looked = rest.find, iter((None, None))
    monkeypatch.setattr(rest, "find", lambda url: next(looked, found(url)))
    assert VertexModelProvider().create(uploaded).id == model
    looked = iter((None, None))
    assert VertexDeploymentProvider().create(deployment).id == deployed


def test_a_read_reports_what_was_changed_by_hand(platform: Platform) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, props = platform.upload(image, "a" * 64)
    deployed, outs = platform.deploy(endpoint.id, model)
    assert VertexModelProvider().read(model, props).outs == props
    assert VertexDeploymentProvider().read(deployed, outs).outs == outs
    scaled = {**outs, "max_instances": 3.0}
    assert VertexDeploymentProvider().diff(deployed, outs, scaled).replaces == []
    VertexDeploymentProvider().update(deployed, outs, scaled)
    read = VertexDeploymentProvider().read(deployed, outs).outs
    assert read
    assert read["max_instances"] == 3
    traffic = {"region": REGION, "endpoint": endpoint.id, "deployed_model": deployed}
    VertexTrafficProvider().create(traffic)
    path = f"aiplatform/v1/{endpoint.id}:undeployModel"
    _, operation = platform.call("POST", path, {"deployedModelId": deployed})
    platform.finish(operation)
    assert VertexDeploymentProvider().read(deployed, outs).id == ""
    assert VertexTrafficProvider().read(endpoint.id, traffic).id == ""


def test_a_model_server_reads_its_model_and_nothing_else_of_the_lake(platform: Platform) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, _ = platform.upload(image, "a" * 64)
    deployed, _ = platform.deploy(endpoint.id, model)
    email = f"custom-online-prediction-123456789-{deployed}@{PROJECT}.iam.gserviceaccount.com"

    def may(permission: str, name: str) -> bool:
        on = storage.resource(platform.lake.id, name, "")
        return permissions.allowed(platform.context, email, permission, on)

    folder = f"models/flight-delay/{'a' * 64}"
    assert may("storage.objects.get", f"{folder}/model.onnx")
    assert not may("storage.objects.create", f"{folder}/model.onnx")
    assert not may("storage.objects.get", f"models/flight-delay/{'b' * 64}/model.onnx")
    assert not may("storage.objects.get", "captures/1.json")


def test_a_model_server_with_an_account_of_its_own_needs_the_agent_as_administrator(
    platform: Platform,
) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, _ = platform.upload(image, "a" * 64)
    props = platform.deployment(endpoint.id, model) | {"service_account": platform.builder}
    with pytest.raises(rest.GoogleError, match=r"iam\.serviceAccounts\.setIamPolicy"):
        VertexDeploymentProvider().create(props)
    agent = f"service-{platform.context.account.gcp_number(PROJECT)}@gcp-sa-aiplatform.iam.gserviceaccount.com"
    account = f"projects/{PROJECT}/serviceAccounts/{platform.builder}"
    platform.grant(
        iam.AccountMember.token, "roles/iam.serviceAccountAdmin", agent, serviceAccountId=account
    )
    VertexDeploymentProvider().create(props)


def test_a_model_that_does_not_start_is_not_deployed(platform: Platform) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, _ = platform.upload(image, "broken")
    with pytest.raises(rest.GoogleError, match="Model server exited unexpectedly"):
        platform.deploy(endpoint.id, model)


def test_a_prediction_needs_the_permission_on_its_endpoint(platform: Platform) -> None:
    image, endpoint = platform.build(), platform.endpoint()
    model, _ = platform.upload(image, "a" * 64)
    deployed, _ = platform.deploy(endpoint.id, model)
    traffic = {"region": REGION, "endpoint": endpoint.id, "deployed_model": deployed}
    VertexTrafficProvider().create(traffic)
    gateway = platform.account("gateway")
    status, answer = platform.predict("rawPredict", gateway)
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert "Permission 'aiplatform.endpoints.predict' denied" in answer["error"]["message"]
    role = platform.create(
        permissions.CUSTOM_ROLE,
        "predictor",
        roleId="predictor",
        title="p",
        permissions=["aiplatform.endpoints.predict"],
    )
    platform.grant(
        ENDPOINT_MEMBER, role.id, gateway, endpoint=endpoint.inputs["name"], location=REGION
    )
    status, answer = platform.predict("rawPredict", gateway)
    assert (status, answer["more"]) == (200, 1), "rawPredict passes the container's answer through"
    status, answer = platform.predict("predict", gateway)
    assert "more" not in answer
    assert answer["deployedModelId"] == deployed
    status, _ = platform.call("GET", f"aiplatform/v1/{endpoint.id}", caller=gateway)
    assert status == 403, "it may predict and nothing else"


def test_a_workload_reaches_only_its_zone_of_the_lake(platform: Platform) -> None:
    gateway = platform.account("gateway")
    platform.let_zone("roles/storage.objectCreator", gateway, "captures")
    store = platform.address(gateway)
    upload = f"{store}/upload/storage/v1/b/{platform.lake.id}/o?uploadType=media&name="
    assert platform.http.post(f"{upload}captures/a", content=b"a").status_code == 200
    refused = platform.http.post(f"{upload}models/a", content=b"a")
    assert refused.status_code == 403
    assert "does not have storage.objects.create access" in refused.json()["error"]["message"]
    read = f"{store}/storage/v1/b/{platform.lake.id}/o/captures%2Fa"
    assert platform.http.get(read).status_code == 403
    assert platform.http.delete(read).status_code == 403


def test_a_list_is_checked_by_the_prefix_that_it_requests(platform: Platform) -> None:
    listed = 'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
    reader = platform.account("reader")
    platform.grant(
        BUCKET_MEMBER,
        "roles/storage.objectViewer",
        reader,
        bucket=platform.lake.id,
        condition={"title": "b", "expression": f'{listed}.startsWith("builds/")'},
    )
    objects = f"{platform.address(reader)}/storage/v1/b/{platform.lake.id}/o"
    assert platform.http.get(f"{objects}?prefix=builds/").json()["items"]
    assert platform.http.get(f"{objects}?prefix=models/").status_code == 403
    assert platform.http.get(objects).status_code == 403


def test_the_metadata_server_gives_a_token_to_the_workload_of_the_account_only(
    platform: Platform,
) -> None:
    token_of = "/computeMetadata/v1/instance/service-accounts/default/token"
    flavor = {"metadata-flavor": "Google"}
    path = platform.address(platform.builder) + token_of
    assert platform.http.get(path).status_code == 403, "without the header it is a forged request"
    token = platform.http.get(path, headers=flavor).json()["access_token"]
    deployer = credentials.deployer(platform.context)
    secret = path.split("/")[4]
    for email in (platform.builder, deployer, platform.account("other")):
        for given in ("", "/", f"/{'0' * 64}", f"/{secret[:-1]}", "/é"):
            stranger = platform.http.get(f"/gcp/as/{email}{given}{token_of}", headers=flavor)
            assert stranger.status_code in (401, 404), (email, given)
        if email != platform.builder:
            another = platform.http.get(f"/gcp/as/{email}/{secret}{token_of}", headers=flavor)
            assert another.status_code == 404, email
    nobody = platform.http.get(platform.address(deployer) + token_of, headers=flavor)
    assert nobody.status_code == 404, "no machine runs as the project's owner"
    assert credentials.caller(platform.context, f"Bearer {token}") == platform.builder
    for forged in ("", "Bearer ", f"Bearer {token}x", "Bearer ya29.e30.00", "Bearer a.b.c"):
        with pytest.raises(Refusal, match="invalid authentication credentials"):
            credentials.caller(platform.context, forged)


def test_the_containers_of_a_former_version_get_addresses_with_a_secret(
    platform: Platform,
) -> None:
    context, email = platform.context, platform.builder
    here = context.base_url.removeprefix("http://")
    former = {
        "GCE_METADATA_HOST": f"{here}/gcp/as/{email}",
        "GCE_METADATA_IP": f"{here}/gcp/as/{email}",
        "STORAGE_EMULATOR_HOST": f"{context.base_url}/gcp/as/{email}",
    }
    users = {"GCE_METADATA_HOST": "metadata.example"}
    context.kv.put(CONTAINERS, "gateway", {"image": "i", "env": {**former, "OTHER": "1"}})
    context.kv.put(CONTAINERS, "users", {"image": "i", "env": users})
    routes.routes(context)
    renewed = {"OTHER": "1", **credentials.workload_environment(context, email)}
    assert context.kv.get(CONTAINERS, "gateway") == {"image": "i", "env": renewed}
    assert renewed["GCE_METADATA_HOST"] != former["GCE_METADATA_HOST"]
    assert context.kv.get(CONTAINERS, "users")["env"] == users
    for name in ("gateway", "users"):
        context.kv.delete(CONTAINERS, name)


def run(platform: Platform, image: str, email: str, **changes: Any) -> Record:
    """A Cloud Run service that gets a key from Secret Manager."""
    reference = {"secretKeyRef": {"secret": "key", "version": "1"}}
    template = {
        "serviceAccount": email,
        "containers": [{"image": image, "envs": [{"name": "API_KEY", "valueSource": reference}]}],
    }
    given = {"location": REGION, "template": template, "invokerIamDisabled": True, **changes}
    return platform.create(RUN, "gateway", **given)


def test_a_secrets_value_is_read_by_who_may_read_it_alone(platform: Platform) -> None:
    email = platform.account("gateway")
    secret = platform.create(SECRET, "key", secretId="key", replication={"auto": {}})
    for each in ("one", "two"):
        platform.create(SECRET_VERSION, each, secret=secret.id, secretData=f"key {each}")

    def read(version: str) -> tuple[int, Json]:
        name = f"{secret.outputs['name']}/versions/{version}"
        return platform.call("GET", f"secretmanager/v1/{name}:access", caller=email)

    status, refused = read("1")
    assert (status, refused["error"]["status"]) == (403, "PERMISSION_DENIED")
    platform.grant(SECRET_MEMBER, "roles/secretmanager.secretAccessor", email, secretId=secret.id)
    values = [base64.b64decode(read(v)[1]["payload"]["data"]) for v in ("1", "2", "latest")]
    assert values == [b"key one", b"key two", b"key two"]
    assert read("3")[0] == 404


def post(url: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, b"{}"), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_a_service_needs_its_image_and_secret_and_is_protected_from_deletion(
    platform: Platform,
) -> None:
    email = platform.account("gateway")
    secret = platform.create(SECRET, "key", secretId="key", replication={"auto": {}})
    platform.create(SECRET_VERSION, "one", secret=secret.id, secretData="a-key")
    with pytest.raises(Refusal, match="not found"):
        run(platform, f"{REGION}-docker.pkg.dev/{PROJECT}/images/platform@sha256:0", email)
    image = platform.build()
    with pytest.raises(Refusal, match=r"Permission denied on secret: .*/secrets/key/versions/1"):
        run(platform, image, email)
    platform.grant(SECRET_MEMBER, "roles/secretmanager.secretAccessor", email, secretId=secret.id)
    service = run(platform, image, email)
    assert post(service.outputs["uri"]) == (200, '{"predictions": [{"from": "a-key"}], "more": 1}')
    with pytest.raises(Refusal, match="deletion_protection=false"):
        platform.delete(service)
    closed = platform.update(service, invokerIamDisabled=False, deletionProtection=False)
    assert closed.outputs["uri"] == service.outputs["uri"]
    assert closed.outputs["latestReadyRevision"] == service.outputs["latestReadyRevision"]
    assert post(closed.outputs["uri"])[0] == 403
    platform.delete(closed)


@pytest.mark.parametrize(("billed", "status"), [(PROJECT, 200), ("another-project", 403)])
def test_a_request_is_billed_only_to_a_project_in_which_the_api_is_enabled(
    platform: Platform, billed: str, status: int
) -> None:
    token = credentials.token(platform.context, credentials.deployer(platform.context))
    headers = {"authorization": f"Bearer {token['access_token']}", "x-goog-user-project": billed}
    answer = platform.http.get(f"/gcp/aiplatform/v1/{PLACE}/models", headers=headers)
    assert answer.status_code == status, answer.text


def test_an_operation_that_ran_when_the_rehearsal_was_killed_has_failed(platform: Platform) -> None:
    name = f"{PLACE}/operations/1"
    platform.context.kv.put("gcp/operations", name, {"name": name})
    assert operations.get(platform.context, name)["error"]["code"] == 10


@pytest.mark.parametrize("missing", ["read the context", "push the image"])
def test_a_build_is_started_again_until_its_late_grant_is_in_force(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    def grant() -> Record:
        if missing == "read the context":
            return platform.let_zone("roles/storage.objectViewer", platform.builder, "builds")
        return platform.let("roles/artifactregistry.writer", platform.builder)

    platform.delete(platform.reading if missing == "read the context" else platform.pushing)
    builds = BuiltImageProvider.build
    started = []

    def build(self: BuiltImageProvider, props: Json) -> str:
        started.append(1)
        if len(started) == 3:
            grant()
        return builds(self, props)

    monkeypatch.setattr(dynamic, "LONGEST_GRANT_SECONDS", 30)
    monkeypatch.setattr(BuiltImageProvider, "build", build)
    assert "@sha256:" in platform.build()
    assert len(started) == 3


def test_a_build_whose_grant_never_comes_fails_with_what_was_denied(platform: Platform) -> None:
    platform.delete(platform.pushing)
    with pytest.raises(BuildFailed, match=r"uploadArtifacts\" denied on resource"):
        platform.build()
