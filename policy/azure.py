"""How Azure shows that the rules are kept. It encrypts everything that it stores.

Who may do what there, and whom it trusts: access/azure.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from policy import rules, secrecy
from policy.access import azure as _access  # noqa: F401  # adds its checks
from policy.record import Plan, Resource

UNTAGGED = {
    "azure-native:authorization:RoleAssignment",
    "azure-native:authorization:RoleDefinition",
    "azure-native:containerregistry:TaskRun",
    "azure-native:machinelearningservices:Datastore",
    "azure-native:machinelearningservices:EnvironmentVersion",
    "azure-native:machinelearningservices:ModelVersion",
    "azure-native:managedidentity:FederatedIdentityCredential",
    "azure-native:storage:BlobContainer",
    "azure-native:storage:BlobServiceProperties",
    "azure-native:storage:ManagementPolicy",
}
"""Types that take no tags, or theirs inside `properties`; a test holds this against the SDK."""
TLS_VERSIONS = {"1.2", "1.3"}
ACCOUNT = "azure-native:storage:StorageAccount"
REGISTRY = "azure-native:containerregistry:Registry"
WEB_APP = "azure-native:web:WebApp"


def settings(app: Resource) -> dict[str, str]:
    """The environment of a web app."""
    return {each["name"]: each.get("value") for each in app.get("siteConfig.appSettings") or []}


rules.PRIVATE.expects(ACCOUNT, allowBlobPublicAccess=False, allowCrossTenantReplication=False)
rules.PRIVATE.expects("azure-native:storage:BlobContainer", publicAccess="None")
rules.PRIVATE.expects(REGISTRY, anonymousPullEnabled=False)


@rules.ONE_DOOR.on(WEB_APP)
def _app(app: Resource, _plan: Plan) -> Iterator[str]:
    access = settings(app).get("ACCESS")
    if access not in ("key", "public"):
        yield f"the app is open, and its ACCESS is {access!r}: it checks no caller"


rules.ONE_DOOR.expects(
    "azure-native:machinelearningservices:OnlineEndpoint", properties__authMode="AADToken"
)
rules.TLS.expects(ACCOUNT, enableHttpsTrafficOnly=True, minimumTlsVersion={"TLS1_2", "TLS1_3"})
rules.TLS.expects(
    WEB_APP,
    httpsOnly=True,
    siteConfig__minTlsVersion=TLS_VERSIONS,
    siteConfig__scmMinTlsVersion=TLS_VERSIONS,
    siteConfig__ftpsState={"Disabled", "FtpsOnly"},
)
rules.IDENTITY.expects(ACCOUNT, allowSharedKeyAccess=False, isLocalUserEnabled=False)
rules.IDENTITY.expects(REGISTRY, adminUserEnabled=False)
rules.IDENTITY.expects(
    WEB_APP, identity__type="UserAssigned", siteConfig__acrUseManagedIdentityCreds=True
)
rules.IDENTITY.expects(
    "azure-native:machinelearningservices:Datastore",
    properties__credentials__credentialsType="None",
)
rules.IDENTITY.expects(
    "azure-native:machinelearningservices:Workspace",
    identity__type="UserAssigned",
    systemDatastoresAuthMode="Identity",
)
rules.IDENTITY.expects(
    "azure-native:machinelearningservices:OnlineEndpoint", identity__type="UserAssigned"
)
rules.IDENTITY.expects("azure-native:keyvault:Vault", properties__enableRbacAuthorization=True)


@rules.PINNED_IMAGE.on("azure-native:machinelearningservices:EnvironmentVersion")
def _model_image(environment: Resource, _plan: Plan) -> Iterator[str]:
    yield from rules.pinned(environment.get("properties.image"))


@rules.PINNED_IMAGE.on(WEB_APP)
def _app_image(app: Resource, _plan: Plan) -> Iterator[str]:
    yield from rules.pinned(str(app.get("siteConfig.linuxFxVersion")).removeprefix("DOCKER|"))


@rules.TAGGED.on("azure-native:*")
def _tags(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in UNTAGGED:
        yield from rules.tagged(resource, resource.inputs.get("tags"))


rules.VERSIONED.expects(
    "azure-native:storage:BlobServiceProperties",
    isVersioningEnabled=True,
    deleteRetentionPolicy__enabled=True,
    containerDeleteRetentionPolicy__enabled=True,
)
rules.VERSIONED.expects("azure-native:keyvault:Vault", properties__enableSoftDelete=True)


@rules.VERSIONED.on(ACCOUNT)
def _account_versioned(account: Resource, plan: Plan) -> Iterator[str]:
    type_ = "azure-native:storage:BlobServiceProperties"
    if not rules.companions(account, plan, type_, "accountName"):
        yield "nothing can be brought back: the account has no BlobServiceProperties"


@rules.RETENTION.on("azure-native:operationalinsights:Workspace")
def _logs_end(workspace: Resource, _plan: Plan) -> Iterator[str]:
    if not workspace.inputs.get("retentionInDays"):
        yield "retentionInDays is not set"


@rules.RETENTION.on(ACCOUNT)
def _account_lifecycle(account: Resource, plan: Plan) -> Iterator[str]:
    type_ = "azure-native:storage:ManagementPolicy"
    if not rules.companions(account, plan, type_, "accountName"):
        yield "nothing ever ends: the account has no ManagementPolicy"


@rules.RETENTION.on("azure-native:storage:ManagementPolicy")
def _ends(policy: Resource, _plan: Plan) -> Iterator[str]:
    actions = [rule["definition"]["actions"] for rule in policy.get("policy.rules") or []]
    for part, what in (("baseBlob", "captures"), ("version", "old versions")):
        if not any((each.get(part) or {}).get("delete") for each in actions):
            yield f"{what} are kept for ever"


@rules.SECRETS.on(WEB_APP)
def _variables(app: Resource, _plan: Plan) -> Iterator[str]:
    yield from secrecy.clear(settings(app), ["@Microsoft.KeyVault("])
