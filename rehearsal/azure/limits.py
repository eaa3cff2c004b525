"""What the subscription allows: registered resource providers, cores of Azure ML, machines of App Service."""

from __future__ import annotations

import math

from rehearsal.core.quotas import ENOUGH
from rehearsal.core.records import Json, Refusal
from rehearsal.provider.context import Context

REGISTERED = "azure/providers"
"""The namespace of the resource providers that were registered by the Resource Manager."""
DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"
PLAN = "azure-native:web:AppServicePlan"
SIZES = {
    "Standard_DS2_v2": ("standardDSv2Family", 2),
    "Standard_DS3_v2": ("standardDSv2Family", 4),
    "Standard_DS4_v2": ("standardDSv2Family", 8),
    "Standard_DS5_v2": ("standardDSv2Family", 16),
    "Standard_D2as_v4": ("standardDASv4Family", 2),
    "Standard_F2s_v2": ("standardFSv2Family", 2),
    "Standard_F4s_v2": ("standardFSv2Family", 4),
    "Standard_F8s_v2": ("standardFSv2Family", 8),
    "Standard_F16s_v2": ("standardFSv2Family", 16),
    "Standard_F32s_v2": ("standardFSv2Family", 32),
    "Standard_E2s_v3": ("standardESv3Family", 2),
    "Standard_E4s_v3": ("standardESv3Family", 4),
    "Standard_E8s_v3": ("standardESv3Family", 8),
    "Standard_E16s_v3": ("standardESv3Family", 16),
}
"""Machines of managed endpoints: family and cores.
https://learn.microsoft.com/azure/machine-learning/reference-managed-online-endpoints-vm-sku-list"""
RESERVE = 1.2
"""https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#virtual-machine-quota-allocation-for-deployment"""


def is_registered(context: Context, namespace: str) -> bool:
    """Whether the resource provider is registered: from the start, or by its own operation."""
    from_the_start = context.behaviour.quotas.resource_providers
    return (
        from_the_start is None
        or namespace in from_the_start
        or bool(context.kv.get(REGISTERED, namespace.lower()))
    )


def require_registered(context: Context, namespace: str) -> None:
    """https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-register-resource-provider"""
    if not is_registered(context, namespace):
        raise Refusal(
            "MissingSubscriptionRegistration",
            f"The subscription is not registered to use namespace '{namespace}'. See"
            " https://aka.ms/rps-not-found for how to register subscriptions.",
        )


def used_cores(context: Context) -> dict[str, int]:
    """The cores of all deployments, by family. A machine that is not in `SIZES` has none."""
    used: dict[str, int] = {}
    for each in context.all(DEPLOYMENT):
        family, cores = _taken(each.inputs)
        used[family] = used.get(family, 0) + cores
    return used


def _taken(deployment: Json) -> tuple[str, int]:
    """The family of a deployment's machine, and the cores that it takes of the quota."""
    family, cores = SIZES.get(deployment["properties"].get("instanceType"), ("", 0))
    count = int((deployment.get("sku") or {}).get("capacity") or 1)
    return family, math.ceil(RESERVE * count) * cores


def require_cores(context: Context, deployment: Json) -> None:
    """https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#error-outofquota"""
    quotas, used = context.behaviour.quotas, used_cores(context)
    family, cores = _taken(deployment)
    enough = (
        used.get(family, 0) + cores <= quotas.machine_learning_family_cores
        and sum(used.values()) + cores <= quotas.machine_learning_cores
    )
    if not enough:
        raise Refusal(
            "OutOfQuota",
            f"Not enough quota available for {deployment['properties']['instanceType']}:"
            f" {cores} cores of {family} are requested.",
        )


def machines(context: Context, tier: str) -> int:
    """The machines that a tier of App Service may have."""
    return context.behaviour.quotas.app_service_machines.get(tier, ENOUGH)


def used_machines(context: Context) -> dict[str, int]:
    """The machines of all App Service plans, by tier."""
    used: dict[str, int] = {}
    for each in context.all(PLAN):
        sku = each.inputs.get("sku") or {}
        tier = sku.get("tier", "")
        used[tier] = used.get(tier, 0) + int(sku.get("capacity") or 1)
    return used


def require_machines(context: Context, plan: Json) -> None:
    """The refusal is the one in https://github.com/Azure/Commercial-Marketplace-SaaS-Accelerator/issues/854."""
    sku = plan.get("sku") or {}
    tier, wanted = sku.get("tier", ""), int(sku.get("capacity") or 1)
    limit, used = machines(context, tier), used_machines(context).get(tier, 0)
    if used + wanted > limit:
        raise Refusal(
            "Unauthorized",
            "Operation cannot be completed without additional quota. Additional details - Location:  Current Limit"
            f" ({tier} VMs): {limit} Current Usage: {used} Amount required for this deployment ({tier} VMs):"
            f" {wanted} (Minimum) New Limit that you should request to enable this deployment: {used + wanted}.",
        )
