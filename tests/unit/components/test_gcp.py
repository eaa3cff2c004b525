"""The Google Cloud components under mocks: their resources, and the permissions of their accounts."""

from __future__ import annotations

import re
from typing import Any

import pulumi
import pytest

from components import clouds
from components.contracts import (
    Access,
    FoundationArgs,
    Grant,
    IdentityArgs,
    ImageRegistryArgs,
    Workload,
)
from components.dynamic import changed_inputs, wait_for
from components.gcp.dynamic.vertex_deployment import deploy_request
from config.tags import platform_tags
from policy.mock_engine import Build, Built, Engine, build

DYNAMIC = "pulumi-python:dynamic/triplane"


def bindings(engine: Engine, workload: str) -> set[tuple[str, str]]:
    """Role and type of target of each binding of a workload's own service account."""
    return {
        (each.inputs["role"], each.type.split(":")[1])
        for each in engine
        if f"triplane-{workload}-sa" in str(each.inputs.get("member", ""))
    }


def test_the_lake_is_private_versioned_and_deletes_captures(built: Built) -> None:
    bucket = built[0].one("gcp:storage/bucket:Bucket").inputs
    assert bucket["uniformBucketLevelAccess"] is True
    assert bucket["publicAccessPrevention"] == "enforced"
    assert bucket["versioning"] == {"enabled": True}
    old = [
        rule["condition"]
        for rule in bucket["lifecycleRules"]
        if "matchesPrefixes" not in rule["condition"]
    ]
    assert old == [{"daysSinceNoncurrentTime": 7, "withState": "ARCHIVED"}]


@pytest.mark.parametrize("days", [2, 31, 3650])
def test_a_capture_is_gone_in_all_its_versions_after_captures_days(
    platform: Build, days: int
) -> None:
    """Of the live version the deletion leaves a noncurrent one, whose age counts from its creation, too.

    https://cloud.google.com/storage/docs/lifecycle
    """
    engine, _ = platform("gcp", lake={"captures_days": days, "noncurrent_days": 30})
    rules = engine.one("gcp:storage/bucket:Bucket").inputs["lifecycleRules"]
    conditions = [rule["condition"] for rule in rules if rule["action"]["type"] == "Delete"]
    live = min(each["age"] for each in conditions if "age" in each and fits(each, "LIVE"))
    noncurrent = min(
        max(each["age"], live) if "age" in each else live + each["daysSinceNoncurrentTime"]
        for each in conditions
        if fits(each, "ARCHIVED")
    )
    assert live in (days - 1, days)
    assert noncurrent == days


def fits(condition: dict[str, Any], state: str) -> bool:
    """Whether a lifecycle condition is about captures in this state."""
    return condition.get("withState", "ANY") in (state, "ANY") and any(
        "captures/a.json".startswith(prefix) for prefix in condition.get("matchesPrefixes", [""])
    )


@pytest.mark.parametrize(("keep", "seconds"), [(True, 7 * 86400), (False, 0)])
def test_only_a_throw_away_lake_can_be_destroyed_with_its_objects(
    platform: Build, keep: bool, seconds: int
) -> None:
    bucket = platform("gcp", keep_data=keep)[0].one("gcp:storage/bucket:Bucket").inputs
    assert bucket["forceDestroy"] is not keep
    assert bucket["softDeletePolicy"] == {"retentionDurationSeconds": seconds}


def test_the_gateway_may_predict_write_captures_and_read_its_key_only(
    built: Built,
) -> None:
    engine, _ = built
    granted = bindings(engine, "gateway")
    role = engine.one("gcp:projects/iAMCustomRole:IAMCustomRole")
    assert role.inputs["permissions"] == ["aiplatform.endpoints.predict"]
    assert {what for what, _ in granted if "predictor" in what}, granted
    assert {(what, on) for what, on in granted if "predictor" not in what} == {
        ("roles/storage.objectCreator", "storage/bucketIAMMember"),
        ("roles/storage.objectViewer", "storage/bucketIAMMember"),
        ("roles/secretmanager.secretAccessor", "secretmanager/secretIamMember"),
    }


def test_the_endpoint_serves_as_vertex_ais_own_account_which_has_no_grant_here(
    built: Built,
) -> None:
    engine, _ = built
    deployment = engine.one(f"{DYNAMIC}:VertexDeployment").inputs
    assert deployment["service_account"] == ""
    assert "serviceAccount" not in deploy_request(deployment)["deployedModel"]
    assert not bindings(engine, "serving")
    assert not [each.name for each in engine if "serving" in each.name]


def test_googles_agents_pull_images_and_the_workloads_do_not(built: Built) -> None:
    member = built[0].one("gcp:artifactregistry/repositoryIamMember:RepositoryIamMember").inputs
    assert "triplane-build-sa" in member["member"]
    assert member["role"] == "roles/artifactregistry.writer"


def test_the_service_has_the_image_by_digest_and_of_the_key_only_its_place(built: Built) -> None:
    service = built[0].one("gcp:cloudrunv2/service:Service").inputs
    (container,) = service["template"]["containers"]
    assert "@sha256:" in container["image"]
    # Cloud Run itself resolves nothing: the permission to read the key may not be in force yet.
    assert not [each for each in container["envs"] if "valueSource" in each]
    (key,) = [each for each in container["envs"] if each["name"].startswith("API_KEY")]
    assert key["name"] == "API_KEY_SECRET_NAME"
    assert re.fullmatch(r"projects/[^/]+/secrets/the-key/versions/1", key["value"])
    assert container["resources"]["cpuIdle"] is False, "captures are written after the answer"


@pytest.mark.parametrize(("limit", "instances", "each"), [(20, 1, 20), (80, 1, 80), (200, 3, 66)])
def test_no_more_requests_than_max_concurrency_run_at_once(
    platform: Build, limit: int, instances: int, each: int
) -> None:
    engine, _ = platform("gcp", gateway={"access": "public", "max_concurrency": limit})
    service = engine.one("gcp:cloudrunv2/service:Service").inputs
    assert service["template"]["scaling"]["maxInstanceCount"] == instances
    assert service["template"]["maxInstanceRequestConcurrency"] == each
    (container,) = service["template"]["containers"]
    assert {"name": "MAX_CONCURRENCY", "value": str(each)} in container["envs"]
    assert {"name": "ACCESS", "value": "public"} in container["envs"]


def test_without_a_number_cloud_run_takes_the_instances_that_the_quota_allows(
    platform: Build,
) -> None:
    engine, _ = platform("gcp", gateway={"max_concurrency": 0})
    template = engine.one("gcp:cloudrunv2/service:Service").inputs["template"]
    assert template["maxInstanceRequestConcurrency"] == 80
    assert "maxInstanceCount" not in template["scaling"]


def test_a_public_gateway_has_no_key(platform: Build) -> None:
    engine, outputs = platform("gcp", gateway={"access": "public"})
    assert not engine.of("gcp:secretmanager/secret:Secret")
    assert "gateway_key" not in outputs


def test_everything_that_takes_labels_is_labelled(built: Built) -> None:
    labels = built[0].one("gcp:storage/bucket:Bucket").inputs["labels"]
    assert labels["team"] == "flights"
    labelled = {each.type for each in built[0] if each.inputs.get("labels") == labels}
    assert "gcp:cloudrunv2/service:Service" in labelled
    assert f"{DYNAMIC}:VertexModel" in labelled


def test_the_endpoint_has_a_name_of_nine_digits_and_a_raw_predict_url(built: Built) -> None:
    engine, outputs = built
    name = engine.one("gcp:vertex/aiEndpoint:AiEndpoint").inputs["name"]
    assert name.isdigit()
    assert len(name) == 9
    assert outputs["models"]["flight-delay"]["endpoint_url"].startswith(
        "https://europe-west1-aiplatform.googleapis.com/v1/"
    )
    assert outputs["models"]["flight-delay"]["endpoint_url"].endswith(":rawPredict")


def test_a_grant_without_a_role_on_google_cloud_is_refused() -> None:
    package = clouds.load("gcp")

    def program() -> dict[str, Any]:
        foundation = package.Foundation(
            "f",
            FoundationArgs(
                region="europe-west1",
                environment="dev",
                tags=platform_tags("dev", "dev", {}),
                keep_data=False,
                project="p",
            ),
        )
        registry = package.ImageRegistry("r", ImageRegistryArgs(foundation=foundation))
        grants = [Grant(registry, Access.INVOKE)]
        args = IdentityArgs(foundation=foundation, workload=Workload.GATEWAY, grants=grants)
        with pytest.raises(TypeError, match="no role for invoke"):
            package.Identity("i", args)
        return {"done": pulumi.Output.from_input(True)}

    build(program)


def test_the_diff_has_changed_added_and_unknown_inputs_and_no_others() -> None:
    olds = {"a": 1, "b": {"x": [1]}, "url": "computed", "__provider": "old"}
    assert changed_inputs(olds, {"a": 1.0, "b": {"x": [1]}, "__provider": "new"}) == set()
    assert changed_inputs(olds, {"a": 2, "b": {"x": [2]}, "c": None}) == {"a", "b", "c"}


def test_wait_for_returns_the_first_result_or_raises_timeout_error() -> None:
    with pytest.raises(TimeoutError, match="the moon: not finished after 0 s"):
        wait_for(lambda: None, what="the moon", seconds=0)
    assert wait_for(lambda: 0, what="a zero", seconds=1) == 0
