"""The subscription as a whole: its offer, resource providers, what its caller may do, and the quotas."""

from __future__ import annotations

from rehearsal.azure import limits
from rehearsal.azure.calls import Call
from rehearsal.core.records import Json
from rehearsal.provider.context import Context

LOCATIONS = (
    *(
        "East US",
        "East US 2",
        "West US",
        "West US 2",
        "West US 3",
        "Central US",
        "North Central US",
    ),
    *("South Central US", "West Central US", "Canada Central", "Canada East", "Brazil South"),
    *(
        "North Europe",
        "West Europe",
        "UK South",
        "UK West",
        "France Central",
        "Germany West Central",
    ),
    *("Switzerland North", "Sweden Central", "Norway East", "Poland Central", "South Africa North"),
    *("UAE North", "Central India", "Japan East", "Japan West", "Korea Central", "Southeast Asia"),
    *("East Asia", "Australia East", "Australia Southeast"),
)
TYPES = {
    "Microsoft.Authorization": ("roleAssignments", "roleDefinitions"),
    "Microsoft.Cdn": ("profiles",),
    "Microsoft.Compute": ("virtualMachines",),
    "Microsoft.ContainerRegistry": ("registries",),
    "Microsoft.Insights": ("components", "autoscalesettings"),
    "Microsoft.KeyVault": ("vaults",),
    "Microsoft.MachineLearningServices": ("workspaces", "workspaces/onlineEndpoints"),
    "Microsoft.ManagedIdentity": ("userAssignedIdentities",),
    "Microsoft.Network": ("virtualNetworks",),
    "Microsoft.OperationalInsights": ("workspaces",),
    "Microsoft.PolicyInsights": ("policyStates",),
    "Microsoft.Resources": ("resourceGroups",),
    "Microsoft.Storage": ("storageAccounts",),
    "Microsoft.Web": ("serverfarms", "sites"),
}
"""Some resource providers, and some of the types of each."""


def described(context: Context) -> Json:
    """https://learn.microsoft.com/rest/api/resources/subscriptions/get"""
    subscription = context.account.azure_subscription
    offer = context.behaviour.quotas.offer
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "displayName": "Rehearsal",
        "state": "Enabled",
        "subscriptionPolicies": {"quotaId": offer, "spendingLimit": "Off"},
    }


def list_providers(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/resources/providers/list"""
    return call.page(_provider(call.context, namespace) for namespace in TYPES)


def register_provider(call: Call) -> Json:
    """What `az provider register` calls. https://learn.microsoft.com/rest/api/resources/providers/register"""
    call.context.kv.put(limits.REGISTERED, call.path["namespace"].lower(), True)
    return _provider(call.context, call.path["namespace"])


def _provider(context: Context, namespace: str) -> Json:
    return {
        "namespace": namespace,
        "registrationState": "Registered"
        if limits.is_registered(context, namespace)
        else "NotRegistered",
        "resourceTypes": [
            {"resourceType": each, "locations": list(LOCATIONS)}
            for each in TYPES.get(namespace, ())
        ],
    }


def list_permissions(call: Call) -> Json:
    """The deployer is Owner; anybody else holds nothing in the whole subscription.

    https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group
    """
    owner = call.principal == call.context.account.azure_object
    role = {"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}
    return call.page([role] if owner else [])


def list_sizes(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/azureml/virtual-machine-sizes/list"""
    return {
        "value": [
            {
                "name": name,
                "family": family,
                "vCPUs": cores,
                "supportedComputeTypes": ["AmlCompute", "ComputeInstance", "MIR"],
            }
            for name, (family, cores) in limits.SIZES.items()
        ]
    }


def list_machine_learning_usages(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/azureml/usages/list"""
    quotas, used = call.context.behaviour.quotas, limits.used_cores(call.context)
    kind = "Microsoft.MachineLearningServices/{}/usages"
    total = _usage(
        "Total Cluster Dedicated Regional vCPUs", sum(used.values()), quotas.machine_learning_cores
    )
    families = sorted({family for family, _ in limits.SIZES.values()})
    return call.page(
        [
            {**total, "type": kind.format("dedicatedCores")},
            *(
                {
                    **_usage(family, used.get(family, 0), quotas.machine_learning_family_cores),
                    "type": kind.format("vmFamily/dedicatedCores"),
                }
                for family in families
            ),
        ]
    )


def list_web_usages(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/appservice/get-usages-in-location/list"""
    used = limits.used_machines(call.context)
    tiers = ("Basic", "Standard", "Premium0V3", "PremiumV3")
    return call.page(
        _usage(f"{tier} VMs", used.get(tier, 0), limits.machines(call.context, tier))
        for tier in tiers
    )


def _usage(name: str, used: int, limit: int) -> Json:
    return {
        "name": {"value": name, "localizedValue": name},
        "unit": "Count",
        "currentValue": used,
        "limit": limit,
    }
