"""How Azure's resources are checked for each rule. For permissions and trust: access/azure.py.

Nothing is checked for `encrypted`: Azure encrypts everything at rest, and has no setting for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from api_models.resource import Plan, Resource
from policy import secrecy
from policy.checks import Check, companions, missing_tags, requires, unpinned_image
from policy.rules import (
    AUTHENTICATED,
    IDENTITY,
    PINNED_IMAGE,
    PRIVATE,
    RETENTION,
    SECRETS,
    TAGGED,
    TLS,
    VERSIONED,
)

UNTAGGED = {
    "azure-native:authorization:RoleAssignment",
    "azure-native:authorization:RoleDefinition",
    "azure-native:machinelearningservices:Datastore",
    "azure-native:machinelearningservices:EnvironmentVersion",
    "azure-native:machinelearningservices:ModelVersion",
    "azure-native:managedidentity:FederatedIdentityCredential",
    "azure-native:storage:BlobContainer",
    "azure-native:storage:BlobServiceProperties",
    "azure-native:storage:ManagementPolicy",
    "azure-native:web:WebAppFtpAllowed",
    "azure-native:web:WebAppScmAllowed",
}
"""Types that have no tags, or have them inside `properties`; a test compares this with the SDK."""
TLS_VERSIONS = {"1.2", "1.3"}
ACCOUNT = "azure-native:storage:StorageAccount"
BLOB_SERVICE = "azure-native:storage:BlobServiceProperties"
LIFECYCLE = "azure-native:storage:ManagementPolicy"
REGISTRY = "azure-native:containerregistry:Registry"
VAULT = "azure-native:keyvault:Vault"
WEB_APP = "azure-native:web:WebApp"
ML = "azure-native:machinelearningservices:"
ONLINE_ENDPOINT = f"{ML}OnlineEndpoint"


def app_settings(app: Resource) -> dict[str, str]:
    """The environment variables of a web app."""
    return {each["name"]: each.get("value") for each in app.get("siteConfig.appSettings") or []}


def open_app(app: Resource, _plan: Plan) -> Iterator[str]:
    access = app_settings(app).get("ACCESS")
    if access not in ("key", "public"):
        yield f"the app is open, and its ACCESS is {access!r}: it checks no caller"


def unpinned_model_image(environment: Resource, _plan: Plan) -> Iterator[str]:
    yield from unpinned_image(environment.get("properties.image"))


def unpinned_app_image(app: Resource, _plan: Plan) -> Iterator[str]:
    yield from unpinned_image(str(app.get("siteConfig.linuxFxVersion")).removeprefix("DOCKER|"))


def untagged(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in UNTAGGED:
        yield from missing_tags(resource.inputs.get("tags"))


def unversioned_account(account: Resource, plan: Plan) -> Iterator[str]:
    if not companions(account, plan, BLOB_SERVICE, "accountName"):
        yield "nothing can be restored: the account has no BlobServiceProperties"


def endless_logs(workspace: Resource, _plan: Plan) -> Iterator[str]:
    if not workspace.inputs.get("retentionInDays"):
        yield "retentionInDays is not set"


def account_without_lifecycle(account: Resource, plan: Plan) -> Iterator[str]:
    if not companions(account, plan, LIFECYCLE, "accountName"):
        yield "everything is kept forever: the account has no ManagementPolicy"


def endless_blobs(policy: Resource, _plan: Plan) -> Iterator[str]:
    rules = [rule["definition"] for rule in policy.get("policy.rules") or []]
    # Of the whole account: a rule for captures says nothing about the rest of the lake.
    whole = [rule for rule in rules if not (rule.get("filters") or {}).get("prefixMatch")]
    for part, what, among in (("baseBlob", "captures", rules), ("version", "old versions", whole)):
        if not any((each["actions"].get(part) or {}).get("delete") for each in among):
            yield f"{what} are kept forever"


def clear_variables(app: Resource, _plan: Plan) -> Iterator[str]:
    yield from secrecy.clear_credentials(app_settings(app))


CHECKS = (
    Check(
        PRIVATE,
        (ACCOUNT,),
        requires(allowBlobPublicAccess=False, allowCrossTenantReplication=False),
    ),
    Check(PRIVATE, ("azure-native:storage:BlobContainer",), requires(publicAccess="None")),
    Check(PRIVATE, (REGISTRY,), requires(anonymousPullEnabled=False)),
    Check(AUTHENTICATED, (WEB_APP,), open_app),
    Check(AUTHENTICATED, (ONLINE_ENDPOINT,), requires(properties__authMode="AADToken")),
    Check(
        TLS,
        (ACCOUNT,),
        requires(enableHttpsTrafficOnly=True, minimumTlsVersion={"TLS1_2", "TLS1_3"}),
    ),
    Check(
        TLS,
        (WEB_APP,),
        requires(
            httpsOnly=True,
            siteConfig__minTlsVersion=TLS_VERSIONS,
            siteConfig__scmMinTlsVersion=TLS_VERSIONS,
            siteConfig__ftpsState={"Disabled", "FtpsOnly"},
        ),
    ),
    Check(IDENTITY, (ACCOUNT,), requires(allowSharedKeyAccess=False, isLocalUserEnabled=False)),
    Check(IDENTITY, (REGISTRY,), requires(adminUserEnabled=False)),
    Check(
        IDENTITY,
        (WEB_APP,),
        requires(identity__type="UserAssigned", siteConfig__acrUseManagedIdentityCreds=True),
    ),
    Check(
        IDENTITY,
        (f"{ML}Datastore",),
        requires(properties__credentials__credentialsType="None"),
    ),
    Check(
        IDENTITY,
        (f"{ML}Workspace",),
        requires(identity__type="UserAssigned", systemDatastoresAuthMode="Identity"),
    ),
    Check(IDENTITY, (ONLINE_ENDPOINT,), requires(identity__type="UserAssigned")),
    Check(IDENTITY, (VAULT,), requires(properties__enableRbacAuthorization=True)),
    Check(PINNED_IMAGE, (f"{ML}EnvironmentVersion",), unpinned_model_image),
    Check(PINNED_IMAGE, (WEB_APP,), unpinned_app_image),
    Check(TAGGED, ("azure-native:*",), untagged),
    Check(
        VERSIONED,
        (BLOB_SERVICE,),
        requires(
            isVersioningEnabled=True,
            deleteRetentionPolicy__enabled=True,
            containerDeleteRetentionPolicy__enabled=True,
        ),
    ),
    Check(VERSIONED, (VAULT,), requires(properties__enableSoftDelete=True)),
    Check(VERSIONED, (ACCOUNT,), unversioned_account),
    Check(RETENTION, ("azure-native:operationalinsights:Workspace",), endless_logs),
    Check(RETENTION, (ACCOUNT,), account_without_lifecycle),
    Check(RETENTION, (LIFECYCLE,), endless_blobs),
    Check(SECRETS, (WEB_APP,), clear_variables),
)
