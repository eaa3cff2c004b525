"""The recorded inputs against the clouds' own request models; and that those models bite."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from botocore.model import Shape

from api_models import arm, aws, azure, gcp
from api_models.matching import Json, NotLookedAt, Said, compiled, same
from components.azure.dynamic import endpoint_traffic
from components.gcp.dynamic import vertex_deployment
from policy import api_coverage, record
from tests.policy.changes import put
from tests.policy.conftest import Plans

LEAST = "as little as possible"


def problems(cloud: str, plan: record.Plan) -> list[str]:
    held = api_coverage.model_of(cloud)
    return [
        f"{each.name} ({each.type}): {said}"
        for each in plan
        if api_coverage.mapped(cloud, each.type)
        for said in held.problems(each)
    ]


@pytest.mark.parametrize("variant", record.VARIANTS)
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_clouds_models_accept_what_is_registered(
    cloud: str, variant: str, plans: Plans
) -> None:
    found = problems(cloud, plans[cloud][variant])
    assert not found, "\n".join(found)


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_every_registered_type_is_held_or_has_a_reason(cloud: str, plans: Plans) -> None:
    types = {each.type for plan in plans[cloud].values() for each in plan}
    left = {
        each
        for each in types
        if not api_coverage.mapped(cloud, each) and not api_coverage.reason(cloud, each)
    }
    assert not left, f"map them in policy/models/{cloud}.py, or say there why not"


AML = "azure-native:machinelearningservices:"
DYNAMIC = "pulumi-python:dynamic/triplane:"
MORE = "on instances, with more of everything"
DELIVERED = "deployed by GitHub Actions"
WRONG = [
    ("aws", "aws:lambda/function:Function", "memorySize", 64),  # a range
    ("aws", "aws:lambda/function:Function", "runtime", "python2.5"),  # an enum
    ("aws", "aws:lambda/function:Function", "role", "a-role"),  # a pattern
    ("aws", "aws:lambda/function:Function", "memmorySize", 512),  # no such member
    ("aws", "aws:lambda/function:Function", "tags", ["a"]),  # no map
    ("aws", "aws:sagemaker/model:Model", "executionRoleArn", 5),  # a type
    ("aws", "aws:sagemaker/model:Model", "tags.team", "no!"),  # Unicode's classes
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
def test_a_model_refuses_what_the_cloud_would(
    variant: str, cloud: str, type_: str, path: str, value: object, plans: Plans
) -> None:
    plan = put(type_, path, value)(list(plans[cloud][variant]))
    found = problems(cloud, [each for each in plan if each.type == type_])
    assert found, f"{path} = {value!r} was accepted"


NONSENSE = {"no": [{"such": "thing"}]}
"""What no cloud takes for any value."""


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value inside of inputs that is neither a mapping nor a list."""
    inside = value.items() if isinstance(value, Mapping) else enumerate(value)
    for step, item in inside:
        if isinstance(item, Mapping | list):
            yield from leaves(item, (*path, step))
        else:
            yield (*path, step)


def with_value(
    resource: record.Resource, path: Sequence[str | int], value: object
) -> record.Resource:
    """The resource with another value at the end of the path."""
    inputs = copy.deepcopy(dict(resource.inputs))
    inner: Any = inputs
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return replace(resource, inputs=inputs)


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_every_input_of_every_type_is_held_or_listed_as_not_looked_at(
    cloud: str, plans: Plans
) -> None:
    """The proof of the table: whatever is broken is refused, but for what the table admits."""
    model = api_coverage.model_of(cloud)
    silent = []
    for each in fullest(cloud, plans):
        admitted = {
            same(str(place).rpartition(".")[2])
            for place in model.findings(each)
            if isinstance(place, NotLookedAt)
        }
        silent += [
            f"{each.type}: {'.'.join(map(str, path))}"
            for path in leaves(each.inputs)
            if not any(True for _ in model.problems(with_value(each, path, NONSENSE)))
            and same(str(path[-1])) not in admitted
        ]
    assert not silent, f"broken, and neither refused nor listed: {silent}"


def fullest(cloud: str, plans: Plans) -> list[record.Resource]:
    """Of each type that is held the recorded resource with the most inputs."""
    found: dict[str, record.Resource] = {}
    for plan in plans[cloud].values():
        for each in plan:
            if api_coverage.mapped(cloud, each.type) and not each.type.startswith(DYNAMIC):
                found[each.type] = max(found.get(each.type, each), each, key=size)
    return list(found.values())


# Inputs that are one of a model's words on each cloud, over all types. More is better; fewer means that a
# newer model, or a change here, has lost some.
WORDS = {"aws": 26, "gcp": 6, "azure": 53}


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_a_misspelt_word_is_refused_with_those_that_there_are(cloud: str, plans: Plans) -> None:
    model = api_coverage.model_of(cloud)
    refused = [
        (each.type, path, value)
        for each in fullest(cloud, plans)
        for path in leaves(each.inputs)
        if isinstance(value := at(each, path), str)
        and any(
            "is none of" in said for said in model.problems(with_value(each, path, f"{value}z"))
        )
    ]
    assert len(refused) >= WORDS[cloud], f"words that are still held: {refused}"


def at(resource: record.Resource, path: Sequence[str | int]) -> Any:
    """The value at the end of the path."""
    inner: Any = resource.inputs
    for step in path:
        inner = inner[step]
    return inner


def size(resource: record.Resource) -> int:
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


def test_no_pattern_of_aws_is_left_out_because_python_cannot_read_it() -> None:
    known: set[Any] = set()
    every = [
        pattern
        for operations in aws.OPERATIONS.values()
        for each in operations
        for pattern in patterns(aws.shape(each), known)
    ]
    assert any(r"\p{L}" in each for each in every)
    for each in every:
        compiled(each)  # raises re.error


def test_the_classes_of_unicode_are_those_of_java() -> None:
    tag = compiled(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)")
    assert tag.search("équipe été 2 東京 ½")
    assert not tag.search("a!")
    assert not tag.search("tab\t")
    halves = compiled(r"[\uD800\uDC00-\uDBFF\uDFFF]*")
    assert halves.search("\N{GRINNING FACE}")
    assert not halves.search("a")


@pytest.mark.parametrize(
    ("cloud", "said"),
    [
        (cloud, said)
        for cloud, rules in (("gcp", gcp.SAID), ("azure", azure.SAID))
        for said in rules.values()
    ],
)
def test_a_rule_in_prose_stands_in_the_installed_model(cloud: str, said: Said) -> None:
    assert said.sentence in api_coverage.model_of(cloud).prose(said.where)


@pytest.mark.parametrize("type_", azure.MODELS)
def test_every_builder_of_a_url_tells_its_names(type_: str) -> None:
    assert azure.url_rules(type_)


def google(body: Json, schema: str, part: bool = False) -> list[str]:
    """What Vertex AI would refuse of a body."""
    schemas = gcp.document("aiplatform.v1")["schemas"]
    name = f"GoogleCloudAiplatformV1{schema}"
    return list(gcp.held(body, schemas[name], schemas, name, gcp.exactly, part))


def test_the_requests_to_vertex_ai_are_held_to_the_letter(plans: Plans) -> None:
    deployment = next(e for e in plans["gcp"][LEAST] if e.type == f"{DYNAMIC}VertexDeployment")
    scale = vertex_deployment.scale_request("1", dict(deployment.inputs))
    assert google(scale, "MutateDeployedModelRequest", part=True) == []
    deploy = vertex_deployment.deploy_request(dict(deployment.inputs))
    assert google(deploy, "DeployModelRequest") == []
    deployed = deploy["deployedModel"]
    for wrong in (
        {"deployedmodel": deployed},
        {"deployedModel": {**deployed, "dedicatedResources": {}}},
        {"deployedModel": {**deployed, "serviceaccount": "a"}},
        {"deployedModel": {**deployed, "createTime": "2026-01-01T00:00:00Z"}},
        {"deployedModel": deployed, "trafficSplit": {"0": "all"}},
    ):
        assert google(wrong, "DeployModelRequest"), f"{wrong} was accepted"


def test_what_shifts_azures_traffic_is_an_endpoint_as_azure_takes_it(plans: Plans) -> None:
    sent = arm.body(next(e for e in plans["azure"][LEAST] if e.type == f"{AML}OnlineEndpoint"))
    said = {
        **sent,
        "id": "/…",
        "kind": "Managed",
        "systemData": {"createdBy": "me"},
        "properties": {**sent["properties"], "provisioningState": "Succeeded", "scoringUri": "x"},
    }
    put = endpoint_traffic.traffic_request(said, {"blue": 100})
    _, model = azure.located("machinelearningservices.models:OnlineEndpoint")
    assert list(azure.held(put, model, "")) == []
    assert put["properties"]["traffic"] == {"blue": 100}
    assert list(azure.held(said, model, "")), "what only Azure writes was accepted"
    assert list(azure.held(endpoint_traffic.traffic_request(said, {"blue": "all"}), model, ""))  # type: ignore[dict-item]


def test_the_table_in_the_docs_is_current(plans: Plans) -> None:
    made = api_coverage.table({cloud: list(variants.values()) for cloud, variants in plans.items()})
    assert api_coverage.DOCUMENT.read_text() == made, "run `make api-coverage`"
