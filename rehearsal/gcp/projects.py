"""Resource Manager and Cloud Billing: the project, what its caller may do in it, and who pays."""

from __future__ import annotations

from rehearsal.core.records import Json
from rehearsal.gcp import permissions, service_usage
from rehearsal.gcp.calls import Call


def get_project(call: Call) -> Json:
    """https://cloud.google.com/resource-manager/reference/rest/v3/projects/get"""
    service_usage.require_api(call.context, call.project, service_usage.RESOURCE_MANAGER)
    number = call.context.account.gcp_number(call.project)
    return {"name": f"projects/{number}", "projectId": call.project, "state": "ACTIVE"}


def test_permissions(call: Call) -> Json:
    """What the caller holds of the permissions that it asks about. Asking needs none.

    https://cloud.google.com/resource-manager/reference/rest/v3/projects/testIamPermissions
    """
    context = call.context
    service_usage.require_api(context, call.project, service_usage.RESOURCE_MANAGER)
    asked = call.body["permissions"]
    held = [p for p in asked if permissions.allowed(context, call.caller, p, permissions.PROJECT)]
    return {"permissions": held} if held else {}


def get_billing(call: Call) -> Json:
    """https://cloud.google.com/billing/docs/reference/rest/v1/projects/getBillingInfo"""
    return {
        "name": f"projects/{call.project}/billingInfo",
        "projectId": call.project,
        "billingAccountName": "billingAccounts/000000-000000-000000",
        "billingEnabled": True,
    }
