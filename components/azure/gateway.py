"""The gateway on Azure: a web app of App Service, which runs the platform's image."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import web

from components import contracts
from components.azure.api_key import ApiKey
from components.azure.dynamic.app_settings import AppSettings
from components.azure.foundation import Foundation
from components.azure.identity import Identity
from config.catalogue import CATALOGUE

PORT = 8080


class Gateway(contracts.Gateway):
    """A web app that pulls the image, reads its key and calls the endpoint as its own identity."""

    def __init__(
        self, name: str, args: contracts.GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:Gateway", name, None, opts)
        foundation, identity = Foundation.of(args.foundation), Identity.of(args.identity)
        child = pulumi.ResourceOptions(parent=self)

        plan = web.AppServicePlan(
            f"{name}-plan",
            resource_group_name=foundation.group.name,
            location=foundation.region,
            kind="linux",
            reserved=True,  # Azure's word for Linux
            sku=web.SkuDescriptionArgs(
                name=args.app_service_plan,
                tier=CATALOGUE["azure"]["app_service_plans"][args.app_service_plan],
                capacity=1,
            ),
            tags=foundation.tags,
            opts=child,
        )
        settings = _settings(args, identity)
        app = web.WebApp(
            name,
            resource_group_name=foundation.group.name,
            location=foundation.region,
            kind="app,linux,container",
            reserved=True,
            server_farm_id=plan.id,
            identity=web.ManagedServiceIdentityArgs(
                type=web.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[identity.principal],
            ),
            https_only=True,
            client_affinity_enabled=False,
            site_config=web.SiteConfigArgs(
                linux_fx_version=pulumi.Output.concat("DOCKER|", args.image),
                acr_use_managed_identity_creds=True,
                acr_user_managed_identity_id=identity.client_id,
                # Named, because what is left out keeps its former value (believed): there was one.
                app_command_line="",
                app_settings=settings.apply(_pairs),
                always_on=True,
                health_check_path="/healthz",
                http20_enabled=True,
                min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                scm_min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                ftps_state=web.FtpsState.DISABLED,
            ),
            tags=foundation.tags,
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(depends_on=identity.attachments)
            ),
        )

        _refuse_passwords(name, foundation, app, self)
        AppSettings(f"{name}-settings", app=app.id, settings=settings, opts=child)

        self.url = pulumi.Output.concat("https://", app.default_host_name)
        self.register_outputs({"url": self.url})


def _refuse_passwords(
    name: str, foundation: Foundation, app: web.WebApp, parent: pulumi.Resource
) -> None:
    """No sign-in with the app's publishing password, which every app has: an Entra token is needed to deploy to it.

    https://learn.microsoft.com/azure/app-service/configure-basic-auth-disable
    """
    for method, policy in (("ftp", web.WebAppFtpAllowed), ("scm", web.WebAppScmAllowed)):
        policy(
            f"{name}-{method}",
            resource_group_name=foundation.group.name,
            name=app.name,
            allow=False,
            # A deletion would allow the password again, and the app is deleted next.
            opts=pulumi.ResourceOptions(parent=parent, deleted_with=app),
        )


def _settings(args: contracts.GatewayArgs, identity: Identity) -> pulumi.Output[dict[str, str]]:
    """The app's settings. Of the key they have the address only: the gateway reads it, and tries again."""
    cloud: dict[str, pulumi.Input[str]] = {
        "AZURE_CLIENT_ID": identity.client_id,
        "ENDPOINT_KIND": "azureml",
        "PORT": str(PORT),
        "WEBSITES_PORT": str(PORT),
        # The container does not use the shared file system.
        "WEBSITES_ENABLE_APP_SERVICE_STORAGE": "false",
    }
    if args.max_concurrency:  # without it, the gateway's own: 80 in one container
        # App Service has no limit of its own on requests at a time.
        cloud["MAX_CONCURRENCY"] = str(args.max_concurrency)
    if args.key:
        cloud["API_KEY_SECRET_URI"] = ApiKey.of(args.key).uri
    return args.environment(**cloud)


def _pairs(settings: dict[str, str]) -> list[web.NameValuePairArgs]:
    return [web.NameValuePairArgs(name=name, value=value) for name, value in settings.items()]
