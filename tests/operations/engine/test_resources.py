"""What an exported state says about its resources."""

from __future__ import annotations

from typing import Any

from operations.engine.resources import urns_with_dependencies
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
