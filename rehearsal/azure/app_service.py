"""App Service: plans, and web apps that run an image behind an endpoint of their own."""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

import anyio.to_thread
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from rehearsal.azure import container_registry, credentials, key_vault, limits
from rehearsal.azure.calls import Call
from rehearsal.azure.ids import by_id
from rehearsal.azure.resource_type import IDENTITY, AzureResourceType, field, user_assigned
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name
from rehearsal.runtime.containers import Container, ContainerFailed

PLAN = "azure-native:web:AppServicePlan"
SITE = "azure-native:web:WebApp"
PROBLEMS = "azure-app-problems"
"""The namespace with the reason why an app does not start."""
REFERENCES = "azure-app-references"
"""The namespace with what the Key Vault references of an app were resolved to."""
FORMER = "azure-apps-that-change"
"""The namespace of the apps whose former container still answers."""
RESTART_SECONDS = 30
"""An app that did not start is started again so often: seconds of the cloud, believed."""
FTP, SCM = "azure-native:web:WebAppFtpAllowed", "azure-native:web:WebAppScmAllowed"
# https://learn.microsoft.com/azure/app-service/troubleshoot-http-502-http-503
ERROR_PAGE = """<!DOCTYPE html><title>Application Error</title><h1>:( Application Error</h1>
<p>If you are the application administrator, you can access the diagnostic resources.</p>"""


class AppServicePlan(AzureResourceType):
    """The machines that web apps run on."""

    token = PLAN
    source = "https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftweb"
    path = "Microsoft.Web/serverfarms/{name}"
    name = Name(
        property="name",
        pattern=r"[a-zA-Z0-9-]*",
        max=60,
        rule="1 to 60 letters, digits and hyphens",
        unique=("resourceGroupName",),
    )

    def on_create(self, context: Context, record: Record) -> None:
        limits.require_machines(context, record.inputs)

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        if (old.inputs.get("sku") or {}).get("tier") != (record.inputs.get("sku") or {}).get(
            "tier"
        ):
            limits.require_machines(context, record.inputs)

    def delete(self, context: Context, record: Record) -> None:
        apps = [
            r.outputs["name"]
            for r in context.all(SITE)
            if r.inputs.get("serverFarmId") == record.id
        ]
        if apps:
            raise Refusal(
                "Conflict",
                f"Server farm '{record.outputs['name']}' cannot be deleted because it has web"
                f" app(s) {', '.join(apps)} assigned to it.",
            )


class WebApp(AzureResourceType):
    """A web app for containers."""

    token = SITE
    source = "https://learn.microsoft.com/azure/app-service/configure-custom-container"
    executes = "the image as a process on this machine, behind a TLS endpoint of its own"
    path = "Microsoft.Web/sites/{name}"
    references: ClassVar = {"serverFarmId": PLAN}
    name = Name(
        property="name",
        pattern=r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?",
        min=2,
        max=60,
        rule="2 to 60 letters, digits and hyphens, none at the ends",
        taken="Conflict",
    )

    # https://github.com/pulumi/pulumi-azure-native/issues/4263
    # https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/resources/customresources/custom_webapp.go
    unread = ("siteConfig.appSettings",)

    def on_create(self, context: Context, record: Record) -> None:
        _configure(context, record)

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        _configure_later(context, record)

    def delete(self, context: Context, record: Record) -> None:
        context.kv.delete(REFERENCES, record.id)
        context.kv.delete(FORMER, record.id)
        context.endpoints.close(_key(record))
        context.containers.stop(_key(record))
        credentials.delete_app_header(context, record.id)
        for policy in (*context.all(FTP), *context.all(SCM)):
            if policy.id.startswith(f"{record.id}/"):
                context.store.remove(policy)


class PublishingPolicy(AzureResourceType):
    """Whether an app takes its publishing password. Recorded: the rehearsal has no such way in.

    Every app has both policies, and the password is allowed. azure-native takes what exists for its own, and a
    deletion allows the password again:
    https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/openapi/defaults/defaultResourcesState.go
    """

    source = "https://learn.microsoft.com/azure/app-service/configure-basic-auth-disable"
    references: ClassVar = {"name": SITE}

    def read(self, context: Context, record: Record) -> bool:
        return context.find_referenced(SITE, record.inputs["name"]) is not None

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        record.outputs["name"] = old.outputs["name"]


class FtpAllowed(PublishingPolicy):
    """The policy for FTP."""

    token = FTP
    path = "Microsoft.Web/sites/{name}/basicPublishingCredentialsPolicies/ftp"


class ScmAllowed(PublishingPolicy):
    """The policy for deployments over HTTPS."""

    token = SCM
    path = "Microsoft.Web/sites/{name}/basicPublishingCredentialsPolicies/scm"


def reopen(context: Context) -> None:
    """Open the endpoints of all web apps again, after a restart of the rehearsal."""
    for record in context.all(SITE):
        if context.kv.get(FORMER, record.id):
            context.kv.delete(FORMER, record.id)
            _configure(context, record)
        context.endpoints.open(_key(record), _handler(context, record), tls=True)


def list_settings(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/appservice/web-apps/list-application-settings"""
    record = _called_app(call, "list/action")
    return {"properties": _settings(record)}


def put_settings(call: Call) -> Json:
    """Write all settings: those that the body does not name are removed. The app starts again.

    https://learn.microsoft.com/rest/api/appservice/web-apps/update-application-settings
    """
    record = _called_app(call, "write")
    settings = call.body["properties"]
    pairs = [{"name": name, "value": value} for name, value in settings.items()]
    record.inputs["siteConfig"] = {**(record.inputs.get("siteConfig") or {}), "appSettings": pairs}
    _configure_later(call.context, record)
    call.context.save(record)
    call.context.ledger.note("updated", record, f"settings: {', '.join(settings)}")
    return {"properties": settings}


def _called_app(call: Call, action: str) -> Record:
    """The app in a request's address, if the caller may do this to its configuration."""
    site = call.url.path.rpartition("/config/")[0]
    record = by_id(call.context, SITE, site)
    if record is None:
        raise Refusal("ResourceNotFound", f"The Resource '{site}' was not found.")
    call.require(f"Microsoft.Web/sites/config/{action}", record.id)
    return record


def _configure_later(context: Context, record: Record) -> None:
    """Configure an app that runs: the former container answers until the new one is warm, after the PUT has returned.

    https://learn.microsoft.com/azure/app-service/deploy-best-practices#use-deployment-slots (believed: for how long)
    """
    seconds = context.behaviour.operation_seconds("web:container")
    if not seconds:
        _configure(context, record)
        return
    _check_plan(context, record)
    context.kv.put(FORMER, record.id, True)

    def configure() -> None:
        time.sleep(seconds)
        now = by_id(context, SITE, record.id)
        if now is not None and context.kv.get(FORMER, now.id):
            context.kv.delete(FORMER, now.id)
            _configure(context, now)
            context.save(now)

    threading.Thread(target=configure, name=f"start {record.outputs['name']}", daemon=True).start()


def _configure(context: Context, record: Record) -> None:
    """Start an app after a change of its configuration, which resolves its Key Vault references again.

    Otherwise they are resolved again after 24 hours; nothing here is so old.
    https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#rotation
    """
    resolved = {
        name: _resolved(context, record, value)
        for name, value in _settings(record).items()
        if value.startswith("@Microsoft.KeyVault(")
    }
    context.kv.put(REFERENCES, record.id, resolved)
    _start(context, record)


def _start(context: Context, record: Record) -> None:
    """Run the app's image. As on Azure, an app that cannot start exists and answers 503."""
    _check_plan(context, record)
    problem = ""
    try:
        context.containers.run(_key(record), _container(context, record))
    except (ContainerFailed, Refusal) as error:
        problem = str(error)
        context.ledger.note("fault", record, f"the app does not start: {problem}")
    context.kv.put(PROBLEMS, record.id, problem)
    host = context.endpoints.open(_key(record), _handler(context, record), tls=True).partition(
        "//"
    )[2]
    record.outputs |= {
        "defaultHostName": host,
        "hostNames": [host],
        "enabledHostNames": [host],
        "state": "Running",
        "availabilityState": "Normal",
        "resourceGroup": record.inputs["resourceGroupName"],
    }


def _check_plan(context: Context, record: Record) -> None:
    plan = context.find_referenced(PLAN, record.inputs["serverFarmId"])
    assert plan is not None  # `references` has checked it
    tier = (plan.inputs.get("sku") or {}).get("tier", "")
    if field(record.inputs, "siteConfig.alwaysOn") and tier in ("Free", "Shared", "Dynamic"):
        raise Refusal(
            "Conflict",
            "There was a conflict. AlwaysOn cannot be set for this site as the plan does not allow it.",
        )


def _container(context: Context, record: Record) -> Container:
    """What App Service runs for an app."""
    config = record.inputs.get("siteConfig") or {}
    kind, _, reference = (config.get("linuxFxVersion") or "").partition("|")
    if kind.upper() != "DOCKER":
        raise Refusal("NotSupported", f"the rehearsal runs DOCKER|… only, not {kind or 'code'}")
    image = container_registry.pulled_image(context, reference, _puller(context, record))
    return Container(
        image=image.reference,
        args=tuple((config.get("appCommandLine") or "").split()),
        env={
            **_settings(record),
            **context.kv.get(REFERENCES, record.id, {}),
            "WEBSITE_SITE_NAME": record.outputs["name"],
            "IDENTITY_ENDPOINT": f"{context.base_url}/azure/identity/token",
            "IDENTITY_HEADER": credentials.app_header(context, record.id, _identities(record)),
        },
        health=config.get("healthCheckPath") or "/",
    )


def _identities(record: Record) -> list[str]:
    """The ids of the managed identities that are assigned to an app."""
    return (record.inputs.get("identity") or {}).get("userAssignedIdentities") or []


def _puller(context: Context, record: Record) -> str:
    """The principal that pulls the app's image."""
    config: dict[str, Any] = record.inputs.get("siteConfig") or {}
    client = config.get("acrUserManagedIdentityID")
    identity = context.find(IDENTITY, clientId=client) if client else None
    if (
        not config.get("acrUseManagedIdentityCreds")
        or not identity
        or identity.id not in _identities(record)
    ):
        raise Refusal(
            "ImagePullUnauthorized",
            "the registry's admin user is off: set acrUseManagedIdentityCreds, and"
            " acrUserManagedIdentityID to the client id of an identity that is assigned to the app",
        )
    principal: str = identity.outputs["principalId"]
    return principal


def _resolved(context: Context, record: Record, value: str) -> str:
    """A setting's value; a Key Vault reference that fails stays as it is, as on App Service."""
    identity = record.inputs.get("keyVaultReferenceIdentity", "SystemAssigned")
    if identity == "SystemAssigned":
        return value
    principal = user_assigned(context, identity).outputs["principalId"]
    return key_vault.resolve(context, value, principal) or value


def _settings(record: Record) -> dict[str, str]:
    """An app's settings, as they are written."""
    pairs = field(record.inputs, "siteConfig.appSettings") or ()
    return {each["name"]: each["value"] for each in pairs}


def _handler(context: Context, record: Record) -> Any:
    """What answers at an app's endpoint: its container, or Azure's error page."""
    if not context.kv.get(PROBLEMS, record.id):
        return _key(record)
    return NotStarted(context, record.id)


class NotStarted:
    """Answers for an app that did not start. A request starts it again, as the platform does by itself."""

    def __init__(self, context: Context, app: str) -> None:
        self._context, self._app = context, app
        self._lock = threading.Lock()
        self._next = time.monotonic() + self._pause()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.to_thread.run_sync(self._start_again)
        await HTMLResponse(ERROR_PAGE, 503)(scope, receive, send)

    def _start_again(self) -> None:
        with self._lock:
            record = by_id(self._context, SITE, self._app)
            if record is None or time.monotonic() < self._next:
                return
            self._next = time.monotonic() + self._pause()
        # Opens the endpoint again: with the container, or with another one of these.
        _start(self._context, record)

    def _pause(self) -> float:
        return max(1.0, self._context.behaviour.shortened(RESTART_SECONDS))


def _key(record: Record) -> str:
    """The key of an app's container and endpoint."""
    return f"azure/{record.outputs['name']}"
