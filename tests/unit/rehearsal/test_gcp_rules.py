"""The rules of the rehearsed Google Cloud: what it refuses, in the words of Google Cloud, and what it allows."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from rehearsal.core.records import CheckFailure, Refusal
from rehearsal.gcp import credentials, iam, permissions
from rehearsal.provider.context import Context
from tests.unit.rehearsal.archives import archive
from tests.unit.rehearsal.gcp_project import (
    BUCKET,
    BUCKET_MEMBER,
    ENDPOINT,
    OBJECT,
    SECRET,
    SECRET_VERSION,
    Project,
)


@pytest.fixture
def project(live_context: Context) -> Iterator[Project]:
    project = Project(live_context)
    with project.http:  # one event loop for all requests
        yield project


def test_no_resource_is_created_before_its_api_is_enabled(live_context: Context) -> None:
    bare = Project(live_context, apis=())
    with pytest.raises(Refusal, match=r"storage\.googleapis\.com has not been used in project"):
        bare.create(BUCKET, "lake", location="EUROPE-WEST1")
    with pytest.raises(Refusal, match=r"aiplatform\.googleapis\.com has not been used"):
        bare.create(ENDPOINT, "e", name="1", displayName="e", location="europe-west1")


@pytest.mark.parametrize(
    ("token", "name"),
    [
        (BUCKET, "Upper"),
        (BUCKET, "goog-lake"),
        (BUCKET, "my-google-lake"),
        (BUCKET, "10.0.0.1"),
        (iam.ACCOUNT, "short"),
        (iam.ACCOUNT, "x" * 31),
        (iam.ACCOUNT, "ends-with-"),
        (permissions.CUSTOM_ROLE, "with-hyphen"),
        (ENDPOINT, "flight-delay"),
        (ENDPOINT, "12345678901"),
        (ENDPOINT, "0123"),
    ],
)
def test_names_that_google_does_not_allow_are_refused(
    project: Project, token: str, name: str
) -> None:
    rules = project.types[token]
    assert rules.name is not None
    with pytest.raises(CheckFailure, match=r"is not a valid name|characters, and"):
        project.lifecycle.check_name(rules, {rules.name.property: name})


@pytest.mark.parametrize("labels", [{"Team": "x"}, {"team": "Flights"}, {"1st": "x"}])
def test_labels_are_lower_case(project: Project, labels: dict[str, str]) -> None:
    with pytest.raises(CheckFailure, match="is not a valid label"):
        project.create(BUCKET, "lake", location="EU", labels=labels)


def test_one_of_the_64_labels_belongs_to_the_provider(project: Project) -> None:
    project.create(BUCKET, "lake", location="EU", labels={f"k{n}": "" for n in range(63)})
    with pytest.raises(
        CheckFailure, match=r"at most 64 labels .* the provider's own among them, not 65"
    ):
        project.create(BUCKET, "lake-2", location="EU", labels={f"k{n}": "" for n in range(64)})


def test_a_member_must_exist(project: Project) -> None:
    bucket = project.create(BUCKET, "lake", location="EU")
    with pytest.raises(Refusal, match=r"Service account nobody@x\.example does not exist"):
        project.grant(
            BUCKET_MEMBER, "roles/storage.objectViewer", "nobody@x.example", bucket=bucket.id
        )


def test_a_condition_that_cannot_be_evaluated_is_refused_and_not_ignored(project: Project) -> None:
    bucket, email = project.create(BUCKET, "lake", location="EU"), project.account("reader")
    condition = {"title": "later", "expression": "request.time > timestamp('2030-01-01')"}
    with pytest.raises(CheckFailure, match="does not evaluate the comparison"):
        project.grant(
            BUCKET_MEMBER,
            "roles/storage.objectViewer",
            email,
            bucket=bucket.id,
            condition=condition,
        )


def test_a_bucket_with_objects_is_deleted_only_by_force_and_with_its_objects(
    project: Project,
) -> None:
    bucket = project.create(BUCKET, "lake", location="EU")
    project.create(OBJECT, "a", bucket=bucket.id, name="raw/a.txt", content="a")
    with pytest.raises(Refusal, match="without `force_destroy` set to true"):
        project.delete(bucket)
    project.delete(project.update(bucket, forceDestroy=True))
    assert not project.context.all(OBJECT)


def test_an_object_has_the_content_that_the_program_gives(project: Project) -> None:
    bucket = project.create(BUCKET, "lake", location="EU")
    made = project.create(
        OBJECT, "zip", bucket=bucket.id, name="b/c.zip", source=archive({"f": "x"})
    )
    assert made.outputs["md5hash"]
    assert project.lifecycle.read(OBJECT, made.id)
    front = project.address(credentials.deployer(project.context))
    path = f"{front}/storage/v1/b/{bucket.id}/o/b%2Fc.zip?alt=media"
    with zipfile.ZipFile(io.BytesIO(project.http.get(path).content)) as zipped:
        assert zipped.read("f") == b"x"
    project.delete(made)
    assert project.http.get(path).status_code == 404


def test_a_deleted_role_can_be_created_again_for_a_week_then_its_id_is_blocked(
    project: Project, monkeypatch: Any
) -> None:
    def make() -> Any:
        return project.create(
            permissions.CUSTOM_ROLE, "r", roleId="predictor", title="r", permissions=["a.b.c"]
        )

    project.delete(make())
    project.delete(make())
    later = time.time() + 8 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Refusal, match="in a deleted state"):
        make()


def test_a_version_number_of_a_secret_is_never_reused(project: Project) -> None:
    secret = project.create(SECRET, "key", replication={"auto": {}})
    first = project.create(SECRET_VERSION, "one", secret=secret.id, secretData="a")
    project.delete(first)
    second = project.create(SECRET_VERSION, "two", secret=secret.id, secretData="b")
    assert [first.outputs["version"], second.outputs["version"]] == ["1", "2"]


def test_every_resource_type_cites_the_source_of_its_rules(project: Project) -> None:
    assert all(
        each.source.startswith("https://cloud.google.com/") for each in project.types.values()
    )
