"""Azure: the rules of the types that the platform uses, and the services that really answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rehearsal.provider.context import Context


def environment(context: Context) -> dict[str, str]:
    """What ``make env`` prints for Azure.

    The first two are what App Service gives an app with a managed identity; azure-identity asks
    there for tokens wherever they are set. The third is azure-native's own: the host that knows where
    the Resource Manager is. https://learn.microsoft.com/azure/app-service/overview-managed-identity
    """
    from rehearsal.azure import authorization, routes

    return {
        "IDENTITY_ENDPOINT": f"{context.base_url}/azure/identity/token",
        "IDENTITY_HEADER": authorization.key(context, routes.ENGINEER),
        "ARM_METADATA_HOSTNAME": routes.manager(context),
    }
