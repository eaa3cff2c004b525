"""A plan of Azure as configurations of the azurerm provider, which validates them with its own code.

Every input is either converted or named with the reason why it is not: a conversion that leaves one out is an error.
The provider has no types for Azure ML's endpoints and models.
https://registry.terraform.io/providers/hashicorp/azurerm/latest/docs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from api_models.arm import TYPES
from api_models.resource import Plan, Resource

NATIVE = "azure-native:"
SUBSCRIPTION = "/subscriptions/11111111-2222-4333-8444-555555555555"
Json = dict[str, Any]


class NotConverted(Exception):
    """Something would be left out of the judgement; the message names it."""


@dataclass
class Inputs:
    """A resource's inputs, each of which is taken once."""

    resource: Resource
    plan: Plan
    left: Json = field(init=False)

    def __post_init__(self) -> None:
        self.left = dict(self.resource.inputs)

    def take(self, path: str) -> Any:
        """The value at a path, which is not there afterwards; None if there is none."""
        *parents, last = path.split(".")
        holder = self.left
        for each in parents:
            if not isinstance(holder.get(each), dict):
                return None
            holder[each] = dict(holder[each])
            holder = holder[each]
        return holder.pop(last, None)

    def rest(self) -> list[str]:
        """The paths that nobody has taken."""
        return sorted(_paths(self.left))

    def id(self, path: str) -> str | None:
        """The id of the resource that the value names."""
        value = self.take(path)
        return value if value is None else arm_id(str(value), self.plan)

    def named(self, path: str) -> Any:
        """The name that the program gives, or the one that Pulumi has made up."""
        return self.take(path) or self.resource.id

    def placed(self, name: str) -> Json:
        """What nearly every type has."""
        return {
            "name": self.named(name),
            "resource_group_name": self.take("resourceGroupName"),
            "location": self.take("location"),
            "tags": self.take("tags"),
        }

    def part(self, type_: str, owner: str) -> Inputs | None:
        """The inputs of the part of this resource that is a type of its own in azure-native."""
        for each in self.plan:
            if each.type == NATIVE + type_ and each.get(owner) == self.resource.id:
                return Inputs(each, self.plan)
        return None


def _paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{name}" if path else name)
    elif path:
        yield path


def arm_id(value: str, plan: Plan) -> str:
    """The id in Resource Manager of what a mock's id names; an id stays as it is."""
    if value.startswith("/"):
        return value
    for each in plan:
        short = each.type.removeprefix(NATIVE)
        if each.id == value and short in TYPES:
            return _id_of(each, short)
    return value


def _id_of(resource: Resource, short: str) -> str:
    if short == "resources:ResourceGroup":
        return f"{SUBSCRIPTION}/resourceGroups/{resource.id}"
    type_, names = TYPES[short]
    # Resource Manager does not tell capitals from small letters in an id, and azurerm does.
    type_ = type_.replace("Microsoft.Web/serverfarms", "Microsoft.Web/serverFarms")
    if short == "authorization:RoleDefinition":  # of the subscription, whatever its scope
        return f"{SUBSCRIPTION}/providers/{type_}/{resource.get(names[0])}"
    provider, *parts = type_.split("/")
    *parents, last = (resource.inputs.get(name) for name in names)
    # A blob service is part of the type, and has one name only.
    between = ["default"] * (len(parts) - len(names))
    values = [*parents, *between, last or resource.id]
    pairs = (f"{part}/{value}" for part, value in zip(parts, values, strict=True))
    group = resource.inputs.get("resourceGroupName")
    return "/".join((f"{SUBSCRIPTION}/resourceGroups/{group}/providers", provider, *pairs))


def _resource_group(of: Inputs) -> Json:
    placed = of.placed("resourceGroupName")
    return {name: placed[name] for name in ("name", "location", "tags")}


def _storage_account(of: Inputs) -> Json:
    tier, _, replication = str(of.take("sku.name")).partition("_")
    service = of.part("storage:BlobServiceProperties", "accountName")
    return {
        **of.placed("accountName"),
        "account_kind": of.take("kind"),
        "account_tier": tier,
        "account_replication_type": replication,
        "access_tier": of.take("accessTier"),
        "min_tls_version": of.take("minimumTlsVersion"),
        "https_traffic_only_enabled": of.take("enableHttpsTrafficOnly"),
        "shared_access_key_enabled": of.take("allowSharedKeyAccess"),
        "cross_tenant_replication_enabled": of.take("allowCrossTenantReplication"),
        "default_to_oauth_authentication": of.take("defaultToOAuthAuthentication"),
        "local_user_enabled": of.take("isLocalUserEnabled"),
        "allow_nested_items_to_be_public": of.take("allowBlobPublicAccess"),
        "public_network_access_enabled": _enabled(of.take("publicNetworkAccess")),
        "blob_properties": [_blob_service(service)] if service else [],
    }


def _blob_service(of: Inputs) -> Json:
    for name in ("accountName", "resourceGroupName", "blobServicesName"):
        of.take(name)
    found = {
        "versioning_enabled": of.take("isVersioningEnabled"),
        "delete_retention_policy": _days(of, "deleteRetentionPolicy"),
        "container_delete_retention_policy": _days(of, "containerDeleteRetentionPolicy"),
    }
    _refuse_rest(of)
    return found


def _days(of: Inputs, path: str) -> list[Json]:
    days = of.take(f"{path}.days")
    return [{"days": days}] if of.take(f"{path}.enabled") else []


def _container(of: Inputs) -> Json:
    of.take("resourceGroupName")
    return {
        "name": of.named("containerName"),
        "storage_account_id": of.id("accountName"),
        "container_access_type": {"None": "private"}.get(
            str(access := of.take("publicAccess")), access
        ),
    }


def _lifecycle(of: Inputs) -> Json:
    for name in ("resourceGroupName", "managementPolicyName"):
        of.take(name)
    return {
        "storage_account_id": of.id("accountName"),
        "rule": [_lifecycle_rule(each) for each in of.take("policy.rules")],
    }


def _lifecycle_rule(rule: Json) -> Json:
    definition = rule["definition"]
    base = definition["actions"].get("baseBlob", {}).get("delete", {})
    version = definition["actions"].get("version", {}).get("delete", {})
    filters = definition["filters"]
    _refuse_names(rule, {"name", "type", "definition", "enabled"})
    _refuse_names(definition, {"filters", "actions"})
    _refuse_names(definition["actions"], {"baseBlob", "version"})
    _refuse_names(filters, {"blobTypes", "prefixMatch"})
    _refuse_names(base, {"daysAfterModificationGreaterThan"})
    _refuse_names(version, {"daysAfterCreationGreaterThan"})
    after = {
        "base_blob": (
            "delete_after_days_since_modification_greater_than",
            base.get("daysAfterModificationGreaterThan"),
        ),
        "version": (
            "delete_after_days_since_creation",
            version.get("daysAfterCreationGreaterThan"),
        ),
    }
    return {
        "name": rule["name"],
        "enabled": rule.get("enabled", True),
        "filters": [
            {"blob_types": filters["blobTypes"], "prefix_match": filters.get("prefixMatch")}
        ],
        "actions": [
            {name: [{key: days}] for name, (key, days) in after.items() if days is not None}
        ],
    }


def _registry(of: Inputs) -> Json:
    return {
        **of.placed("registryName"),
        "sku": of.take("sku.name"),
        "admin_enabled": of.take("adminUserEnabled"),
        "anonymous_pull_enabled": of.take("anonymousPullEnabled"),
        "public_network_access_enabled": _enabled(of.take("publicNetworkAccess")),
        "zone_redundancy_enabled": _enabled(of.take("zoneRedundancy")),
        "network_rule_bypass_option": of.take("networkRuleBypassOptions"),
    }


def _vault(of: Inputs) -> Json:
    return {
        **of.placed("vaultName"),
        "tenant_id": of.take("properties.tenantId"),
        "sku_name": of.take("properties.sku.name"),
        "soft_delete_retention_days": of.take("properties.softDeleteRetentionInDays"),
        "purge_protection_enabled": of.take("properties.enablePurgeProtection"),
        "rbac_authorization_enabled": of.take("properties.enableRbacAuthorization"),
        "enabled_for_deployment": of.take("properties.enabledForDeployment"),
        "enabled_for_disk_encryption": of.take("properties.enabledForDiskEncryption"),
        "enabled_for_template_deployment": of.take("properties.enabledForTemplateDeployment"),
        "public_network_access_enabled": _enabled(of.take("properties.publicNetworkAccess")),
    }


def _secret(of: Inputs) -> Json:
    of.take("resourceGroupName")
    return {
        "name": of.named("secretName"),
        "key_vault_id": of.id("vaultName"),
        "value": of.take("properties.value"),
        "content_type": of.take("properties.contentType"),
        "tags": of.take("tags"),
    }


def _insights(of: Inputs) -> Json:
    return {
        **of.placed("resourceName"),
        "application_type": of.take("applicationType"),
        "workspace_id": of.id("workspaceResourceId"),
        "internet_ingestion_enabled": _enabled(of.take("publicNetworkAccessForIngestion")),
        "internet_query_enabled": _enabled(of.take("publicNetworkAccessForQuery")),
    }


def _logs(of: Inputs) -> Json:
    return {
        **of.placed("workspaceName"),
        "sku": of.take("sku.name"),
        "retention_in_days": of.take("retentionInDays"),
    }


def _federated_credential(of: Inputs) -> Json:
    of.take("resourceGroupName")
    return {
        "name": of.named("federatedIdentityCredentialResourceName"),
        "user_assigned_identity_id": of.id("resourceName"),
        "audience": of.take("audiences"),
        "issuer": of.take("issuer"),
        "subject": of.take("subject"),
    }


def _role_assignment(of: Inputs) -> Json:
    return {
        "name": of.named("roleAssignmentName"),
        "scope": of.id("scope"),
        "role_definition_id": of.id("roleDefinitionId"),
        "principal_id": of.take("principalId"),
        "principal_type": of.take("principalType"),
        "condition": of.take("condition"),
        "condition_version": of.take("conditionVersion"),
    }


def _role_definition(of: Inputs) -> Json:
    names = {"actions": "actions", "dataActions": "data_actions"}
    permissions = of.take("permissions")
    for each in permissions:
        _refuse_names(each, set(names))
    return {
        "role_definition_id": of.named("roleDefinitionId"),
        "name": of.take("roleName"),
        "scope": of.id("scope"),
        "description": of.take("description"),
        "permissions": [{names[key]: value for key, value in each.items()} for each in permissions],
        "assignable_scopes": [arm_id(each, of.plan) for each in of.take("assignableScopes")],
    }


def _plan(of: Inputs) -> Json:
    return {
        **of.placed("name"),
        "os_type": "Linux" if of.take("reserved") else "Windows",
        "sku_name": of.take("sku.name"),
        "worker_count": of.take("sku.capacity"),
    }


def _web_app(of: Inputs) -> Json:
    passwords = {
        name: part.take("allow") if (part := of.part(type_, "name")) else None
        for name, type_ in (
            ("ftp_publish_basic_authentication_enabled", "web:WebAppFtpAllowed"),
            ("webdeploy_publish_basic_authentication_enabled", "web:WebAppScmAllowed"),
        )
    }
    image = str(of.take("siteConfig.linuxFxVersion")).removeprefix("DOCKER|")
    registry, _, name = image.partition("/")
    settings = of.take("siteConfig.appSettings") or ()
    return {
        **of.placed("name"),
        **passwords,
        "service_plan_id": of.id("serverFarmId"),
        "https_only": of.take("httpsOnly"),
        "client_affinity_enabled": of.take("clientAffinityEnabled"),
        "identity": _identity(of),
        "key_vault_reference_identity_id": of.id("keyVaultReferenceIdentity"),
        "app_settings": {each["name"]: each["value"] for each in settings},
        "site_config": [
            {
                "always_on": of.take("siteConfig.alwaysOn"),
                "app_command_line": of.take("siteConfig.appCommandLine"),
                "container_registry_use_managed_identity": of.take(
                    "siteConfig.acrUseManagedIdentityCreds"
                ),
                "container_registry_managed_identity_client_id": of.take(
                    "siteConfig.acrUserManagedIdentityID"
                ),
                "ftps_state": of.take("siteConfig.ftpsState"),
                "health_check_path": of.take("siteConfig.healthCheckPath"),
                # The provider wants both or none; the service has this default.
                "health_check_eviction_time_in_min": 10,
                "http2_enabled": of.take("siteConfig.http20Enabled"),
                "minimum_tls_version": of.take("siteConfig.minTlsVersion"),
                "scm_minimum_tls_version": of.take("siteConfig.scmMinTlsVersion"),
                "application_stack": [
                    {"docker_image_name": name, "docker_registry_url": f"https://{registry}"}
                ],
            }
        ],
    }


def _identity(of: Inputs) -> list[Json]:
    ids = of.take("identity.userAssignedIdentities") or ()
    return [{"type": of.take("identity.type"), "identity_ids": [arm_id(i, of.plan) for i in ids]}]


TRIGGER = {
    "metricName": "metric_name",
    "metricResourceUri": "metric_resource_id",
    "operator": "operator",
    "statistic": "statistic",
    "threshold": "threshold",
    "timeAggregation": "time_aggregation",
    "timeGrain": "time_grain",
    "timeWindow": "time_window",
}
ACTION = ("cooldown", "direction", "type", "value")


def _autoscale(of: Inputs) -> Json:
    return {
        **of.placed("autoscaleSettingName"),
        "enabled": of.take("enabled"),
        "target_resource_id": of.id("targetResourceUri"),
        "profile": [_scaling_profile(each, of.plan) for each in of.take("profiles")],
    }


def _scaling_profile(profile: Json, plan: Plan) -> Json:
    _refuse_names(profile, {"name", "rules", "capacity"})
    rules = []
    for rule in profile["rules"]:
        _refuse_names(rule, {"metricTrigger", "scaleAction"})
        _refuse_names(rule["metricTrigger"], set(TRIGGER))
        _refuse_names(rule["scaleAction"], set(ACTION))
        trigger = {TRIGGER[key]: value for key, value in rule["metricTrigger"].items()}
        trigger["metric_resource_id"] = arm_id(trigger["metric_resource_id"], plan)
        action = {**rule["scaleAction"], "value": int(rule["scaleAction"]["value"])}
        rules.append({"metric_trigger": [trigger], "scale_action": [action]})
    capacity = {name: int(value) for name, value in profile["capacity"].items()}
    return {"name": profile["name"], "capacity": [capacity], "rule": rules}


def _ml_workspace(of: Inputs) -> Json:
    return {
        **of.placed("workspaceName"),
        "application_insights_id": of.id("applicationInsights"),
        "key_vault_id": of.id("keyVault"),
        "storage_account_id": of.id("storageAccount"),
        "identity": _identity(of),
        "primary_user_assigned_identity": of.id("primaryUserAssignedIdentity"),
        "public_network_access_enabled": _enabled(of.take("publicNetworkAccess")),
        "sku_name": of.take("sku.name"),
        "kind": of.take("kind"),
        "v1_legacy_mode_enabled": of.take("v1LegacyMode"),
    }


@dataclass(frozen=True)
class Conversion:
    """azurerm's type, the function that makes its configuration, and the inputs without a place there."""

    type: str
    configuration: Callable[[Inputs], Json]
    not_judged: Mapping[str, str] = field(default_factory=dict)


NO_ARGUMENT = "azurerm has no argument for it"
WRITES_IT = "azurerm writes it itself"
CONVERSIONS: Mapping[str, Conversion] = {
    "applicationinsights:Component": Conversion(
        "azurerm_application_insights",
        _insights,
        dict.fromkeys(("flowType", "ingestionMode", "kind", "requestSource"), WRITES_IT),
    ),
    "authorization:RoleAssignment": Conversion("azurerm_role_assignment", _role_assignment),
    "authorization:RoleDefinition": Conversion(
        "azurerm_role_definition", _role_definition, {"roleType": WRITES_IT}
    ),
    "containerregistry:Registry": Conversion("azurerm_container_registry", _registry),
    "keyvault:Secret": Conversion("azurerm_key_vault_secret", _secret),
    "keyvault:Vault": Conversion(
        "azurerm_key_vault",
        _vault,
        dict.fromkeys(("properties.enableSoftDelete", "properties.sku.family"), WRITES_IT),
    ),
    "machinelearningservices:Workspace": Conversion(
        "azurerm_machine_learning_workspace",
        _ml_workspace,
        {"sku.tier": WRITES_IT, "systemDatastoresAuthMode": NO_ARGUMENT},
    ),
    "managedidentity:FederatedIdentityCredential": Conversion(
        "azurerm_federated_identity_credential", _federated_credential
    ),
    "managedidentity:UserAssignedIdentity": Conversion(
        "azurerm_user_assigned_identity", lambda of: of.placed("resourceName")
    ),
    "monitor:AutoscaleSetting": Conversion("azurerm_monitor_autoscale_setting", _autoscale),
    "operationalinsights:Workspace": Conversion("azurerm_log_analytics_workspace", _logs),
    "resources:ResourceGroup": Conversion("azurerm_resource_group", _resource_group),
    "storage:BlobContainer": Conversion("azurerm_storage_container", _container),
    "storage:ManagementPolicy": Conversion("azurerm_storage_management_policy", _lifecycle),
    "storage:StorageAccount": Conversion("azurerm_storage_account", _storage_account),
    "web:AppServicePlan": Conversion(
        "azurerm_service_plan", _plan, dict.fromkeys(("kind", "sku.tier"), WRITES_IT)
    ),
    "web:WebApp": Conversion(
        "azurerm_linux_web_app",
        _web_app,
        {
            **dict.fromkeys(("hyperV", "isXenon", "kind", "reserved"), WRITES_IT),
            "scmSiteAlsoStopped": NO_ARGUMENT,
            "siteConfig.localMySqlEnabled": NO_ARGUMENT,
            "siteConfig.netFrameworkVersion": NO_ARGUMENT,
        },
    ),
}
PARTS = frozenset({"storage:BlobServiceProperties", "web:WebAppFtpAllowed", "web:WebAppScmAllowed"})
"""Types that are a part of another one in azurerm, which takes their inputs."""
NO_TYPE = "azurerm has no type for it"
NOT_CONVERTED: Mapping[str, str] = {
    "machinelearningservices:Datastore": "azurerm wants a key or a SAS of the account, and the platform has neither",
    "machinelearningservices:EnvironmentVersion": NO_TYPE,
    "machinelearningservices:ModelVersion": NO_TYPE,
    "machinelearningservices:OnlineDeployment": NO_TYPE,
    "machinelearningservices:OnlineEndpoint": NO_TYPE,
}


def configuration(resource: Resource, plan: Plan) -> tuple[str, Json]:
    """The type and the configuration. Raises NotConverted for an input that the conversion does not know."""
    conversion = CONVERSIONS[resource.type.removeprefix(NATIVE)]
    of = Inputs(resource, plan)
    for path in conversion.not_judged:
        of.take(path)
    result = conversion.configuration(of)
    _refuse_rest(of)
    return conversion.type, result


def judged(plan: Plan) -> Plan:
    """The resources that have a configuration. Raises NotConverted for a type that is in no table."""
    native = [each for each in plan if each.type.startswith(NATIVE)]
    known = {*CONVERSIONS, *PARTS, *NOT_CONVERTED}
    if unknown := sorted({each.type for each in native} - {NATIVE + name for name in known}):
        raise NotConverted(
            f"policy/azurerm.py cannot convert {', '.join(unknown)}: add it to a table"
        )
    return [each for each in native if each.type.removeprefix(NATIVE) in CONVERSIONS]


def _enabled(value: Any) -> bool | None:
    return value if value is None else value == "Enabled"


def _refuse_rest(of: Inputs) -> None:
    if rest := of.rest():
        raise NotConverted(f"{of.resource.type}: policy/azurerm.py leaves {', '.join(rest)} out")


def _refuse_names(value: Json, known: set[str]) -> None:
    if rest := sorted(value.keys() - known):
        raise NotConverted(f"policy/azurerm.py leaves {', '.join(rest)} out")
