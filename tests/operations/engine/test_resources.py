"""What an exported state says about its resources."""

from __future__ import annotations

from typing import Any

from operations.engine.resources import (
    is_cloud_resource,
    resource_name,
    resource_type,
    stack_outputs,
    urns_with_dependencies,
    without_api_version,
)
from tests.operations.engine.test_guards import PLATFORM


def test_a_components_resources_include_their_dependencies() -> None:
    group = f"{PLATFORM}$triplane:azure:Foundation$azure-native:resources:ResourceGroup::g"
    lake = f"{PLATFORM}$triplane:azure:DataLake$azure-native:storage:StorageAccount::lake"
    web = f"{PLATFORM}$triplane:azure:Gateway$azure-native:web:WebApp::web"
    provider = "urn:pulumi:dev::triplane::pulumi:providers:azure-native::default"
    resources: list[dict[str, Any]] = [
        {"urn": provider},
        {"urn": group, "provider": f"{provider}::id"},
        {"urn": lake, "dependencies": [group], "provider": f"{provider}::id"},
        {"urn": web, "dependencies": [lake, group]},
    ]
    assert set(urns_with_dependencies(resources, ["DataLake"])) == {lake, group, provider}


def test_a_stacks_outputs_are_those_of_the_stack_itself() -> None:
    resource = {"type": "aws:s3/bucket:Bucket", "outputs": {"id": "lake"}}
    stack: dict[str, Any] = {"type": "pulumi:pulumi:Stack", "outputs": {"gateway_url": "u"}}
    assert stack_outputs([resource, stack]) == {"gateway_url": "u"}
    assert stack_outputs([resource, {"type": "pulumi:pulumi:Stack"}]) == {}
    assert stack_outputs([resource]) == {}


def test_a_urn_has_the_type_of_the_resource_and_of_its_parents() -> None:
    urn = f"{PLATFORM}$triplane:azure:DataLake$azure-native:storage/v2024:StorageAccount::lake"
    assert resource_type(urn) == "azure-native:storage/v2024:StorageAccount"
    assert without_api_version(resource_type(urn)) == "azure-native:storage:StorageAccount"
    assert resource_name(urn) == "lake"
    assert is_cloud_resource(urn)
    assert not is_cloud_resource(f"{PLATFORM}$triplane:azure:DataLake::lake")
    assert not is_cloud_resource("urn:pulumi:dev::triplane::pulumi:providers:aws::default")


def test_what_is_spared_has_its_parents_too() -> None:
    """An engine refuses a state with a child and without its parent."""
    component = f"{PLATFORM}$triplane:aws:DataLake::lake"
    bucket = f"{PLATFORM}$triplane:aws:DataLake$aws:s3/bucket:Bucket::lake-bucket"
    platform = f"{PLATFORM}::triplane"
    resources = [
        {"urn": platform},
        {"urn": component, "parent": platform},
        {"urn": bucket, "parent": component},
    ]
    assert set(urns_with_dependencies(resources, ["DataLake"])) == {platform, component, bucket}
