"""The image build on Azure: the product's own provider, over the rehearsal's real wire."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob import BlobClient

from components.azure import arm
from components.azure.dynamic.built_image import BuiltImageProvider
from components.built_image import BuildFailed
from rehearsal.azure import container_registry_data_plane as data_plane
from rehearsal.azure import container_registry_runs as runs
from rehearsal.azure import routes
from rehearsal.azure.container_registry import REGISTRY, pulled_image
from rehearsal.core.records import Refusal
from rehearsal.provider.context import Context
from tests.unit.rehearsal.azure_subscription import PULL, Credential, Subscription

DOCKERFILE = 'FROM python:3.12-slim\nCOPY app.py .\nENTRYPOINT ["python", "app.py"]\n'


class Registry:
    """A registry, a context on this machine, and the provider that builds the one into the other."""

    def __init__(self, context: Context, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.azure, self.folder, self.monkeypatch = Subscription(context), folder, monkeypatch
        self.record = self.azure.create(REGISTRY, registryName="images", sku={"name": "Basic"})
        self.provider = BuiltImageProvider()
        self.write("Dockerfile", DOCKERFILE)
        self.write("app.py", "print(1)")
        monkeypatch.setenv("ARM_METADATA_HOSTNAME", routes.resource_manager_host(context))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(context.authority.bundle))
        self.sign_in(context.account.azure_object)

    def write(self, name: str, text: str) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)

    def sign_in(self, principal: str) -> None:
        credential = Credential(self.azure.context, principal)
        self.monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda: credential)

    @property
    def props(self) -> dict[str, Any]:
        return {
            "registry": self.record.id,
            "repository": f"{self.record.outputs['loginServer']}/triplane",
            "tag": "one",
            "arguments": {},
            "context": str(self.folder),
        }

    @property
    def runs(self) -> dict[str, Any]:
        return self.azure.context.kv.items(runs.RUNS)

    def built(self) -> dict[str, Any]:
        outs = self.provider.create(self.props).outs
        assert outs is not None
        return outs


@pytest.fixture
def registry(live_context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(live_context, tmp_path / "context", monkeypatch)


def test_an_image_is_built_once_and_found_afterwards_by_its_tag(registry: Registry) -> None:
    first = registry.built()
    assert first["image"].startswith(f"{registry.props['repository']}@sha256:")
    assert registry.built()["image"] == first["image"]
    assert len(registry.runs) == 1
    puller = registry.azure.identity().outputs["principalId"]
    with pytest.raises(Refusal, match="authentication required"):
        pulled_image(registry.azure.context, first["image"], puller)
    registry.azure.grant(puller, PULL, registry.record.id)
    assert pulled_image(registry.azure.context, first["image"], puller).digest in first["image"]


def test_a_build_leaves_no_context_and_no_signature_behind(registry: Registry) -> None:
    built = registry.built()
    assert "sig=" not in str(built) + str(registry.runs)
    kept = list((registry.azure.context.state_dir / "azure-registry-tasks").iterdir())
    assert [each.name for each in kept if "source" in each.name] == []


def test_a_refresh_needs_no_run_as_runs_vanish_after_thirty_days(registry: Registry) -> None:
    built = registry.built()
    for key in registry.runs:
        registry.azure.context.kv.delete(runs.RUNS, key)
    read = registry.provider.read("id", built)
    assert (read.id, read.outs) == ("id", built)


def test_a_tag_that_was_moved_does_not_change_what_is_deployed(registry: Registry) -> None:
    built = registry.built()
    registry.write("app.py", "print('moved')")
    registry.provider.build(registry.props)
    assert registry.provider.read("id", built).outs == built
    assert registry.built()["image"] != built["image"]


def test_a_deleted_image_or_registry_is_not_found(registry: Registry) -> None:
    built = registry.built()
    registry.azure.context.images.drop_repository("images.azurecr.io/triplane")
    assert registry.provider.read("id", built).id == ""
    registry.azure.delete(registry.record)
    assert registry.provider.read("id", built).id == ""


def test_a_failed_build_shows_the_log_and_is_built_again_by_the_next_up(
    registry: Registry,
) -> None:
    registry.write("Dockerfile", "FROM python:3.12-slim\nCOPY missing.py .\n")
    with pytest.raises(BuildFailed, match=r"ended as Failed: .*\n(.*\n)*.*missing\.py") as failed:
        registry.built()
    assert "sig=" not in str(failed.value)
    registry.write("Dockerfile", DOCKERFILE)
    assert registry.built()["image"]
    assert [run["properties"]["status"] for run in registry.runs.values()] == [
        "Failed",
        "Succeeded",
    ]


def test_a_build_that_nobody_finishes_is_built_again(registry: Registry) -> None:
    with registry.monkeypatch.context() as stopped:
        stopped.setattr(runs, "_execute", lambda *given: runs._running.discard(given[-1]["id"]))
        with pytest.raises(BuildFailed, match=r"ended as Error: The rehearsal was stopped"):
            registry.built()
    assert registry.built()["image"]


def test_a_failed_upload_shows_no_signature(registry: Registry) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ServiceRequestError("Max retries exceeded with url: /container/source?sig=SECRET")

    registry.monkeypatch.setattr(BlobClient, "upload_blob", refuse)
    with pytest.raises(BuildFailed, match=r"was not uploaded to 127\.0\.0\.1:\d+") as failed:
        registry.built()
    assert "SECRET" not in str(failed.value)
    assert failed.value.__suppress_context__


def test_a_link_opens_its_own_file_only(registry: Registry) -> None:
    place = arm.post(f"{registry.record.id}/listBuildSourceUploadUrl", "2019-06-01-preview")
    assert place is not None
    with arm.session() as session:
        other = place["uploadUrl"].replace(place["relativePath"], "source/other.tar.gz")
        assert session.put(other, data=b"x").status_code == 403
        assert session.put(place["uploadUrl"].partition("?")[0], data=b"x").status_code == 403


@pytest.mark.parametrize(
    ("actions", "refusal"),
    [
        ([], r"AuthorizationFailed.*'Microsoft\.ContainerRegistry/registries/read'"),
        (["registries/read"], r"401 .*needs Microsoft\.ContainerRegistry/registries/pull/read"),
        (
            ["registries/read", "registries/pull/read"],
            r"AuthorizationFailed.*listBuildSourceUploadUrl/action'",
        ),
        (
            [
                "registries/read",
                "registries/pull/read",
                "registries/listBuildSourceUploadUrl/action",
            ],
            r"AuthorizationFailed.*scheduleRun/action'",
        ),
    ],
)
def test_a_builder_needs_each_of_its_permissions(
    registry: Registry, actions: list[str], refusal: str
) -> None:
    worker = registry.azure.identity().outputs["principalId"]
    if actions:
        role = registry.azure.custom(
            "builder", actions=[f"Microsoft.ContainerRegistry/{each}" for each in actions]
        )
        registry.azure.grant(worker, role.id, registry.record.id)
    registry.sign_in(worker)
    with pytest.raises((arm.ResourceManagerError, RuntimeError), match=refusal):
        registry.built()


def test_a_registry_of_before_its_login_server_answers_keeps_its_images(
    contexts: Callable[[], Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(contexts(), tmp_path / "context", monkeypatch)
    image = registry.built()["image"]
    registry.record.outputs["loginServer"] = "images.azurecr.io"
    registry.azure.context.save(registry.record)
    context = contexts()
    routes.routes(context)
    monkeypatch.setenv("ARM_METADATA_HOSTNAME", routes.resource_manager_host(context))
    state = {**registry.props, "repository": "images.azurecr.io/triplane"}
    found = registry.provider.create(state).outs
    assert found is not None
    assert found["image"] == f"images.azurecr.io/triplane@{image.partition('@')[2]}"
    known = data_plane.registry_at(context, "images.azurecr.io")
    assert known is not None
    assert known.outputs["loginServer"].startswith("127.0.0.1:")


def test_a_task_run_as_a_resource_fails_though_its_build_may_succeed(registry: Registry) -> None:
    with pytest.raises(Refusal, match="StatusCode=404"):
        registry.azure.create(
            "azure-native:containerregistry:TaskRun", registryName="images", taskRunName="run"
        )
