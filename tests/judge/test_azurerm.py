"""`make judge AZURERM=1`: how sharp the azurerm provider is, shown with values that Azure refuses.

Without the built provider these tests are skipped: it takes 16 minutes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api_models.resource import Plan
from policy import azurerm, azurerm_judge, record
from policy.terraform_plugin import Provider, running
from tests.judge.bad_values import DELIVERED, MORE, BadValue
from tests.policy.changes import put

pytestmark = pytest.mark.slow


def bad(type_: str, path: str, value: object, name: str = "", variant: str = DELIVERED) -> BadValue:
    return BadValue(variant, f"{azurerm.NATIVE}{type_}", path, value, name)


AUTOSCALE = "monitor:AutoscaleSetting"
RULE = "profiles.0.rules.0"
CAUGHT = [
    bad("resources:ResourceGroup", "resourceGroupName", "ends-with-a-dot."),
    bad("storage:StorageAccount", "accountName", "Has-Capitals"),
    bad("storage:StorageAccount", "minimumTlsVersion", "TLS9"),
    bad("storage:StorageAccount", "sku.name", "Standard_FAST"),
    bad("storage:StorageAccount", "sku.name", "Golden_LRS"),
    bad("storage:StorageAccount", "accessTier", "Warm"),
    bad("storage:StorageAccount", "kind", "StorageV9"),
    bad("storage:BlobContainer", "containerName", "Has_Underscore"),
    bad("storage:BlobContainer", "publicAccess", "Everyone"),
    bad("storage:BlobServiceProperties", "deleteRetentionPolicy.days", 400),
    bad("storage:ManagementPolicy", "policy.rules.0.definition.filters.blobTypes", ["tape"]),
    bad("containerregistry:Registry", "sku.name", "Tiny"),
    bad("containerregistry:Registry", "registryName", "has-a-hyphen"),
    bad("containerregistry:Registry", "networkRuleBypassOptions", "Everybody"),
    bad("keyvault:Vault", "properties.sku.name", "gold"),
    bad("keyvault:Vault", "properties.softDeleteRetentionInDays", 400),
    bad("keyvault:Vault", "properties.tenantId", "ours"),
    bad("keyvault:Vault", "vaultName", "1-begins-with-a-digit"),
    bad("keyvault:Secret", "secretName", "has a space"),
    bad("applicationinsights:Component", "applicationType", "webb"),
    bad("operationalinsights:Workspace", "retentionInDays", 5000),
    bad("operationalinsights:Workspace", "sku.name", "PerYear"),
    bad("operationalinsights:Workspace", "workspaceName", "a"),
    bad("authorization:RoleAssignment", "principalType", "Robot"),
    bad("authorization:RoleAssignment", "roleAssignmentName", "not-a-guid"),
    bad("web:AppServicePlan", "sku.name", "Z9"),
    bad("web:WebApp", "siteConfig.ftpsState", "Sometimes"),
    bad("web:WebApp", "siteConfig.minTlsVersion", "0.9"),
    bad("web:WebApp", "name", "has_underscore"),
    bad("machinelearningservices:Workspace", "kind", "Castle"),
    bad("machinelearningservices:Workspace", "sku.name", "Huge"),
    bad(AUTOSCALE, f"{RULE}.metricTrigger.operator", "Bigger", variant=MORE),
    bad(AUTOSCALE, f"{RULE}.metricTrigger.statistic", "Mode", variant=MORE),
    bad(AUTOSCALE, f"{RULE}.scaleAction.direction", "Sideways", variant=MORE),
    bad(AUTOSCALE, f"{RULE}.scaleAction.cooldown", "5 minutes", variant=MORE),
    bad(AUTOSCALE, "profiles.0.capacity.maximum", "4000", variant=MORE),
]
MISSED = [
    bad("managedidentity:UserAssignedIdentity", "resourceName", "a?"),
    bad("resources:ResourceGroup", "location", "atlantis"),
    bad("managedidentity:FederatedIdentityCredential", "issuer", "ftp://token.example"),
    bad("authorization:RoleDefinition", "permissions.0.actions", ["Microsoft.Nowhere/read"]),
    bad("web:WebApp", "siteConfig.healthCheckPath", "no-slash"),
    bad("storage:ManagementPolicy", "policy.rules.0.name", "has a space!"),
]
"""Values that Azure refuses and the provider lets through."""
OWNER = {"storage:BlobServiceProperties": "storage:StorageAccount"}
"""Of a part that azurerm has inside another type."""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    if not azurerm_judge.built().exists():
        pytest.skip("make judge AZURERM=1 builds the provider")
    with running(azurerm_judge.built()) as found:
        yield found


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {
        variant: record.of_program("azure", record.VARIANTS[variant])
        for variant in (DELIVERED, MORE)
    }


def refusals(provider: Provider, bad: BadValue, plans: dict[str, Plan]) -> list[str]:
    """What the provider says of the type with the bad value: a name is in the ids of other types, too."""
    short = bad.type.removeprefix(azurerm.NATIVE)
    type_ = azurerm.NATIVE + OWNER.get(short, short)
    plan = put(bad.type, bad.path, bad.value, bad.name)(list(plans[bad.variant]))
    found = azurerm_judge.findings(provider, plan)
    return [each.message for each in found if each.resource.startswith(f"{type_}.")]


@pytest.mark.parametrize("bad", CAUGHT, ids=str)
def test_the_provider_refuses_what_azure_refuses(
    bad: BadValue, provider: Provider, plans: dict[str, Plan]
) -> None:
    assert refusals(provider, bad, plans)


@pytest.mark.parametrize("bad", MISSED, ids=str)
def test_the_provider_is_not_sharper_than_this(
    bad: BadValue, provider: Provider, plans: dict[str, Plan]
) -> None:
    assert not refusals(provider, bad, plans)
