"""What the dynamic resources of Google Cloud ask of Vertex AI, and what they make of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components import dynamic
from components.built_image import BuildFailed
from components.dynamic import Props, Provider
from components.gcp import rest
from components.gcp.dynamic.built_image import BuiltImageProvider
from components.gcp.dynamic.vertex_deployment import VertexDeploymentProvider
from components.gcp.dynamic.vertex_model import VertexModelProvider
from components.gcp.dynamic.vertex_traffic import VertexTrafficProvider
from components.gcp.vertex_ids import deployment_id, model_name

BASE = "https://europe-west1-aiplatform.googleapis.com/v1/"
PLACE = "projects/p/locations/europe-west1"
ENDPOINT = f"{PLACE}/endpoints/1"
MODEL: Props = {
    "project": "p",
    "region": "europe-west1",
    "display_name": "flights",
    "image": "image@sha256:1",
    "artifact_uri": "gs://lake/models/v7/",
    "labels": {"team": "a"},
}
DEPLOYMENT: Props = {
    "region": "europe-west1",
    "endpoint": ENDPOINT,
    "model": model_name(MODEL),
    "machine": "n1-standard-2",
    "min_instances": 1.0,
    "max_instances": 3.0,
    "service_account": "serving@p",
}
TRAFFIC: Props = {"region": "europe-west1", "endpoint": ENDPOINT, "deployed_model": "7"}
STORED = {
    "displayName": "flights",
    "artifactUri": "gs://lake/models/v7/",
    "containerSpec": {"imageUri": "image@sha256:1"},
    "labels": {"team": "a"},
}
RUNNING = {
    "id": "7",
    "model": f"{PLACE}/models/m",
    "serviceAccount": "serving@p",
    "dedicatedResources": {
        "machineSpec": {"machineType": "n1-standard-2"},
        "minReplicaCount": 1,
        "maxReplicaCount": 3,
    },
}
Request = tuple[str, str, Any]


class Vertex:
    """Vertex AI: resources by name, and operations that are done when they are asked for again."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.unfinished: list[str] = []
        """Names of operations of whatever owner, each listed as unfinished once."""
        self.error: dict[str, Any] | None = None
        """What the next operation ends with."""
        self.changes: list[Request] = []
        self.created: dict[str, dict[str, Any]] = {}
        """What exists once an operation is done."""
        self.begun: dict[str, dict[str, Any]] = {}
        """What exists once the unfinished operations are done."""

    def call(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        assert url.startswith(BASE)
        name = url.removeprefix(BASE)
        if method != "GET":
            self.changes.append((method, name, body))
            return {"name": "operations/9"} if "updateMask" not in name else self.patched(name)
        if name == "operations/9":
            self.resources |= self.created
            return {"name": name, "done": True, **({"error": self.error} if self.error else {})}
        if name.endswith("/operations"):
            listed = [{"name": each} for each in self.unfinished]
            self.unfinished = []
            self.resources |= {} if listed else self.begun
            return {"operations": listed}
        if name not in self.resources:
            raise rest.GoogleError(404, name)
        return self.resources[name]

    def patched(self, name: str) -> dict[str, Any]:
        return self.resources.get(name.partition("?")[0], {})


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vertex]:
    monkeypatch.delenv("GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT", raising=False)
    vertex = Vertex()
    monkeypatch.setattr(rest, "call", vertex.call)
    monkeypatch.setattr(dynamic.time, "sleep", lambda _seconds: None)
    return vertex


def created(provider: Provider, props: Props) -> tuple[str, Props]:
    result = provider.create(props)
    return str(result.id), dict(result.outs or {})


def found(provider: Provider, id_: str, props: Props) -> Props:
    result = provider.read(id_, props)
    return dict(result.outs or {})


# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/upload
def test_a_model_is_uploaded_with_its_image_artifact_and_routes(vertex: Vertex) -> None:
    name = model_name(MODEL)
    assert created(VertexModelProvider(), MODEL) == (name, MODEL)
    [(method, path, body)] = vertex.changes
    assert (method, path) == ("POST", f"{PLACE}/models:upload")
    assert body["modelId"] == name.rpartition("/")[2]
    assert body["model"] == {
        "displayName": "flights",
        "artifactUri": "gs://lake/models/v7/",
        "containerSpec": {
            "imageUri": "image@sha256:1",
            "args": ["serve"],
            "ports": [{"containerPort": 8080}],
            "predictRoute": "/predict",
            "healthRoute": "/healthz",
        },
        "labels": {"team": "a"},
    }


def test_a_model_that_exists_already_is_not_uploaded_again(vertex: Vertex) -> None:
    vertex.resources[model_name(MODEL)] = STORED
    assert created(VertexModelProvider(), MODEL)[0] == model_name(MODEL)
    assert vertex.changes == []


def test_an_upload_that_another_run_began_is_waited_for(vertex: Vertex) -> None:
    vertex.begun = {model_name(MODEL): STORED}
    vertex.unfinished = ["operations/8"]
    created(VertexModelProvider(), MODEL)
    assert vertex.changes == []


def test_an_upload_that_fails_gives_googles_reason(vertex: Vertex) -> None:
    vertex.error = {"code": 3, "message": "no such image"}
    with pytest.raises(rest.GoogleError, match=r"upload of model flights-.*: no such image"):
        created(VertexModelProvider(), MODEL)


def test_another_run_that_was_faster_has_created_the_model(vertex: Vertex) -> None:
    vertex.error = {"code": 6, "message": "it exists"}
    vertex.created = {model_name(MODEL): STORED}
    assert created(VertexModelProvider(), MODEL)[0] == model_name(MODEL)
    vertex.resources, vertex.created = {}, {}
    with pytest.raises(rest.GoogleError, match="it exists"):
        created(VertexModelProvider(), MODEL)


def test_a_model_is_read_as_it_is_there(vertex: Vertex) -> None:
    vertex.resources["m"] = {
        **STORED,
        "displayName": "by hand",
        "labels": {"x": "y"},
        "artifactUri": "gs://other",
        "containerSpec": {"imageUri": "other"},
    }
    assert found(VertexModelProvider(), "m", MODEL) == {
        **MODEL,
        "display_name": "by hand",
        "labels": {"x": "y"},
        "artifact_uri": "gs://other",
        "image": "other",
    }
    del vertex.resources["m"]["labels"]
    assert found(VertexModelProvider(), "m", MODEL)["labels"] == {}


@pytest.mark.parametrize(
    ("provider", "props"),
    [
        (VertexModelProvider(), MODEL),
        (VertexDeploymentProvider(), DEPLOYMENT),
        (VertexTrafficProvider(), TRAFFIC),
    ],
)
def test_what_is_gone_is_read_as_gone_and_its_deletion_does_nothing(
    provider: Provider, props: Props, vertex: Vertex
) -> None:
    result = provider.read("gone", props)
    assert (result.id, result.outs) == ("", {})
    provider.delete("gone", props)
    assert vertex.changes == []


def test_names_and_labels_of_a_model_are_changed_in_place(vertex: Vertex) -> None:
    assert VertexModelProvider().update("m", {}, MODEL).outs == MODEL
    body = {"name": "m", "displayName": "flights", "labels": {"team": "a"}}
    assert vertex.changes == [("PATCH", "m?updateMask=displayName,labels", body)]


def test_a_model_is_deleted_once_nothing_is_under_way(vertex: Vertex) -> None:
    vertex.resources["m"] = STORED
    vertex.unfinished = ["operations/8"]
    VertexModelProvider().delete("m", MODEL)
    assert vertex.changes == [("DELETE", "m", None)]
    assert vertex.unfinished == []


# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/deployModel
def test_a_model_is_deployed_on_its_machines_without_traffic(vertex: Vertex) -> None:
    vertex.resources[ENDPOINT] = {}
    deployed = deployment_id(DEPLOYMENT)
    assert created(VertexDeploymentProvider(), DEPLOYMENT) == (deployed, DEPLOYMENT)
    body = {
        "deployedModel": {
            "id": deployed,
            "model": model_name(MODEL),
            "displayName": model_name(MODEL).rpartition("/")[2],
            "dedicatedResources": {
                "machineSpec": {"machineType": "n1-standard-2"},
                "minReplicaCount": 1,
                "maxReplicaCount": 3,
            },
            "serviceAccount": "serving@p",
        }
    }
    assert vertex.changes == [("POST", f"{ENDPOINT}:deployModel", body)]


def test_a_deployment_that_exists_already_is_not_begun_again(vertex: Vertex) -> None:
    vertex.resources[ENDPOINT] = {"deployedModels": [{"id": deployment_id(DEPLOYMENT)}]}
    created(VertexDeploymentProvider(), DEPLOYMENT)
    assert vertex.changes == []


def test_a_deployment_is_read_as_it_is_there(vertex: Vertex) -> None:
    vertex.resources[ENDPOINT] = {"deployedModels": [{"id": "6"}, RUNNING]}
    assert found(VertexDeploymentProvider(), "7", DEPLOYMENT) == DEPLOYMENT
    other = {
        "machineSpec": {"machineType": "n1-standard-4"},
        "minReplicaCount": 2,
        "maxReplicaCount": 5,
    }
    vertex.resources[ENDPOINT] = {"deployedModels": [{"id": "7", "dedicatedResources": other}]}
    assert found(VertexDeploymentProvider(), "7", DEPLOYMENT) == {
        **DEPLOYMENT,
        "machine": "n1-standard-4",
        "min_instances": 2,
        "max_instances": 5,
        "service_account": "",
    }
    assert found(VertexDeploymentProvider(), "8", DEPLOYMENT) == {}


# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/mutateDeployedModel
def test_a_deployment_is_scaled_in_place(vertex: Vertex) -> None:
    assert VertexDeploymentProvider().update("7", {}, DEPLOYMENT).outs == DEPLOYMENT
    body = {
        "deployedModel": {
            "id": "7",
            "dedicatedResources": {"minReplicaCount": 1, "maxReplicaCount": 3},
        },
        "updateMask": "dedicatedResources.minReplicaCount,dedicatedResources.maxReplicaCount",
    }
    assert vertex.changes == [("POST", f"{ENDPOINT}:mutateDeployedModel", body)]


def test_a_deployment_is_taken_away_once_nothing_is_under_way(vertex: Vertex) -> None:
    vertex.resources[ENDPOINT] = {"deployedModels": [RUNNING]}
    vertex.unfinished = ["operations/8"]
    VertexDeploymentProvider().delete("7", DEPLOYMENT)
    assert vertex.changes == [("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": "7"})]
    assert vertex.unfinished == []


def serving(vertex: Vertex, **split: int) -> None:
    vertex.resources[ENDPOINT] = {"deployedModels": [RUNNING], "trafficSplit": split}
    vertex.resources[f"{PLACE}/models/m"] = STORED


def test_all_traffic_goes_to_one_deployment_and_its_version_is_reported(vertex: Vertex) -> None:
    serving(vertex)
    assert created(VertexTrafficProvider(), TRAFFIC) == (
        ENDPOINT,
        {**TRAFFIC, "model_version": "v7"},
    )
    body = {"name": ENDPOINT, "trafficSplit": {"7": 100}}
    assert vertex.changes == [("PATCH", f"{ENDPOINT}?updateMask=trafficSplit", body)]
    assert VertexTrafficProvider().update("", {}, TRAFFIC).outs == {
        **TRAFFIC,
        "model_version": "v7",
    }


def test_traffic_for_a_deployment_that_is_lost_is_an_error(vertex: Vertex) -> None:
    serving(vertex)
    with pytest.raises(rest.GoogleError, match=f"{ENDPOINT} lost 8") as caught:
        created(VertexTrafficProvider(), {**TRAFFIC, "deployed_model": "8"})
    assert caught.value.status == 404


def test_traffic_that_was_split_by_hand_is_read_as_a_difference(vertex: Vertex) -> None:
    provider = VertexTrafficProvider()
    serving(vertex, **{"7": 100, "6": 0})
    assert found(provider, ENDPOINT, TRAFFIC) == {**TRAFFIC, "model_version": "v7"}
    serving(vertex, **{"7": 90, "6": 10})
    assert found(provider, ENDPOINT, TRAFFIC) == {**TRAFFIC, "deployed_model": "6 7"}
    serving(vertex)
    assert found(provider, ENDPOINT, TRAFFIC) == {}


def test_traffic_is_taken_from_an_endpoint_before_what_serves_it_goes(vertex: Vertex) -> None:
    serving(vertex)
    VertexTrafficProvider().delete(ENDPOINT, TRAFFIC)
    body = {"name": ENDPOINT, "trafficSplit": {}}
    assert vertex.changes == [("PATCH", f"{ENDPOINT}?updateMask=trafficSplit", body)]


@pytest.mark.parametrize(
    ("error", "denied"),
    [
        (rest.GoogleError(403, "no"), True),
        (rest.GoogleError(400, "Service agents are being provisioned"), True),
        (rest.GoogleError(0, "a does not have storage.objects.get access"), True),
        (rest.GoogleError(400, "no such image"), False),
        (ValueError("permission"), False),
    ],
)
def test_a_missing_grant_is_recognised_by_googles_code_or_words(
    error: Exception, denied: bool
) -> None:
    assert rest.is_denied(error) is denied


@pytest.mark.parametrize(("status", "waits"), [(403, False), (404, False), (500, True)])
def test_operations_that_may_not_be_listed_are_not_waited_for(
    status: int, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise rest.GoogleError(status, "no")

    monkeypatch.setattr(rest, "call", refuse)
    if waits:
        with pytest.raises(rest.GoogleError):
            rest.wait_for_operations(BASE, "owner", what="it", seconds=1)
    else:
        rest.wait_for_operations(BASE, "owner", what="it", seconds=1)


def test_a_list_is_read_to_its_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {
        "url": {"things": [{"n": 1}], "nextPageToken": "a/b"},
        "url?pageToken=a/b": {"nextPageToken": "c"},
        "url?pageToken=c": {"things": [{"n": 2}], "nextPageToken": ""},
    }
    monkeypatch.setattr(rest, "call", lambda _method, url: pages[url])
    assert list(rest.listed("url", "things")) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("url", "variable", "default"),
    [
        (rest.cloud_build_url, "CLOUD_BUILD", "https://cloudbuild.googleapis.com/v1/"),
        (rest.artifact_registry_url, "ARTIFACT_REGISTRY", "https://artifactregistry.googleapis.com/v1/"),
        (rest.secret_manager_url, "SECRET_MANAGER", "https://secretmanager.googleapis.com/v1/"),
        (rest.cloud_run_url, "CLOUD_RUN_V2", "https://run.googleapis.com/v2/"),
        (rest.iam_url, "IAM", "https://iam.googleapis.com/v1/"),
        (rest.resource_manager_url, "RESOURCE_MANAGER_V3", "https://cloudresourcemanager.googleapis.com/v3/"),
        (rest.service_usage_url, "SERVICE_USAGE", "https://serviceusage.googleapis.com/v1/"),
        (rest.billing_url, "BILLING", "https://cloudbilling.googleapis.com/v1/"),
        (lambda: rest.vertex_url("r"), "VERTEX_AI", "https://r-aiplatform.googleapis.com/v1/"),
    ],
)  # fmt: skip
def test_an_api_has_googles_address_unless_the_providers_variable_names_another(
    url: Any, variable: str, default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"GOOGLE_{variable}_CUSTOM_ENDPOINT", raising=False)
    assert url() == default
    monkeypatch.setenv(f"GOOGLE_{variable}_CUSTOM_ENDPOINT", "http://127.0.0.1/v1/")
    assert url() == "http://127.0.0.1/v1/"


def test_quotas_are_in_another_version_of_service_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT", raising=False)
    assert rest.service_usage_url("v1beta1") == "https://serviceusage.googleapis.com/v1beta1/"


IMAGE: Props = {
    "project": "p",
    "region": "europe-west1",
    "repository": "europe-west1-docker.pkg.dev/p/images/gateway",
    "tag": "t",
    "arguments": {},
    "bucket": "lake",
    "context": "a.tar.gz",
    "service_account": "builder@p",
}
BUILDS = "https://cloudbuild.googleapis.com/v1/projects/p/locations/europe-west1/builds"


def test_the_digest_of_an_image_is_that_of_its_tag_in_artifact_registry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = "https://artifactregistry.googleapis.com/v1/projects/p/locations/europe-west1"
    tags = {f"{base}/repositories/images/packages/gateway/tags/t": {"version": "versions/sha256:1"}}
    monkeypatch.setattr(rest, "find", tags.get)
    assert BuiltImageProvider().digest(IMAGE) == "sha256:1"
    assert BuiltImageProvider().digest({**IMAGE, "tag": "u"}) is None


def build(monkeypatch: pytest.MonkeyPatch, *builds: dict[str, Any]) -> str:
    """The digest of an image whose build has these states."""
    states = list(builds)

    def call(method: str, url: str, body: Any = None) -> dict[str, Any]:
        if method == "POST":
            assert (url, body["images"]) == (BUILDS, [f"{IMAGE['repository']}:t"])
            return {"metadata": {"build": {"id": "b-1"}}}
        assert url == f"{BUILDS}/b-1"
        return states.pop(0)

    monkeypatch.setattr(rest, "call", call)
    monkeypatch.setattr(dynamic.time, "sleep", lambda _seconds: None)
    return BuiltImageProvider().build(IMAGE)


def test_an_image_is_built_and_pinned_by_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = [{"status": state} for state in ("PENDING", "QUEUED", "WORKING")]
    done = {"status": "SUCCESS", "results": {"images": [{"digest": "sha256:1"}]}}
    assert build(monkeypatch, *waits, done) == "sha256:1"


# https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#failuretype
@pytest.mark.parametrize(
    ("failure", "detail", "denied"),
    [
        ({"type": "FETCH_SOURCE_FAILED", "detail": "no source"}, "why", True),
        ({"type": "LOGGING_FAILURE"}, "why", True),
        ({"type": "PUSH_NOT_AUTHORIZED"}, None, True),
        ({"type": "USER_BUILD_STEP", "detail": "permission denied"}, None, False),
        ({"type": "PUSH_FAILED", "detail": "Permission missing"}, "why", True),
        ({"type": "PUSH_FAILED"}, "no such image", False),
    ],
)
def test_a_failed_build_gives_cloud_builds_reason_and_whether_a_grant_is_missing(
    failure: dict[str, str], detail: str | None, denied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"status": "FAILURE", "failureInfo": failure, "statusDetail": detail, "logUrl": "log"}
    texts = " ".join(text for text in (failure.get("detail"), detail) if text)
    reason = f"^Cloud Build of {IMAGE['repository']}:t: FAILURE. {texts} Log: log$"
    with pytest.raises(BuildFailed, match=reason) as caught:
        build(monkeypatch, result)
    assert caught.value.denied is denied


@pytest.mark.parametrize(("status", "denied"), [(403, True), (400, False)])
def test_a_build_that_cannot_be_started_tells_whether_a_grant_is_missing(
    status: int, denied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise rest.GoogleError(status, "the reason")

    monkeypatch.setattr(rest, "call", refuse)
    with pytest.raises(BuildFailed, match="the reason") as caught:
        BuiltImageProvider().build(IMAGE)
    assert caught.value.denied is denied
