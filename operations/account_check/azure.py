"""Azure: the subscription, its resource providers, permissions, and the quotas of Azure ML and App Service."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.azure import arm
from components.azure.resource_types import APP_PLAN, ENDPOINT
from config.catalogue import CATALOGUE
from operations.account_check.checks import Check, Finding, missing, not_known, too_little
from operations.account_check.plan import Plan
from operations.engine.guards import recorded_account

SUBSCRIPTIONS_API = "2022-12-01"
PROVIDERS_API = "2021-04-01"
PERMISSIONS_API = "2022-04-01"
WEB_API = "2024-11-01"
ALWAYS_REGISTERED = frozenset(("Microsoft.Authorization", "Microsoft.Resources"))
# Azure ML creates resources of these for a managed endpoint, and refuses with SubscriptionNotRegistered. Believed:
# Microsoft's documents name no list; people have registered exactly these.
# https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
OF_ONLINE_ENDPOINTS = frozenset(
    f"Microsoft.{each}" for each in ("Cdn", "Compute", "Network", "PolicyInsights")
)
# Offers whose credit is free. Believed, from many reports of TasksOperationsNotAllowed: ACR Tasks does not run on them.
FREE_OFFERS = ("FreeTrial", "AzureForStudents", "AzurePass", "AzureInOpen", "DreamSpark")
UPGRADE_RESERVE = 1.2
"""Azure ML reserves a fifth more instances than run, for upgrades of their machines.
https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas#virtual-machine-quota-allocation-for-deployment"""
MANAGED_INFERENCE = "MIR"
"""The kind of compute that managed endpoints have, in the list of machines.
https://github.com/Azure/azure-rest-api-specs: Microsoft.MachineLearningServices, VirtualMachineSizes_List"""
UNLIMITED = -1
ML_QUOTA_PAGE = "https://ml.azure.com/quota"
APP_SERVICE_QUOTA_PAGE = "https://aka.ms/antquotahelp"


def signed_in_as(plan: Plan) -> str:
    """Which subscription the credentials see. Azure's resource manager has no question for the caller's name."""
    subscription = _subscription(plan)
    name = _visible().get(subscription)
    if name is None:
        raise LookupError(f"these credentials do not see the subscription {subscription}")
    return f"Azure subscription {name} ({subscription}), location {plan.config.region}"


def checks(plan: Plan) -> list[Check]:
    """All questions to a subscription."""
    subscription = f"/subscriptions/{_subscription(plan)}"
    location = plan.config.region
    return [
        Check(
            what="subscription",
            look="az account show",
            findings=lambda: _offer(subscription),
        ),
        Check(
            what="resource providers",
            look="az provider list --query \"[?registrationState!='Registered'].namespace\"",
            findings=lambda: _providers(plan, subscription),
        ),
        Check(
            what="permissions",
            look="docs/reference/azure.md lists the roles",
            findings=lambda: _permissions(plan, subscription),
        ),
        Check(
            what=f"Azure ML: cores of {' and '.join(_machines(plan))}",
            look=f"{ML_QUOTA_PAGE}, for {location}",
            findings=lambda: _cores(plan, subscription),
        ),
        Check(
            what=f"App Service: plan {plan.config.gateway.app_service_plan}",
            look=f"the portal, Quotas, App Service; {APP_SERVICE_QUOTA_PAGE}",
            findings=lambda: _app_service(plan, subscription),
        ),
    ]


def _visible() -> dict[str, str]:
    """The subscriptions in which the caller has any role, and their names.

    The list, because a role in one resource group is enough for it: the pipeline has no other.
    https://learn.microsoft.com/rest/api/resources/subscriptions/list
    """
    return {
        each["subscriptionId"]: each.get("displayName") or each["subscriptionId"]
        for each in arm.listed("/subscriptions", SUBSCRIPTIONS_API)
    }


def _subscription(plan: Plan) -> str:
    """The subscription in which azure-native works: the stack's, the environment's, the only one, or that of `az`."""
    named = recorded_account(dict(each) for each in plan.existing) or os.environ.get(
        "ARM_SUBSCRIPTION_ID"
    )
    if named:
        return named
    visible = list(_visible())
    if len(visible) == 1:
        return visible[0]
    if program := shutil.which("az"):
        command = [program, "account", "show", "--query", "id", "--output", "tsv"]
        chosen = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()
        if chosen:
            return chosen
    raise LookupError(
        f"these credentials see {len(visible)} subscriptions, and ARM_SUBSCRIPTION_ID names none of them"
    )


def _offer(subscription: str) -> Iterator[Finding]:
    """https://learn.microsoft.com/rest/api/resources/subscriptions/get"""
    found = arm.get(subscription, SUBSCRIPTIONS_API) or {}
    if (state := found.get("state")) not in ("Enabled", "Warned", "PastDue"):
        yield missing(
            "subscription", f"it is {state}", "Enable it again: https://aka.ms/azurebilling"
        )
    offer = str((found.get("subscriptionPolicies") or {}).get("quotaId") or "")
    if offer.startswith(FREE_OFFERS):
        yield missing(
            "Container Registry: tasks",
            f"the subscription has the offer {offer.partition('_')[0]}, and Azure builds no images on free credit"
            " (TasksOperationsNotAllowed)",
            "Change to pay-as-you-go: https://learn.microsoft.com/azure/cost-management-billing/manage/"
            "upgrade-azure-subscription",
        )


def needed_providers(permissions: Iterable[str]) -> list[str]:
    """The resource providers of these permissions, and those that they use in turn."""
    used = {each.partition("/")[0] for each in permissions}
    return sorted((used | OF_ONLINE_ENDPOINTS) - ALWAYS_REGISTERED)


def _providers(plan: Plan, subscription: str) -> Iterator[Finding]:
    """https://learn.microsoft.com/azure/azure-resource-manager/management/resource-providers-and-types"""
    found = {
        each["namespace"].lower(): each
        for each in arm.listed(f"{subscription}/providers", PROVIDERS_API)
    }
    needed = needed_providers(plan.permissions)
    if unlisted := [each for each in needed if each.lower() not in found]:
        yield not_known(
            "resource providers",
            f"the subscription does not list {', '.join(unlisted)} to these credentials",
            "az provider show --namespace … --query registrationState",
        )
    absent = [
        each
        for each in needed
        if found.get(each.lower(), {}).get("registrationState") not in (None, "Registered")
    ]
    if absent:
        yield missing(
            "resource providers",
            f"not registered: {', '.join(absent)}",
            f"for p in {' '.join(absent)}; do az provider register --wait --namespace $p; done",
        )
    for arm_type, product in ((ENDPOINT, "Azure ML"), (APP_PLAN, "App Service")):
        namespace, _, name = arm_type.partition("/")
        places = _places(found.get(namespace.lower()) or {}, name)
        if places is None:
            yield not_known(
                f"{product} in {plan.config.region}",
                f"{namespace} lists no locations of {name}",
                "https://azure.microsoft.com/explore/global-infrastructure/products-by-region",
            )
        elif plan.config.region not in places:
            yield missing(
                f"{product} in {plan.config.region}",
                f"{namespace} does not offer {name} there",
                "Choose another azure-native:location:"
                " https://azure.microsoft.com/explore/global-infrastructure/products-by-region",
            )


def _places(provider: Mapping[str, Any], name: str) -> set[str] | None:
    """The locations of a resource type, as the settings write them: ``westeurope``, not ``West Europe``."""
    for each in provider.get("resourceTypes") or ():
        if each["resourceType"].lower() == name.lower() and each.get("locations"):
            return {place.replace(" ", "").lower() for place in each["locations"]}
    return None


def _permissions(plan: Plan, subscription: str) -> Iterator[Finding]:
    """What all roles of the caller allow, in the whole subscription. Documented for a group; believed for a subscription.

    https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group
    """
    path = f"{subscription}/providers/Microsoft.Authorization/permissions"
    roles = list(arm.listed(path, PERMISSIONS_API))
    lacking = [each for each in plan.permissions if not _allowed(each, roles)]
    if lacking:
        finding = missing if not plan.existing else not_known
        yield finding(
            "permissions",
            f"in the whole subscription these credentials may not: {', '.join(lacking)}"
            + (". They may in the stack's own resource group" if plan.existing else ""),
            "Owner, or Contributor with User Access Administrator: docs/reference/azure.md",
        )


def _allowed(action: str, roles: list[dict[str, Any]]) -> bool:
    """Whether one role allows the action and does not take it away again; ``*`` is any text.

    https://learn.microsoft.com/azure/role-based-access-control/role-definitions#actions
    """

    def among(patterns: list[str]) -> bool:
        return any(
            re.fullmatch(re.escape(each).replace(r"\*", ".*"), action, re.IGNORECASE)
            for each in patterns
        )

    return any(
        among(role.get("actions") or []) and not among(role.get("notActions") or [])
        for role in roles
    )


def _machines(plan: Plan) -> list[str]:
    """What the endpoints run on."""
    return sorted({each.machine for each in plan.config.endpoints})


def _cores(plan: Plan, subscription: str) -> list[Finding]:
    """Azure ML has quotas of its own: in all, and for each family of machines.

    https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
    """
    region = plan.config.region
    path = f"{subscription}/providers/Microsoft.MachineLearningServices/locations/{region}"
    listed = arm.get(f"{path}/vmSizes")
    if listed is None:
        raise LookupError(f"Azure ML lists no machines in {region}")
    sizes = {each["name"].lower(): each for each in listed["value"]}
    offered = {
        machine: size
        for machine in _machines(plan)
        if (size := sizes.get(machine.lower()))
        and MANAGED_INFERENCE in size.get("supportedComputeTypes", [MANAGED_INFERENCE])
    }
    findings = [
        missing(
            f"Azure ML: {machine}",
            f"managed endpoints in {region} do not offer it",
            "Choose another triplane:machine.azure: https://learn.microsoft.com/azure/machine-learning/"
            "reference-managed-online-endpoints-vm-sku-list",
        )
        for machine in _machines(plan)
        if machine not in offered
    ]
    needed: dict[str, list[Cores]] = {}
    for machine, size in offered.items():
        cores = Cores.of(plan, machine, int(size["vCPUs"]))
        for family in ("total", str(size["family"]).lower()):
            needed.setdefault(family, []).append(cores)
    usages = {_family(each): each for each in arm.listed(f"{path}/usages")} if needed else {}
    for family, parts in needed.items():
        what = f"Azure ML: cores of {' and '.join(each.machine for each in parts)}"
        usage = usages.get(family)
        if usage is None:
            findings.append(
                not_known(what, f"Azure ML reports no quota of {family}", f"{ML_QUOTA_PAGE}")
            )
        elif usage["limit"] != UNLIMITED:
            several = sum(each.endpoints for each in parts) > 1
            findings += too_little(
                what if family != "total" else "Azure ML: dedicated cores in all",
                sum(each.needed for each in parts),
                usage["limit"] - usage["currentValue"] + sum(each.held for each in parts),
                f"each has {' and '.join(str(each.cores) for each in parts)}; endpoint.max_instances"
                + (f" of {sum(each.endpoints for each in parts)} endpoints" if several else "")
                + ", a fifth more for upgrades, and beside them endpoint.min_instances while the model changes",
                "triplane:machine: {azure: Standard_DS2_v2} has two, triplane:endpoint: {max_instances: 1} needs"
                + (" fewest, models can share an endpoint" if several else " fewest")
                + f"; or ask for more: {ML_QUOTA_PAGE}",
            )
    return findings


@dataclass(frozen=True, kw_only=True)
class Cores:
    """The cores that the endpoints on one machine need, and those that the stack holds already."""

    machine: str
    cores: int
    """Of one machine."""
    endpoints: int
    needed: int
    held: int

    @classmethod
    def of(cls, plan: Plan, machine: str, cores: int) -> Cores:
        """The cores on a machine that has so many."""
        endpoints = [each for each in plan.config.endpoints if each.machine == machine]
        held = [
            each
            for each in plan.existing_inputs(
                "azure-native:machinelearningservices:OnlineDeployment"
            )
            if (each.get("properties") or each).get("instanceType") == machine
        ]
        # At least, as a stack's own deployments may have scaled.
        fewest = sorted(each.min_instances for each in endpoints)[: len(held)]
        return cls(
            machine=machine,
            cores=cores,
            endpoints=len(endpoints),
            needed=sum(
                math.ceil(UPGRADE_RESERVE * count) * cores
                for each in endpoints
                for count in (each.min_instances, each.max_instances)
            ),
            held=sum(math.ceil(UPGRADE_RESERVE * count) * cores for count in fewest),
        )


def _family(usage: Mapping[str, Any]) -> str:
    """The family whose quota this is, as the list of machines names it; ``total`` for all of them together.

    The name is ``Standard DSv2 Family Cluster Dedicated vCPUs`` in Microsoft's examples, and has been seen as
    ``standardDSv2Family``. Low-priority cores and those of one workspace are other quotas.
    """
    kind, name = usage["type"].lower(), usage["name"]["value"].replace(" ", "").lower()
    if "lowpriority" in kind or "lowpriority" in name or "/workspace" in kind:
        return ""
    if kind.endswith("/dedicatedcores/usages") and "vmfamily" not in kind:
        return "total"
    return str(name.removesuffix("clusterdedicatedvcpus"))


def _app_service(plan: Plan, subscription: str) -> list[Finding]:
    """The machines that a tier may have in the location.

    https://learn.microsoft.com/rest/api/appservice/get-usages-in-location/list. Believed: a tier's name is the one in
    the refusal, ``Current Limit (Basic VMs): 0``.
    """
    name = plan.config.gateway.app_service_plan
    tier = CATALOGUE["azure"]["app_service_plans"][name]
    path = f"{subscription}/providers/Microsoft.Web/locations/{plan.config.region}/usages"
    for each in arm.listed(path, WEB_API):
        names = {str(value).lower() for value in each["name"].values()}
        if names & {f"{tier} VMs".lower(), tier.lower()}:
            if each["limit"] == UNLIMITED:
                return []
            held = 1 if plan.existing_inputs("azure-native:web:AppServicePlan") else 0
            return too_little(
                f"App Service: {tier} machines",
                1,
                each["limit"] - each["currentValue"] + held,
                f"the gateway's plan is {name}",
                "triplane:gateway: {app_service_plan: …} chooses another tier (S1, P0v3); or ask for more:"
                f" {APP_SERVICE_QUOTA_PAGE}",
            )
    return [
        not_known(
            f"App Service: {tier} machines",
            f"App Service reports no quota of the tier in {plan.config.region}",
            f"Look it up: {APP_SERVICE_QUOTA_PAGE}",
        )
    ]
