"""Stacks of one, three and twenty models on every cloud: what each has of its own, and what a change of one leaves alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from components.azure import roles
from components.resource_type import DYNAMIC
from config.clouds import Cloud
from config.schema import StackConfig
from policy.mock_engine import Build, Engine
from rehearsal.aws.conditions import like
from rehearsal.azure import conditions
from rehearsal.core.schema import Schemas
from rehearsal.provider import generic
from rehearsal.server import PROFILES
from tests.conftest import MODELS
from tests.contract.test_platform import CLOUDS, inputs_by_name

THREE = {
    "flight-delay": "champion",
    "digits": {"endpoint": "small"},
    "arrival-delay": {"endpoint": "small"},
}
TWENTY = dict.fromkeys(MODELS, "champion")
PROFILE = {each.package: each for each in PROFILES}
SCHEMAS = {package: Schemas(package) for package in PROFILE}
INLINE_POLICIES = 10_240
"""Of one role, together, without white space. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
FUNCTION_VARIABLES = 4096
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
CONDITION = 8 * 1024
"""Believed: https://learn.microsoft.com/azure/role-based-access-control/conditions-troubleshoot"""
BINDINGS_OF_ONE_ROLE = 20
LOGICAL_OPERATORS = 12
"""Of one principal on one resource, and in one condition: https://cloud.google.com/iam/quotas"""
ENDPOINTS: dict[Cloud, str] = {
    "aws": "aws:sagemaker/endpoint:Endpoint",
    "gcp": "gcp:vertex/aiEndpoint:AiEndpoint",
    "azure": "azure-native:machinelearningservices:OnlineEndpoint",
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_models_that_name_one_endpoint_share_it_and_each_other_has_its_own(
    cloud: Cloud, platform: Build
) -> None:
    engine, outputs = platform(cloud, models=THREE)
    assert len(engine.of(ENDPOINTS[cloud])) == 2
    models = outputs["models"]
    assert sorted(models) == sorted(THREE)
    assert models["digits"]["endpoint_name"] == models["arrival-delay"]["endpoint_name"]
    assert models["digits"]["endpoint_name"] != models["flight-delay"]["endpoint_name"]
    assert len({model["version"] for model in models.values()}) == 3, "each has its own version"


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("models", [THREE, TWENTY], ids=["three", "twenty"])
def test_the_gateway_gets_the_version_and_the_endpoint_of_each_model(
    cloud: Cloud, models: Mapping[str, Any], platform: Build, configured: Callable[..., StackConfig]
) -> None:
    engine, outputs = platform(cloud, models=models)
    environment = gateway_environment(cloud, engine)
    routes = json.loads(environment["MODELS"])
    target = "endpoint_name" if cloud == "aws" else "endpoint_url"
    assert routes == {
        name: [model["version"], model[target]] for name, model in outputs["models"].items()
    }
    versions = {each.name: each.version for each in configured(cloud, models=models).artifacts}
    assert {name: version for name, (version, _) in routes.items()} == versions
    assert environment["MODELS_URI"] == f"{outputs['lake_uri']}/models"


def gateway_environment(cloud: Cloud, engine: Engine) -> dict[str, str]:
    if cloud == "aws":
        found = engine.one("aws:lambda/function:Function").inputs["environment"]["variables"]
        return dict(found)
    if cloud == "gcp":
        (container,) = engine.one("gcp:cloudrunv2/service:Service").inputs["template"]["containers"]
        return {each["name"]: each["value"] for each in container["envs"]}
    return dict(engine.one(f"{DYNAMIC}AzureAppSettings").inputs["settings"])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_models_files_are_in_the_lake_and_a_bundle_beside_them(
    cloud: Cloud, platform: Build, configured: Callable[..., StackConfig]
) -> None:
    engine, _ = platform(cloud, models=THREE)
    config = configured(cloud, models=THREE)
    (bundle,) = (each.served for each in config.endpoints if each.served.members)
    uploaded = objects_in_models_zone(cloud, engine)
    for artifact in config.artifacts:
        for file in ("model.onnx", "contract.json", "version.txt", "card.json"):
            assert f"{artifact.prefix}/{file}" in uploaded
    for model in ("digits", "arrival-delay"):
        for file in ("model.onnx", "contract.json"):
            assert f"{bundle.prefix}/{model}/{file}" in uploaded


def objects_in_models_zone(cloud: Cloud, engine: Engine) -> set[str]:
    if cloud == "azure":
        folders = engine.of(f"{DYNAMIC}AzureBlobFolder")
        return {
            f"{each.inputs['prefix']}/{name}" for each in folders for name in each.inputs["files"]
        }
    token, key = {
        "aws": ("aws:s3/bucketObjectv2:BucketObjectv2", "key"),
        "gcp": ("gcp:storage/bucketObject:BucketObject", "name"),
    }[cloud]
    names = (each.inputs[key] for each in engine.of(token))
    return {name.removeprefix("models/") for name in names if name.startswith("models/")}


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ({"model-00": "champion"}, {"model-00"}),
        ({"digits": {"endpoint": "small"}}, {"digits", "small"}),
        ({"digits": {"max_instances": 1, "serverless_concurrency": 1}}, {"digits"}),
    ],
    ids=["added", "moved to another endpoint", "another capacity"],
)
def test_a_change_of_one_model_leaves_the_others_alone(
    cloud: Cloud, change: dict[str, Any], touched: set[str], platform: Build
) -> None:
    base = {"flight-delay": "champion", "digits": "champion", "arrival-delay": "champion"}
    changed = {
        component
        for before, after in [(platform(cloud, models=base), platform(cloud, models=base | change))]
        for component, resources in inputs_by_component(after[0], before[0]).items()
        if resources[0] != resources[1]
    }
    own = {component for component in changed if component != "triplane-gateway"}
    assert own, "nothing changed"
    assert {component.split("-", 2)[2] for component in own} <= touched


def inputs_by_component(*engines: Engine) -> dict[str, list[dict[str, Any]]]:
    """The inputs of the resources of each component, in each of the engines."""
    found: dict[str, list[dict[str, Any]]] = {}
    for place, engine in enumerate(engines):
        inputs = inputs_by_name(engine)
        for each in engine:
            if each.custom:
                component = engine.options(each).parent.rpartition("::")[2]
                parts = found.setdefault(component, [{} for _ in engines])
                name = f"{each.name} {each.type}"
                parts[place][name] = inputs[name]
    return found


@pytest.mark.parametrize("cloud", ["aws", "azure"])
def test_the_identity_of_an_endpoint_reads_its_own_models_alone(
    cloud: Cloud, platform: Build, configured: Callable[..., StackConfig]
) -> None:
    engine, _ = platform(cloud, models=THREE)
    paths = {
        f"{each.served.prefix}/model.onnx": each.name
        for each in configured(cloud, models=THREE).endpoints
    }
    for owner in ("flight-delay", "small"):
        readable = {path for path in paths if may_read(cloud, engine, f"serving-{owner}", path)}
        assert {paths[path] for path in readable} == {owner}


@pytest.mark.parametrize("cloud", ["aws", "azure"])
def test_an_endpoint_that_rolls_between_one_model_and_several_may_read_what_it_serves_all_the_time(
    cloud: Cloud, platform: Build, configured: Callable[..., StackConfig]
) -> None:
    """Its grants change first: until it has rolled, an instance that starts reads what was served before."""
    one = {"digits": {"endpoint": "small"}}
    for models in (one, {**one, "arrival-delay": {"endpoint": "small"}}):
        engine, _ = platform(cloud, models=models)
        for served in (one, THREE):
            (small,) = (
                each for each in configured(cloud, models=served).endpoints if each.name == "small"
            )
            path = f"{small.served.prefix}/model.tar.gz"
            assert may_read(cloud, engine, "serving-small", path), path
        assert not may_read(cloud, engine, "serving-small", "flight-delay/1/model.tar.gz")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_gateway_reads_contracts_and_versions_of_its_models_and_no_model(
    cloud: Cloud, platform: Build, configured: Callable[..., StackConfig]
) -> None:
    engine, _ = platform(cloud, models=THREE)
    for artifact in configured(cloud, models=THREE).artifacts:
        for file in ("contract.json", "version.txt"):
            assert may_read(cloud, engine, "gateway", f"{artifact.prefix}/{file}"), file
        for file in ("model.onnx", "card.json", "model.tar.gz"):
            assert not may_read(cloud, engine, "gateway", f"{artifact.prefix}/{file}"), file
    assert not may_read(cloud, engine, "gateway", "model-00/1/contract.json")


def may_read(cloud: Cloud, engine: Engine, identity: str, path: str) -> bool:
    """Whether the grants of an identity allow it to read an object of the models zone."""
    if cloud == "aws":
        policies = [
            each.inputs["policy"]
            for each in engine.of("aws:iam/rolePolicy:RolePolicy")
            if each.name == f"triplane-{identity}-grants"
        ]
        statements = [each for policy in policies for each in json.loads(policy)["Statement"]]
        return any(
            like(f"arn:aws:mock:::triplane-lake-bucket-732c2f9/models/{path}", resource)
            for each in statements
            if "s3:GetObject" in each["Action"]
            for resource in each["Resource"]
        )
    if cloud == "gcp":
        from rehearsal.gcp import expressions

        name = "projects/_/buckets/{}/objects/models/" + path
        return any(
            expressions.holds(
                each.inputs["condition"]["expression"],
                {"resource.name": name.format(each.inputs["bucket"])},
            )
            for each in engine.of("gcp:storage/bucketIAMMember:BucketIAMMember")
            if each.name.startswith(f"triplane-{identity}-read-")
        )
    asked = conditions.Asked(roles.READ, attributes={conditions.BLOB_PATH: path})
    return any(
        conditions.holds(each.inputs["condition"], asked)
        for each in engine.of("azure-native:authorization:RoleAssignment")
        if each.name == f"triplane-{identity}-read-models"
    )


@pytest.mark.parametrize("shared", [False, True], ids=["an endpoint each", "one endpoint"])
def test_the_most_models_of_the_longest_names_fit_into_what_aws_allows(
    platform: Build, longest_names: Mapping[str, Any], shared: bool
) -> None:
    engine, _ = platform(
        "aws",
        models=on_one_endpoint(longest_names) if shared else longest_names,
        machine={"aws": "ml.m5.large"},
        delivery={"repository": "acme/triplane", "environment": "production"},
    )
    variables = gateway_environment("aws", engine)
    # The mocks' ARN of the secret is shorter than one can be.
    assert (
        sum(len(name) + len(value) for name, value in variables.items()) + 100 < FUNCTION_VARIABLES
    )
    sizes: dict[str, int] = {}
    for each in engine.of("aws:iam/rolePolicy:RolePolicy"):
        # So are those of buckets and roles, by the account's id and the region.
        text = re.sub(
            r"\s", "", each.inputs["policy"].replace("arn:aws:mock:::", f"arn:aws:s3:::{'x' * 8}")
        )
        sizes[each.inputs["role"]] = sizes.get(each.inputs["role"], 0) + len(text)
    assert max(sizes.values()) < INLINE_POLICIES, sizes


def test_the_most_models_of_the_longest_names_fit_into_what_google_cloud_allows(
    platform: Build, longest_names: Mapping[str, Any]
) -> None:
    engine, _ = platform("gcp", models=longest_names)
    bindings = engine.of("gcp:storage/bucketIAMMember:BucketIAMMember")
    by_role: dict[tuple[str, str], int] = {}
    for each in bindings:
        key = (each.inputs["role"], each.inputs["member"])
        by_role[key] = by_role.get(key, 0) + 1
        expression = each.inputs["condition"]["expression"]
        assert len(re.findall(r"&&|\|\||!(?!=)", expression)) <= LOGICAL_OPERATORS
    assert max(by_role.values()) <= BINDINGS_OF_ONE_ROLE


def test_the_most_models_of_the_longest_names_fit_into_what_azure_allows(
    platform: Build, longest_names: Mapping[str, Any]
) -> None:
    engine, _ = platform("azure", models=longest_names)
    found = [
        len(each.inputs.get("condition", ""))
        for each in engine.of("azure-native:authorization:RoleAssignment")
    ]
    assert 0 < max(found) < CONDITION
    shared, _ = platform("azure", models=on_one_endpoint(longest_names))
    found = [
        len(each.inputs.get("condition", ""))
        for each in shared.of("azure-native:authorization:RoleAssignment")
    ]
    assert 0 < max(found) < CONDITION
    names = [each.name for each in engine.of(ENDPOINTS["azure"])]
    assert len(set(names)) == 20
    assert all(len(name) <= 24 for name in names), "autonaming adds 8 of 32"
    assert len(engine.of("azure-native:machinelearningservices:Workspace")) == 1


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_longest_names_give_physical_names_that_each_service_takes(
    cloud: Cloud, platform: Build, longest_names: Mapping[str, Any]
) -> None:
    """Autonaming adds eight characters to the program's name, and each service has a limit of its own."""
    engine, _ = platform(cloud, models=longest_names, machine={"aws": "ml.m5.large"})
    checked = 0
    for each in engine:
        profile = PROFILE.get(each.type.partition(":")[0])
        rules = profile and profile.rules().get(each.type)
        if not each.custom or not profile or not rules or not rules.name:
            continue
        schema = SCHEMAS[profile.package].get(each.type)
        name = each.inputs.get(rules.name.property)
        if name is None:  # raises for one that is too long
            name = generic.autoname(profile.provider, schema, rules, each.name, b"")
        assert len(name) <= rules.name.max, each.name
        assert re.fullmatch(rules.name.pattern, name), each.name
        checked += 1
    assert checked > 10


@pytest.fixture(scope="module")
def longest_names(model_store: Any) -> Mapping[str, Any]:
    """As many models as a stack may have, each with a name of 24 characters."""
    from tests.conftest import write_version

    names = [f"{letter}{'x' * 23}" for letter in "abcdefghijklmnopqrst"]
    for name in names:
        if not (model_store / name).exists():
            write_version(model_store / name)
    return dict.fromkeys(names, "champion")


def on_one_endpoint(models: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: {"endpoint": f"shared-{'x' * 17}"} for name in models}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_model_with_an_image_of_its_own_runs_that_image_with_its_contract(
    cloud: Cloud, platform: Build
) -> None:
    own = f"registry.example.com/own@sha256:{'0f' * 32}"
    engine, outputs = platform(cloud, models={"flight-delay": {"image": own}, "digits": "champion"})
    images = {
        "aws": lambda: [
            each.inputs["primaryContainer"]["image"]
            for each in engine.of("aws:sagemaker/model:Model")
        ],
        "gcp": lambda: [each.inputs["image"] for each in engine.of(f"{DYNAMIC}VertexModel")],
        "azure": lambda: [
            each.inputs["properties"]["image"]
            for each in engine.of("azure-native:machinelearningservices:EnvironmentVersion")
        ],
    }[cloud]()
    assert sorted(images) == sorted([own, outputs["image"]])
    prefix = f"flight-delay/{outputs['models']['flight-delay']['version']}"
    uploaded = {name for name in objects_in_models_zone(cloud, engine) if name.startswith(prefix)}
    assert {name.rpartition("/")[2] for name in uploaded} - {"model.tar.gz"} == {
        "contract.json",
        "version.txt",
    }
