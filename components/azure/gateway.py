"""The gateway on Azure: the image as a Linux web app of App Service."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_azure_native import web

from components import contracts
from components.azure.api_key import ApiKey
from components.azure.foundation import Foundation
from components.azure.identity import Identity

PORT = 8080


class Gateway(contracts.Gateway):
    """A web app that pulls the image, reads its key and calls the endpoint as its own identity."""

    url: pulumi.Output[str]
    app: web.WebApp

    def __init__(
        self, name: str, args: contracts.GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:Gateway", name, {}, opts)
        foundation, identity, key = args.foundation, args.identity, args.key
        assert isinstance(foundation, Foundation)
        assert isinstance(identity, Identity)
        assert key is None or isinstance(key, ApiKey)
        child = pulumi.ResourceOptions(parent=self)

        plan = web.AppServicePlan(
            f"{name}-plan",
            resource_group_name=foundation.group.name,
            location=foundation.location,
            kind="linux",
            reserved=True,  # Azure's word for: Linux.
            # The smallest that is always on and has the health check act; Free and Shared have not.
            sku=web.SkuDescriptionArgs(name="B1", tier="Basic", capacity=1),
            tags=foundation.tags,
            opts=child,
        )
        settings: dict[str, pulumi.Input[str]] = {
            **args.settings,
            "ACCESS": "key" if key else "public",
            "AZURE_CLIENT_ID": identity.client_id,
            "CAPTURE_URI": pulumi.Output.concat(args.lake.uri, "/", contracts.Zone.CAPTURES.value),
            # App Service has no limit of its own on requests at a time.
            "MAX_CONCURRENCY": str(args.max_concurrency),
            "PORT": str(PORT),
            "WEBSITES_PORT": str(PORT),
            # A container of its own has no use for the shared file system.
            "WEBSITES_ENABLE_APP_SERVICE_STORAGE": "false",
        }
        if key:
            settings["API_KEY"] = key.reference
        self.app = web.WebApp(
            name,
            resource_group_name=foundation.group.name,
            location=foundation.location,
            kind="app,linux,container",
            reserved=True,
            server_farm_id=plan.id,
            identity=web.ManagedServiceIdentityArgs(
                type=web.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identity.principal],
            ),
            # Without it, Key Vault references are resolved as a system-assigned identity.
            key_vault_reference_identity=identity.principal,
            https_only=True,
            client_affinity_enabled=False,
            site_config=web.SiteConfigArgs(
                linux_fx_version=pulumi.Output.concat("DOCKER|", args.image),
                acr_use_managed_identity_creds=True,
                acr_user_managed_identity_id=identity.client_id,
                app_command_line="gateway",
                app_settings=_pairs(settings, args.endpoint.gateway_settings),
                always_on=True,
                health_check_path="/healthz",
                http20_enabled=True,
                min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                scm_min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                ftps_state=web.FtpsState.DISABLED,
            ),
            tags=foundation.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=identity.ready),
        )

        self.url = pulumi.Output.concat("https://", self.app.default_host_name)
        self.register_outputs({"url": self.url})


def _pairs(
    settings: Mapping[str, pulumi.Input[str]], endpoint: pulumi.Output[dict[str, str]]
) -> pulumi.Output[list[web.NameValuePairArgs]]:
    """App settings as Azure takes them; sorted, so that the order is no change."""
    return pulumi.Output.all(settings, endpoint).apply(
        lambda parts: [
            web.NameValuePairArgs(name=key, value=value)
            for key, value in sorted({**parts[0], **parts[1]}.items())
        ]
    )
