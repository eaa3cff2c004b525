"""What the dynamic resources of Azure ask, and what they make of the answers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.identity
import azure.storage.blob
import pytest
import requests
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)

from components import dynamic
from components.azure import arm, login_server
from components.azure.dynamic import blob_folder, built_image
from components.azure.dynamic.blob_folder import BlobFolderProvider
from components.azure.dynamic.built_image import BuiltImageProvider
from components.built_image import BuildFailed
from components.dynamic import Props

REGISTRY = "/subscriptions/s/registries/r"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamic.time, "sleep", lambda _seconds: None)


class Response:
    """What `requests` returns."""

    def __init__(self, status: int, body: Any = None, **headers: str) -> None:
        self.status_code, self.headers = (
            status,
            {k.replace("_", "-"): v for k, v in headers.items()},
        )
        self.body, self.ok = body, status < 400
        self.content = body if isinstance(body, bytes) else b""
        self.text, self.url, self.request = str(body), "the-url", SimpleNamespace(method="POST")

    def json(self) -> Any:
        return self.body


class Sent:
    """The requests of a session, and the answers to them."""

    def __init__(self, *answers: Response) -> None:
        self.answers, self.requests = list(answers), list[tuple[str, str, dict[str, Any]]]()

    def __getattr__(self, method: str) -> Any:
        def send(url: str, **options: Any) -> Response:
            assert 0 < options.pop("timeout") <= 60
            self.requests.append((method, url, options))
            return self.answers.pop(0)

        return send


def sent(monkeypatch: pytest.MonkeyPatch, *answers: Response) -> Sent:
    found = Sent(*answers)
    monkeypatch.setattr(arm, "session", lambda: nullcontext(found))
    token = SimpleNamespace(get_token=lambda scope: SimpleNamespace(token=f"entra {scope}"))
    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", lambda: nullcontext(token))
    return found


# https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
def test_the_answer_of_an_action_is_read_at_its_address_as_late_as_azure_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [
        Response(202, Location="https://later", Retry_After="7"),
        Response(202, Location="https://later"),
        Response(200, {"it": 1}),
    ]
    asked, pauses = list[tuple[Any, ...]](), list[float]()

    def send(*arguments: Any) -> Response:
        asked.append(arguments)
        return answers.pop(0)

    monkeypatch.setattr(arm, "_send", send)
    monkeypatch.setattr(arm.time, "sleep", pauses.append)
    assert arm.post("/it/act", "2023", {"a": 1}) == {"it": 1}
    assert asked == [("POST", "/it/act", {"a": 1}, "2023"), *[("GET", "https://later")] * 2]
    assert pauses == [7, arm.BUSY_PAUSE]


def test_an_action_on_what_does_not_exist_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm, "_send", lambda *_: Response(404))
    assert arm.post("/it/act", "2023") is None


@pytest.mark.parametrize(
    ("body", "message"),
    [({"error": {"code": "C", "message": "m"}}, "POST the-url: 400 C: m"), (["x"], "400 .'x'")],
)
def test_a_bad_answer_is_an_error_with_azures_code_and_message(
    body: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm, "_send", lambda *_: Response(400, body))
    with pytest.raises(arm.ResourceManagerError, match=message) as caught:
        arm.post("/it/act", "2023")
    assert caught.value.status == 400


def test_a_list_is_read_to_its_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {
        "/all": {"value": [1], "nextLink": "https://next"},
        "https://next": {"nextLink": "https://last"},
        "https://last": {"value": [2]},
    }
    monkeypatch.setattr(arm, "_send", lambda _method, url, **_: Response(200, pages[url]))
    assert list(arm.listed("/all")) == [1, 2]
    monkeypatch.setattr(arm, "_send", lambda *_, **__: Response(404))
    assert list(arm.listed("/all")) == []


@pytest.mark.parametrize(("host", "asked"), [(None, "management.azure.com"), ("gov", "gov")])
def test_the_resource_manager_and_its_tokens_are_those_of_the_cloud_that_is_named(
    host: str | None, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARM_METADATA_HOSTNAME", raising=False)
    if host:
        monkeypatch.setenv("ARM_METADATA_HOSTNAME", host)
    cloud = {
        "resourceManager": "https://manager/",
        "authentication": {"audiences": ["https://old/", "https://new/"]},
    }
    session = sent(monkeypatch, Response(200, cloud))
    assert arm._cloud() == ("https://manager", "https://new")
    options = {"params": {"api-version": "2022-09-01"}}
    assert session.requests == [("get", f"https://{asked}/metadata/endpoints", options)]


# https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
def test_a_digest_is_asked_for_with_a_token_that_may_only_pull_from_its_repository(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = sent(
        monkeypatch,
        Response(200, {"refresh_token": "refresh"}),
        Response(200, {"access_token": "access"}),
        Response(200, Docker_Content_Digest="sha256:1"),
    )
    assert login_server.digest("r.azurecr.io", "triplane", "t") == "sha256:1"
    exchange, token, head = session.requests
    assert exchange == (
        "post",
        "https://r.azurecr.io/oauth2/exchange",
        {
            "data": {
                "service": "r.azurecr.io",
                "grant_type": "access_token",
                "access_token": "entra https://containerregistry.azure.net/.default",
            }
        },
    )
    assert token == (
        "post",
        "https://r.azurecr.io/oauth2/token",
        {
            "data": {
                "service": "r.azurecr.io",
                "grant_type": "refresh_token",
                "refresh_token": "refresh",
                "scope": "repository:triplane:pull",
            }
        },
    )
    assert head[:2] == ("head", "https://r.azurecr.io/v2/triplane/manifests/t")
    assert head[2]["headers"]["Authorization"] == "Bearer access"
    # An image of any of these is found: https://github.com/opencontainers/image-spec/blob/main/media-types.md
    assert set(head[2]["headers"]["Accept"].split(", ")) == {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }


def test_an_image_that_does_not_exist_has_no_digest_and_a_refusal_names_the_permission(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = Response(200, {"refresh_token": "r"}), Response(200, {"access_token": "a"})
    sent(monkeypatch, *tokens, Response(404))
    assert login_server.digest("r.azurecr.io", "triplane", "t") is None
    sent(monkeypatch, *tokens, Response(403))
    with pytest.raises(RuntimeError, match=r"403 for triplane:t.*registries/pull/read"):
        login_server.digest("r.azurecr.io", "triplane", "t")
    sent(monkeypatch, Response(401, "who?"))
    with pytest.raises(RuntimeError, match=r"r.azurecr.io answers 401 .*who\?"):
        login_server.digest("r.azurecr.io", "triplane", "t")


IMAGE: Props = {
    "registry": REGISTRY,
    "repository": "r.azurecr.io/triplane",
    "tag": "t",
    "arguments": {"A": "1"},
    "image": None,
}


class Registry:
    """A registry's tasks: the runs, one state after another."""

    def __init__(self, *states: dict[str, Any] | None) -> None:
        self.states, self.posted = list(states), list[tuple[str, str, Any]]()
        self.asked: list[str] = []

    def get(self, resource: str, version: str) -> dict[str, Any] | None:
        if resource == REGISTRY:
            return {"properties": {"loginServer": "r.azurecr.io"}}
        assert (resource, version) == (f"{REGISTRY}/runs/run-1", "2019-06-01-preview")
        state = self.states.pop(0)
        return None if state is None else {"properties": state}

    def post(self, resource: str, version: str, body: Any = None) -> dict[str, Any] | None:
        self.posted.append((resource, version, body))
        match resource.rpartition("/")[2]:
            case "listBuildSourceUploadUrl":
                return {"uploadUrl": "https://store/a?signature", "relativePath": "a.tar.gz"}
            case "scheduleRun":
                return {"properties": {"runId": "run-1"}}
        return {"logLink": "https://log?signature"}


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, bool]]:
    found: list[tuple[str, bytes, bool]] = []

    def client(url: str) -> SimpleNamespace:
        return SimpleNamespace(
            upload_blob=lambda content, overwrite: found.append((url, content, overwrite))
        )

    blob_client = SimpleNamespace(from_blob_url=client)
    monkeypatch.setattr(azure.storage.blob, "BlobClient", blob_client)
    monkeypatch.setattr(built_image.build_context, "packed", lambda folder: str(folder).encode())
    return found


def tasks(monkeypatch: pytest.MonkeyPatch, *states: dict[str, Any] | None) -> Registry:
    registry = Registry(*states)
    monkeypatch.setattr(arm, "get", registry.get)
    monkeypatch.setattr(arm, "post", registry.post)
    return registry


# https://learn.microsoft.com/rest/api/containerregistry-tasks/registries/schedule-run
def test_an_image_is_built_from_its_uploaded_context(
    uploads: list[tuple[str, bytes, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = {"status": "Succeeded", "outputImages": [{"digest": "sha256:1"}]}
    waits = [{"status": state} for state in ("Queued", "Started", "Running")]
    registry = tasks(monkeypatch, None, *waits, done)
    assert BuiltImageProvider().build({**IMAGE, "context": "folder"}) == "sha256:1"
    assert uploads == [("https://store/a?signature", b"folder", True)]
    where, run = registry.posted
    assert where == (f"{REGISTRY}/listBuildSourceUploadUrl", "2019-06-01-preview", None)
    assert run[:2] == (f"{REGISTRY}/scheduleRun", "2019-06-01-preview")
    assert run[2]["sourceLocation"] == "a.tar.gz"
    assert run[2]["imageNames"] == ["triplane:t"]


@pytest.mark.parametrize(
    ("result", "log", "reason"),
    [
        ({"runErrorMessage": "no space"}, Response(200, b"1\n2"), "ended as Failed: no space.\n  1\n  2"),
        ({}, Response(200, b"\n".join(b"%d" % n for n in range(30))), "no reason is given.\n  10\n.*29$"),
        ({}, Response(403, b"signature"), "ended as Failed: no reason is given.$"),
    ],
)  # fmt: skip
def test_a_failed_run_gives_its_reason_and_the_end_of_its_log_but_no_signed_link(
    result: dict[str, Any],
    log: Response,
    reason: str,
    uploads: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks(monkeypatch, {"status": "Failed", **result})
    session = sent(monkeypatch, log)
    with pytest.raises(
        BuildFailed, match=f"(?s)^run run-1 of r.azurecr.io/triplane:t .*{reason}"
    ) as caught:
        BuiltImageProvider().build({**IMAGE, "context": "folder"})
    assert session.requests == [("get", "https://log?signature", {})]
    assert "signature" not in str(caught.value)


def test_a_log_that_cannot_be_read_hides_no_reason(
    uploads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tasks(monkeypatch, {"status": "Failed", "runErrorMessage": "no space"})

    def refuse(resource: str, version: str, body: Any = None) -> dict[str, Any] | None:
        if resource.endswith("listLogSasUrl"):
            raise arm.ResourceManagerError(403, "no")
        return registry.post(resource, version, body)

    monkeypatch.setattr(arm, "post", refuse)
    with pytest.raises(BuildFailed, match=r"no space\.$"):
        BuiltImageProvider().build({**IMAGE, "context": "folder"})


def test_a_refused_upload_of_the_context_shows_no_signed_link(
    uploads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_content: bytes, overwrite: bool) -> None:
        raise ServiceRequestError("https://store/a?signature")

    tasks(monkeypatch)
    client = SimpleNamespace(from_blob_url=lambda _: SimpleNamespace(upload_blob=refuse))
    monkeypatch.setattr(azure.storage.blob, "BlobClient", client)
    with pytest.raises(BuildFailed, match=r"not uploaded to store: ServiceRequestError$"):
        BuiltImageProvider().build({**IMAGE, "context": "folder"})


def test_a_build_in_a_registry_that_is_gone_is_an_error(
    uploads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm, "post", lambda *_: None)
    with pytest.raises(BuildFailed, match="there is no such registry"):
        BuiltImageProvider().build({**IMAGE, "context": "folder"})


@pytest.mark.parametrize(
    ("image", "reference"), [(None, "t"), ("r.azurecr.io/triplane@sha256:1", "sha256:1")]
)
def test_a_known_image_is_asked_for_by_its_digest_because_a_tag_can_be_moved(
    image: str | None, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks(monkeypatch)
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(login_server, "digest", lambda *of: asked.append(of) or "sha256:1")
    assert BuiltImageProvider().digest({**IMAGE, "image": image}) == "sha256:1"
    assert asked == [("r.azurecr.io", "triplane", reference)]
    monkeypatch.setattr(arm, "get", lambda *_: None)
    assert BuiltImageProvider().digest(IMAGE) is None


class Container:
    """A container of blobs; each call fails first with the errors that are left."""

    def __init__(self) -> None:
        self.blobs: dict[str, dict[str, str] | None] = {}
        self.written: list[tuple[str, bytes]] = []
        self.errors: list[Exception] = []

    def list_blobs(self, name_starts_with: str, include: list[str]) -> list[Any]:
        assert include == ["metadata"], "without it there is no hash to compare"
        if self.errors:
            raise self.errors.pop(0)
        return [
            SimpleNamespace(name=name, metadata=metadata)
            for name, metadata in self.blobs.items()
            if name.startswith(name_starts_with)
        ]

    def upload_blob(
        self, name: str, content: bytes, overwrite: bool, metadata: dict[str, str]
    ) -> None:
        assert overwrite
        self.written.append((name, content))
        self.blobs[name] = metadata


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Container:
    found = Container()
    monkeypatch.setattr(blob_folder, "_client", lambda _props: found)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Props:
    files = {"a": b"1", "b": b"2"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return {
        "account_url": "https://account",
        "container": "lake",
        "prefix": "models/v7",
        "directory": os.fspath(tmp_path),
        "files": hashes(files),
    }


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def denied(status: int) -> HttpResponseError:
    error = HttpResponseError("no")
    error.status_code = status
    return error


def test_missing_and_different_files_are_uploaded_with_their_hash(
    container: Container, folder: Props
) -> None:
    container.blobs = {
        "models/v7/a": {"sha256": folder["files"]["a"]},
        "models/v7/b": {"sha256": "another"},
        "models/v70/b": None,
    }
    created = BlobFolderProvider().create(folder)
    assert (created.id, created.outs) == ("https://account/lake/models/v7", folder)
    assert container.written == [("models/v7/b", b"2")]
    assert container.blobs["models/v7/b"] == {"sha256": folder["files"]["b"]}
    del container.blobs["models/v7/a"]
    assert BlobFolderProvider().update("", {}, folder).outs == folder
    assert container.written[1:] == [("models/v7/a", b"1")]


def test_an_upload_waits_for_its_permission_and_for_nothing_else(
    container: Container, folder: Props
) -> None:
    container.errors = [denied(403), denied(403)]
    BlobFolderProvider().create(folder)
    assert len(container.written) == 2
    container.errors = [denied(500)]
    with pytest.raises(HttpResponseError):
        BlobFolderProvider().create(folder)


def test_blobs_are_read_as_they_are_there(container: Container, folder: Props) -> None:
    container.blobs = {"models/v7/a": {"sha256": "1"}, "models/v7/c": None}
    found = BlobFolderProvider().read("id", folder)
    assert (found.id, found.outs) == ("id", {**folder, "files": {"a": "1", "c": ""}})
    container.blobs = {}
    assert BlobFolderProvider().read("id", folder).id == ""


def test_without_a_container_the_blobs_are_gone(container: Container, folder: Props) -> None:
    container.errors = [ResourceNotFoundError("no")]
    assert BlobFolderProvider().read("id", folder).id == ""


def test_a_host_that_does_not_answer_is_a_deleted_account_only_if_resource_manager_knows_none(
    container: Container, folder: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {**folder, "container_id": "/the-container"}
    for props, exists, gone in ((known, False, True), (known, True, False), (folder, False, False)):
        container.errors = [ServiceRequestError("no host")]
        monkeypatch.setattr(arm, "get", lambda id_, _, there=exists: {"id": id_} if there else None)
        if gone:
            assert BlobFolderProvider().read("id", props).id == ""
        else:
            with pytest.raises(ServiceRequestError):
                BlobFolderProvider().read("id", props)


def test_blobs_that_may_not_be_read_are_left_as_they_are_known(
    container: Container, folder: Props
) -> None:
    container.errors = [denied(403)]
    found = BlobFolderProvider().read("id", folder)
    assert (found.id, found.outs) == ("id", folder)
    for error in (denied(500), ClientAuthenticationError("who?")):
        container.errors = [error]
        with pytest.raises(HttpResponseError):
            BlobFolderProvider().read("id", folder)


def test_blobs_are_written_as_who_runs_pulumi(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", lambda: "me")
    monkeypatch.setattr(azure.storage.blob, "ContainerClient", lambda *a, **b: asked.append((a, b)))
    blob_folder._client({"account_url": "https://account", "container": "lake"})
    assert asked == [(("https://account", "lake"), {"credential": "me"})]


def test_a_log_that_does_not_answer_hides_no_reason(
    uploads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise requests.ConnectionError

    tasks(monkeypatch, {"status": "Failed"})
    monkeypatch.setattr(arm, "session", fail)
    with pytest.raises(BuildFailed, match=r"no reason is given\.$"):
        BuiltImageProvider().build({**IMAGE, "context": "folder"})
