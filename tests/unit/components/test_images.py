"""The two images: what they are built from, pinned, and for whom."""

from __future__ import annotations

import re

import pytest

from components import build_context
from components.aws.image_build import BUILDSPEC
from components.aws.package import BUILD_ARGUMENTS as AWS
from components.azure.package import BUILD_ARGUMENTS as AZURE
from components.contracts import Image
from components.gcp.dynamic.built_image import build_request
from components.gcp.package import BUILD_ARGUMENTS as GCP
from components.platform import WORKLOADS

DIGEST = r"@sha256:[0-9a-f]{64}"


def dockerfile(image: Image) -> str:
    return (WORKLOADS / image / "Dockerfile").read_text()


def bases() -> set[str]:
    return {line for image in Image for line in re.findall(r"^FROM .*", dockerfile(image), re.M)}


def test_both_images_have_the_same_base_pinned_by_digest() -> None:
    (base,) = bases()
    assert re.fullmatch(rf"FROM \$\{{MIRROR\}}/python:3\.12-slim-bookworm{DIGEST}", base)


@pytest.mark.parametrize("arguments", [AWS, GCP, AZURE])
@pytest.mark.parametrize("image", Image)
def test_the_base_image_never_comes_from_docker_hub(
    image: Image, arguments: dict[str, str]
) -> None:
    """It limits pulls without an account by address, and a cloud's builds share their addresses.

    https://learn.microsoft.com/azure/container-registry/buffer-gate-public-content
    """
    (default,) = re.findall(r"^ARG MIRROR=(.*)", dockerfile(image), re.M)
    assert arguments.get("MIRROR", default).split("/")[0] in ("public.ecr.aws", "mirror.gcr.io")


@pytest.mark.parametrize("arguments", [AWS, GCP, AZURE])
def test_a_build_argument_that_a_cloud_gives_is_declared_in_the_dockerfile(
    arguments: dict[str, str],
) -> None:
    """Docker ignores others with no more than a warning."""
    for image in Image:
        declared = set(re.findall(r"^ARG (\w+)", dockerfile(image), re.M))
        assert arguments.keys() <= declared, image


def test_only_the_container_on_sagemaker_runs_as_root() -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html"""
    for image in Image:
        assert re.findall(r"^ARG RUN_AS=(.*)", dockerfile(image), re.M) == ["65534:65534"]
        assert dockerfile(image).rindex("USER ${RUN_AS}") > dockerfile(image).rindex("\nRUN ")
    assert [each.get("RUN_AS") for each in (AWS, GCP, AZURE)] == ["root", None, None]
    assert "docker build --provenance=false {arguments} " in BUILDSPEC


def test_another_build_argument_is_another_image() -> None:
    folder = WORKLOADS / Image.MODEL_SERVER
    hashes = {
        build_context.content_hash(folder, each) for each in (AWS, GCP, AZURE, {"RUN_AS": "0"})
    }
    assert len(hashes) == 4
    assert build_context.content_hash(folder, {}) == build_context.content_hash(folder)


def test_cloud_builds_builder_is_pinned_by_digest() -> None:
    props = dict.fromkeys(("repository", "tag", "bucket", "context", "project"), "x")
    request = build_request({**props, "service_account": "x", "arguments": GCP})
    (step,) = request["steps"]
    assert re.search(DIGEST + "$", step["name"])
    assert "--build-arg=MIRROR=mirror.gcr.io/library" in step["args"]


# https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds#Build
def test_cloud_build_builds_one_image_as_our_account_and_logs_to_cloud_logging() -> None:
    props = {
        "repository": "host/p/images/triplane",
        "tag": "t",
        "bucket": "lake",
        "context": "builds/a.zip",
        "project": "p",
        "service_account": "build@p.iam.gserviceaccount.com",
        "arguments": {"A": "1", "B": "2"},
    }
    request = build_request(props)
    (step,) = request.pop("steps")
    image = "host/p/images/triplane:t"
    assert step["args"] == ["build", "--build-arg=A=1", "--build-arg=B=2", "--tag", image, "."]
    assert request == {
        "source": {"storageSource": {"bucket": "lake", "object": "builds/a.zip"}},
        "images": [image],
        "serviceAccount": "projects/p/serviceAccounts/build@p.iam.gserviceaccount.com",
        "options": {"logging": "CLOUD_LOGGING_ONLY"},
        "timeout": "1200s",
    }


def test_the_image_of_the_model_server_has_only_what_serves() -> None:
    files = build_context.context_files(WORKLOADS / Image.MODEL_SERVER)
    assert [each.as_posix() for each in files] == [
        "Dockerfile",
        "__init__.py",
        "answers.py",
        "contract.py",
        "defects.py",
        "encoder.py",
        "files.py",
        "http_protocol.py",
        "images.py",
        "inputs.py",
        "model.py",
        "model_check.py",
        "readings.py",
        "requirements.txt",
        "serve.py",
    ]
