"""A program's inputs are checked against the installed SDKs."""

from __future__ import annotations

from functools import cache

import pytest

from rehearsal.core.assets import ASSET, SIGNATURE
from rehearsal.core.schema import PACKAGES, Schemas, UnknownType, check
from rehearsal.core.wire import UNKNOWN
from rehearsal.server import PROFILES

QUEUE = "aws:sqs/queue:Queue"
TOPIC = "gcp:pubsub/topic:Topic"
COSMOS = "azure-native:cosmosdb:DatabaseAccount"
PROVIDERS = {each.package: each.provider for each in PROFILES}


@cache
def schemas(package: str) -> Schemas:
    return Schemas(package)


def failures(token: str, **inputs: object) -> dict[str, str]:
    package = token.split(":")[0]
    converts = PROVIDERS[package].converts_scalars
    return dict(check(schemas(package).get(token), inputs, converts_scalars=converts))


def test_a_misspelt_input_is_refused_with_the_nearest_spelling() -> None:
    assert 'did you mean "delaySeconds"' in failures(QUEUE, delaySecond=3)["delaySecond"]


def test_a_misspelt_input_is_found_inside_a_list_of_objects() -> None:
    found = failures(
        COSMOS,
        resourceGroupName="rg",
        databaseAccountOfferType="Standard",
        locations=[{"locationName": "x"}, {"locationNam": "x"}],
    )
    assert list(found) == ["locations[1].locationNam"]


def test_a_missing_input_is_named() -> None:
    found = failures(COSMOS, databaseAccountOfferType="Standard", locations=[])
    assert found == {"resourceGroupName": "is required and missing"}


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"delaySeconds": "soon"}, 'must be an integer, not the string "soon"'),
        ({"tags": ["a"]}, "must be a map, not a list"),
        ({"name": {SIGNATURE: ASSET, "text": "x"}}, "must be a string, not an asset or archive"),
        ({"fifoQueue": 3}, "must be a boolean, not 3"),
    ],
)
def test_a_mistyped_input_is_refused(inputs: dict[str, object], reason: str) -> None:
    assert list(failures(QUEUE, **inputs).values()) == [reason]


def test_the_bridge_converts_scalars_and_azure_does_not() -> None:
    assert not failures(QUEUE, delaySeconds="3", fifoQueue="true", name=3)
    assert "disableLocalAuth" in failures(COSMOS, disableLocalAuth="true")


def test_a_value_outside_an_enumeration_is_refused_with_the_allowed_ones() -> None:
    found = failures(
        COSMOS, databaseAccountOfferType="standart", resourceGroupName="r", locations=[]
    )
    assert found["databaseAccountOfferType"].startswith("must be one of Standard, not")


def test_a_value_that_a_preview_does_not_know_is_no_error() -> None:
    assert not failures(
        COSMOS,
        resourceGroupName=UNKNOWN,
        databaseAccountOfferType=UNKNOWN,
        locations=[UNKNOWN, {"locationName": UNKNOWN}],
    )


def test_an_unknown_type_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(UnknownType, match="the nearest are aws:sqs/queue:Queue"):
        schemas("aws").get("aws:sqs/queu:Queue")


@pytest.mark.parametrize(
    ("token", "wire"),
    [
        (QUEUE, "name"),
        ("aws:s3/bucket:Bucket", "bucket"),
        (TOPIC, "name"),
        (COSMOS, "accountName"),
        ("azure-native:web:WebApp", "name"),
        ("azure-native:machinelearningservices:OnlineDeployment", "deploymentName"),
    ],
)
def test_the_physical_name_is_found_without_a_table(token: str, wire: str) -> None:
    package = token.split(":")[0]
    assert PROVIDERS[package].name_property(schemas(package).get(token)) == wire


def test_every_package_that_is_played_has_a_profile() -> None:
    assert tuple(PROVIDERS) == PACKAGES


def test_every_nested_type_that_a_type_refers_to_is_described() -> None:
    schema = schemas("aws").get("aws:wafv2/webAcl:WebAcl")

    def references(kind: object) -> set[str]:
        match kind:
            case ["object", name]:
                return {name}
            case ["union", members]:
                return {name for member in members for name in references(member)}
            case [_, inner]:
                return references(inner)
        return set()

    properties = [schema.inputs, schema.outputs, *schema.types.values()]
    named = {r for each in properties for about in each.values() for r in references(about["type"])}
    assert named
    assert named <= schema.types.keys()
