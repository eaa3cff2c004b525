"""The clouds' request models accept the recorded inputs, and refuse wrong inputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from botocore.model import Shape

from api_models import arm, aws, azure, gcp, rules
from api_models.matching import Json, NotChecked, ProseRule, compiled, normalized
from api_models.resource import Plan, Resource
from components.azure.dynamic import built_image, endpoint_traffic
from components.gcp.dynamic import vertex_deployment
from components.resource_type import DYNAMIC
from policy import api_coverage, record, request_models
from rehearsal.core.schema import Schemas
from tests.policy.changes import put
from tests.policy.conftest import Plans

LEAST = "as little as possible"


def problems(cloud: str, plan: Plan) -> list[str]:
    return [
        f"{each.name} ({each.type}): {problem}"
        for each in plan
        if request_models.is_covered(cloud, each.type)
        for problem in request_models.problems(cloud, each)
    ]


@pytest.mark.parametrize("variant", record.VARIANTS)
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_clouds_models_accept_what_is_registered(
    cloud: str, variant: str, plans: Plans
) -> None:
    found = problems(cloud, plans[cloud][variant])
    assert not found, "\n".join(found)


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_a_request_that_the_provider_does_not_send_is_not_missed(cloud: str) -> None:
    """Nothing is reserved for the gateway: on AWS there is no request for it."""
    found = problems(cloud, record.of_program(cloud, {"triplane:gateway": {"max_concurrency": 0}}))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_every_registered_type_has_a_model_or_a_reason_for_having_none(
    cloud: str, plans: Plans
) -> None:
    types = {each.type for plan in plans[cloud].values() for each in plan}
    left = {
        each
        for each in types
        if not request_models.is_covered(cloud, each)
        and not request_models.reason_not_covered(cloud, each)
    }
    assert not left, f"add them to api_models/{cloud}.py or to its NOT_COVERED"


@pytest.mark.parametrize("variant", record.VARIANTS)
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_rules_of_the_rehearsal_accept_what_is_registered(
    cloud: str, variant: str, plans: Plans
) -> None:
    package = "azure-native" if cloud == "azure" else cloud
    schemas = Schemas(package)
    found = [
        f"{each.name} ({each.type}): {path} {reason}"
        for each in plans[cloud][variant]
        if each.type.startswith(f"{package}:")
        for path, reason in rules.problems(schemas.get(each.type).rules, dict(each.inputs))
    ]
    assert not found, "\n".join(found)


AML = "azure-native:machinelearningservices:"
MORE = "on instances, with more of everything"
DELIVERED = "deployed by GitHub Actions"
WRONG = [
    ("aws", "aws:lambda/function:Function", "memorySize", 64),  # a range
    ("aws", "aws:lambda/function:Function", "runtime", "python2.5"),  # an enum
    ("aws", "aws:lambda/function:Function", "role", "a-role"),  # a pattern
    ("aws", "aws:lambda/function:Function", "memmorySize", 512),  # no such member
    ("aws", "aws:lambda/function:Function", "tags", ["a"]),  # no map
    ("aws", "aws:sagemaker/model:Model", "executionRoleArn", 5),  # a type
    ("aws", "aws:sagemaker/model:Model", "tags.team", "no!"),  # Unicode classes
    ("aws", "aws:sagemaker/endpoint:Endpoint", "endpointConfigName", None),  # required
    ("aws", "aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status", "On"),
    ("aws", "aws:s3/bucketObjectv2:BucketObjectv2", "tags", {"": "v"}),
    ("aws", "aws:iam/rolePolicy:RolePolicy", "role", "arn:aws:iam::123456789012:role/r"),
    ("gcp", "gcp:cloudrunv2/service:Service", "ingress", "ALL"),  # an enum
    ("gcp", "gcp:cloudrunv2/service:Service", "template.timeOut_", {"a": 1}),  # a type
    ("gcp", "gcp:cloudrunv2/service:Service", "template.timeout", "soon"),  # a format
    ("gcp", "gcp:cloudrunv2/service:Service", "template.containers.0.imagge", "x"),
    ("gcp", "gcp:cloudrunv2/service:Service", "name", "ends-with-"),  # a name, by prose
    ("gcp", "gcp:cloudrunv2/service:Service", "uri", "https://mine"),  # output only
    ("gcp", "gcp:storage/bucket:Bucket", "versioning.enabled", "yes"),
    ("gcp", "gcp:storage/bucket:Bucket", "lifecycleRules.0.condition.withState", "ALVE"),
    ("gcp", "gcp:artifactregistry/repository:Repository", "format", "PYTHN"),
    ("gcp", "gcp:artifactregistry/repository:Repository", "cleanupPolicies", "none"),  # no map
    ("gcp", "gcp:serviceaccount/account:Account", "accountId", "x"),
    ("gcp", "gcp:vertex/aiEndpoint:AiEndpoint", "displayName", None),  # required
    ("gcp", "gcp:vertex/aiEndpoint:AiEndpoint", "name", "0123"),
    ("gcp", f"{DYNAMIC}VertexModel", "labels", {"team": 1}),
    ("gcp", f"{DYNAMIC}VertexModel", "display_name", "9-of-them"),
    ("gcp", f"{DYNAMIC}VertexModel", "image", None),
    ("gcp", f"{DYNAMIC}VertexDeployment", "min_instances", 2**40),
    ("gcp", f"{DYNAMIC}VertexDeployment", "service_account", 5),
    ("gcp", f"{DYNAMIC}VertexTraffic", "endpoint", 5),
    ("gcp", f"{DYNAMIC}GcpBuiltImage", "bucket", ["b"]),
    ("azure", "azure-native:storage:StorageAccount", "minimumTlsVersion", "TLS2"),  # an enum
    ("azure", "azure-native:storage:StorageAccount", "allowSharedKeys", False),
    ("azure", "azure-native:storage:StorageAccount", "location", None),  # required
    ("azure", "azure-native:storage:StorageAccount", "accountName", "Bad_Name"),  # by prose
    ("azure", "azure-native:storage:BlobContainer", "containerName", "a--b"),
    ("azure", "azure-native:web:WebApp", "httpsOnly", "yes"),  # a type
    ("azure", "azure-native:web:WebApp", "siteConfig.appSettings", "ACCESS=key"),
    ("azure", "azure-native:web:WebApp", "resourceGroupName", "g" * 91),
    ("azure", "azure-native:resources:ResourceGroup", "location", None),
    ("azure", f"{AML}OnlineDeployment", "properties.livenessProbe.failureThreshold", "often"),
    ("azure", f"{AML}OnlineDeployment", "properties.readinessProbe.timeout", "2 seconds"),
    ("azure", f"{AML}OnlineDeployment", "properties.endpointComputeType", "Managd"),
    ("azure", f"{AML}OnlineDeployment", "deploymentName", "no!"),  # a name's pattern
    ("azure", f"{AML}OnlineEndpoint", "properties.authMode", None),  # required
    ("azure", f"{AML}OnlineEndpoint", "properties.authMode", "AADTokn"),
    ("azure", f"{AML}OnlineEndpoint", "properties.publicNetworkAccess", "Enabeld"),
    ("azure", f"{AML}Workspace", "identity.type", "UserAsigned"),
    ("azure", f"{AML}Workspace", "systemDatastoresAuthMode", "identitee"),  # newer than the model
    ("azure", f"{AML}Workspace", "workspaceName", "w"),
    ("azure", f"{AML}Datastore", "properties.credentials.credentialsType", "Key"),
    ("azure", f"{AML}Datastore", "properties.subscriptionId", "mine"),
    ("azure", f"{AML}EnvironmentVersion", "properties.osType", "BSD"),
    ("azure", f"{AML}ModelVersion", "properties.isArchived", "no"),
    ("azure", "azure-native:authorization:RoleAssignment", "principalType", "Servant"),
    ("azure", "azure-native:applicationinsights:Component", "ingestionMode", "LogAnalitics"),
    ("azure", "azure-native:applicationinsights:Component", "tags", "a"),  # no map
]
WRONG_OF_MORE = [
    ("azure", "azure-native:monitor:AutoscaleSetting", "profiles", [{"name": "p"}] * 21),
    (
        "azure",
        "azure-native:monitor:AutoscaleSetting",
        "profiles.0.rules.0.metricTrigger.operator",
        "BiggerThan",
    ),
    (
        "azure",
        "azure-native:monitor:AutoscaleSetting",
        "profiles.0.rules.0.scaleAction.cooldown",
        "P5",
    ),
    ("aws", "aws:appautoscaling/policy:Policy", "name", "no\N{BELL}"),
]
POOL = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"
PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"
WRONG_OF_DELIVERED = [
    ("gcp", POOL, "workloadIdentityPoolId", "gcp-mine"),
    ("gcp", PROVIDER, "workloadIdentityPoolProviderId", "x" * 33),
    ("gcp", "gcp:projects/iAMCustomRole:IAMCustomRole", "roleId", "a-role"),
    ("azure", CREDENTIAL, "federatedIdentityCredentialResourceName", "no!"),
    ("azure", CREDENTIAL, "audiences", "api://AzureADTokenExchange"),
    ("azure", "azure-native:authorization:RoleDefinition", "assignableScopes", {"a": 1}),
]
WRONGS = [
    (variant, *row)
    for variant, rows in (
        (LEAST, WRONG),
        (MORE, WRONG_OF_MORE),
        (DELIVERED, WRONG_OF_DELIVERED),
    )
    for row in rows
]


@pytest.mark.parametrize(("variant", "cloud", "type_", "path", "value"), WRONGS)
def test_a_model_refuses_what_the_cloud_would_refuse(
    variant: str, cloud: str, type_: str, path: str, value: object, plans: Plans
) -> None:
    plan = put(type_, path, value)(list(plans[cloud][variant]))
    found = problems(cloud, [each for each in plan if each.type == type_])
    assert found, f"{path} = {value!r} was accepted"


NONSENSE = {"no": [{"such": "thing"}]}
"""A value that no cloud accepts anywhere."""


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in the inputs that is neither a mapping nor a list."""
    inside = value.items() if isinstance(value, Mapping) else enumerate(value)
    for step, item in inside:
        if isinstance(item, Mapping | list):
            yield from leaves(item, (*path, step))
        else:
            yield (*path, step)


def with_value(resource: Resource, path: Sequence[str | int], value: object) -> Resource:
    """The resource with another value at the end of the path."""
    inputs = copy.deepcopy(dict(resource.inputs))
    inner: Any = inputs
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return replace(resource, inputs=inputs)


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_every_input_of_every_type_is_checked_or_listed_as_not_checked(
    cloud: str, plans: Plans
) -> None:
    """The proof of docs/reference/api-coverage.md: a wrong value is refused, except where the page lists it."""
    silent = []
    for each in fullest(cloud, plans):
        listed = {
            normalized(str(path).rpartition(".")[2])
            for path in request_models.findings(cloud, each)
            if isinstance(path, NotChecked)
        }
        silent += [
            f"{each.type}: {'.'.join(map(str, path))}"
            for path in leaves(each.inputs)
            if not any(request_models.problems(cloud, with_value(each, path, NONSENSE)))
            and normalized(str(path[-1])) not in listed
        ]
    assert not silent, f"wrong, but neither refused nor listed: {silent}"


def fullest(cloud: str, plans: Plans) -> list[Resource]:
    """The recorded resource with the most inputs, of each type that is compared with a model."""
    found: dict[str, Resource] = {}
    for plan in plans[cloud].values():
        for each in plan:
            if request_models.is_covered(cloud, each.type) and not each.type.startswith(DYNAMIC):
                found[each.type] = max(found.get(each.type, each), each, key=size)
    return list(found.values())


# The number of inputs with an enumerated value on each cloud, over all types. More is better; fewer means that a
# newer model, or a change here, has lost some.
ENUMERATED = {"aws": 26, "gcp": 6, "azure": 49}


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_a_misspelt_value_is_refused_with_the_allowed_values(cloud: str, plans: Plans) -> None:
    refused = [
        (each.type, path, value)
        for each in fullest(cloud, plans)
        for path in leaves(each.inputs)
        if isinstance(value := at(each, path), str)
        and any(
            "is not one of" in problem
            for problem in request_models.problems(cloud, with_value(each, path, f"{value}z"))
        )
    ]
    assert len(refused) >= ENUMERATED[cloud], f"enumerations that are still checked: {refused}"


def at(resource: Resource, path: Sequence[str | int]) -> Any:
    """The value at the end of the path."""
    inner: Any = resource.inputs
    for step in path:
        inner = inner[step]
    return inner


def size(resource: Resource) -> int:
    return sum(1 for _ in leaves(resource.inputs))


def patterns(shape: Shape, known: set[Any]) -> Iterator[str]:
    """Every pattern of an AWS shape and of all below it."""
    if shape in known:
        return
    known.add(shape)
    if pattern := shape.metadata.get("pattern"):
        yield pattern
    inside = {
        "structure": lambda: shape.members.values(),
        "list": lambda: [shape.member],
        "map": lambda: [shape.key, shape.value],
    }
    for each in inside.get(shape.type_name, list)():
        yield from patterns(each, known)


@pytest.mark.parametrize(
    ("bounds", "number", "allowed"),
    [
        ({"min": 1, "max": 64}, 65, "within 1 to 64"),
        ({"max": 64}, 65, "at most 64"),
        ({"min": 1}, 0, "at least 1"),
    ],
)
def test_a_number_out_of_bounds_is_refused_with_the_bounds_that_exist(
    bounds: Json, number: int, allowed: str
) -> None:
    shape = Shape("Length", {"type": "integer", **bounds})
    assert list(aws.bound_problems(number, shape, "name")) == [f"name: {number} is not {allowed}"]


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        ({"min_length": 3}, "at least 3 characters"),
        ({"pattern": "[b-z]{2}"}, "the pattern [b-z]{2}"),
    ],
)
def test_a_value_that_breaks_a_limit_of_azure_is_refused_with_the_limit(
    rule: Json, limit: str
) -> None:
    assert list(azure.limit_problems("a", rule, "name")) == [f"name: 'a' breaks the limit: {limit}"]


def test_python_can_read_every_pattern_of_aws() -> None:
    known: set[Any] = set()
    every = [
        pattern
        for operations in aws.OPERATIONS.values()
        for each in operations
        for pattern in patterns(aws.input_shape(each), known)
    ]
    assert any(r"\p{L}" in each for each in every)
    for each in every:
        compiled(each)  # raises re.error


def test_unicode_classes_match_the_same_characters_as_in_java() -> None:
    tag = compiled(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)")
    assert tag.search("équipe été 2 東京 ½")
    assert not tag.search("a!")
    assert not tag.search("tab\t")
    halves = compiled(r"[\uD800\uDC00-\uDBFF\uDFFF]*")
    assert halves.search("\N{GRINNING FACE}")
    assert not halves.search("a")


@pytest.mark.parametrize(
    ("cloud", "rule"),
    [
        *(
            ("gcp", rule)
            for body in request_models.GCP_BODIES.values()
            for rule in body.names.values()
        ),
        *(("azure", rule) for rule in azure.NAME_RULES.values()),
    ],
)
def test_a_rule_in_prose_is_in_the_installed_model(cloud: str, rule: ProseRule) -> None:
    assert rule.sentence in request_models.module_of(cloud).documentation(rule.where)


@pytest.mark.parametrize("type_", azure.MODELS)
def test_every_request_builder_of_azure_states_the_names_in_its_url(type_: str) -> None:
    assert azure.url_rules(type_)


def vertex_problems(body: Json, schema: str, partial: bool = False) -> list[str]:
    """What Vertex AI would refuse of a body."""
    schemas = gcp.document("aiplatform.v1")["schemas"]
    name = f"GoogleCloudAiplatformV1{schema}"
    find = gcp.exact_property
    return list(gcp.value_findings(body, schemas[name], schemas, name, find, partial))


def test_the_requests_to_vertex_ai_fit_its_models_to_the_letter(plans: Plans) -> None:
    deployment = next(e for e in plans["gcp"][LEAST] if e.type == f"{DYNAMIC}VertexDeployment")
    scale = vertex_deployment.scale_request("1", dict(deployment.inputs))
    assert vertex_problems(scale, "MutateDeployedModelRequest", partial=True) == []
    deploy = vertex_deployment.deploy_request(dict(deployment.inputs))
    assert vertex_problems(deploy, "DeployModelRequest") == []
    deployed = deploy["deployedModel"]
    for wrong in (
        {"deployedmodel": deployed},
        {"deployedModel": {**deployed, "dedicatedResources": {}}},
        {"deployedModel": {**deployed, "serviceaccount": "a"}},
        {"deployedModel": {**deployed, "createTime": "2026-01-01T00:00:00Z"}},
        {"deployedModel": deployed, "trafficSplit": {"0": "all"}},
    ):
        assert vertex_problems(wrong, "DeployModelRequest"), f"{wrong} was accepted"


def test_the_request_that_shifts_traffic_on_azure_is_a_valid_endpoint(plans: Plans) -> None:
    sent = arm.body(next(e for e in plans["azure"][LEAST] if e.type == f"{AML}OnlineEndpoint"))
    answer = {
        **sent,
        "id": "/…",
        "kind": "Managed",
        "systemData": {"createdBy": "me"},
        "properties": {**sent["properties"], "provisioningState": "Succeeded", "scoringUri": "x"},
    }
    put = endpoint_traffic.traffic_request(answer, {"blue": 100})
    _, model = azure.imported("machinelearningservices.models:OnlineEndpoint")
    assert list(azure.value_findings(put, model, "")) == []
    assert put["properties"]["traffic"] == {"blue": 100}
    assert list(azure.value_findings(answer, model, "")), "a read-only property was accepted"
    assert list(
        azure.value_findings(endpoint_traffic.traffic_request(answer, {"blue": "all"}), model, "")
    )  # type: ignore[dict-item]


def test_the_request_that_builds_an_image_on_azure_is_a_valid_docker_build() -> None:
    props = {"repository": "images.azurecr.io/triplane", "tag": "abc", "arguments": {"A": "b"}}
    sent = built_image.build_request(props, "source/c.tar.gz")
    _, model = azure.imported("containerregistrytasks.models:DockerBuildRequest")
    assert list(azure.value_findings(sent, model, "")) == []
    assert list(azure.value_findings(sent | {"platform": {"os": "BSD"}}, model, ""))


def test_the_coverage_page_in_the_docs_is_current(plans: Plans) -> None:
    page = api_coverage.document(
        {cloud: list(variants.values()) for cloud, variants in plans.items()}
    )
    assert api_coverage.DOCUMENT.read_text() == page, "run `make api-coverage`"
