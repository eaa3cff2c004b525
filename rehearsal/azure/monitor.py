"""Azure Monitor: logs, metrics and autoscaling. They are checked and recorded, nothing runs."""

from __future__ import annotations

from typing import ClassVar

from rehearsal.azure.ids import guid
from rehearsal.azure.resource_type import AzureResourceType
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name

INSIGHTS = "azure-native:applicationinsights:Component"
LOGS = "azure-native:operationalinsights:Workspace"


class LogAnalyticsWorkspace(AzureResourceType):
    """A Log Analytics workspace."""

    token = LOGS
    source = "https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftoperationalinsights"
    path = "Microsoft.OperationalInsights/workspaces/{workspaceName}"
    name = Name(
        property="workspaceName",
        pattern=r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?",
        min=4,
        max=63,
        rule="4 to 63 letters, digits and hyphens, none at the ends",
        unique=("resourceGroupName",),
    )

    def on_create(self, context: Context, record: Record) -> None:
        record.outputs["customerId"] = guid(record.id, "customer")


class ApplicationInsights(AzureResourceType):
    """An Application Insights component."""

    token = INSIGHTS
    source = "https://learn.microsoft.com/azure/azure-monitor/app/create-workspace-resource"
    path = "Microsoft.Insights/components/{resourceName}"
    references: ClassVar = {"workspaceResourceId": LOGS}

    def on_create(self, context: Context, record: Record) -> None:
        key = guid(record.id, "key")
        record.outputs |= {
            "appId": guid(record.id, "app"),
            "instrumentationKey": key,
            "connectionString": f"InstrumentationKey={key}",
            "tenantId": context.account.azure_tenant,
        }


class AutoscaleSetting(AzureResourceType):
    """Rules by which a deployment or a plan would scale."""

    token = "azure-native:monitor:AutoscaleSetting"
    source = "https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints"
    path = "Microsoft.Insights/autoscalesettings/{autoscaleSettingName}"
    # https://learn.microsoft.com/rest/api/monitor/autoscale-settings/create-or-update
    max_tags, tag_name_length = 15, 128
    references: ClassVar = {
        "targetResourceUri": (
            "azure-native:machinelearningservices:OnlineDeployment",
            "azure-native:web:AppServicePlan",
        )
    }

    def check(self, context: Context, inputs: Inputs) -> None:
        super().check(context, inputs)
        for profile in inputs.get("profiles") or ():
            capacity = profile.get("capacity") or {}
            known = [capacity[key] for key in ("minimum", "default", "maximum") if key in capacity]
            if len(known) == 3 and not int(known[0]) <= int(known[1]) <= int(known[2]):
                raise CheckFailure(
                    "profiles.capacity", "minimum, default and maximum must not descend"
                )

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        # azure-native updates it in place: https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/gen/replacement.go
        # The service refuses (believed: a report): https://github.com/Azure/vm-scale-sets/issues/4
        target = old.inputs.get("targetResourceUri")
        if target != record.inputs.get("targetResourceUri"):
            raise Refusal(
                "TargetResourceIdIsImmutable",
                f"The autoscale setting '{record.outputs['name']}' is referencing target resource"
                f" '{target}'. The target resource reference is immutable. If you want to change it,"
                " please create a new autoscale setting with a different name.",
            )
