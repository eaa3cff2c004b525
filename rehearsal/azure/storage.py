"""Storage: accounts and containers. Their blobs are in the emulator (Azurite)."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from rehearsal.azure import credentials, storage_proxy
from rehearsal.azure.calls import Call
from rehearsal.azure.resource_type import AzureResourceType, described
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name

ACCOUNT = "azure-native:storage:StorageAccount"
CONTAINER = "azure-native:storage:BlobContainer"


class StorageAccount(AzureResourceType):
    """A storage account; its blob endpoint is Azurite's."""

    token = ACCOUNT
    source = "https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-name"
    executes = "blobs in Azurite; versions, soft delete and lifecycle rules are only recorded"
    path = "Microsoft.Storage/storageAccounts/{accountName}"
    tag_name_length = 128
    name = Name(
        property="accountName",
        pattern=r"[a-z0-9]*",
        min=3,
        max=24,
        rule="3 to 24 lower case letters and digits",
        taken="StorageAccountAlreadyTaken",
    )

    def on_create(self, context: Context, record: Record) -> None:
        name = record.inputs["accountName"]
        context.object_stores.blob(name)
        record.outputs["primaryEndpoints"] = {
            "blob": f"{storage_proxy.url(context, name)}/",
            **{
                service: f"https://{name}.{service}.core.windows.net/"
                for service in ("dfs", "file", "queue", "table", "web")
            },
        }
        record.outputs["statusOfPrimary"] = "available"
        record.outputs["primaryLocation"] = record.outputs["location"]

    def delete(self, context: Context, record: Record) -> None:
        context.object_stores.drop_blob_account(record.inputs["accountName"])


class BlobContainer(AzureResourceType):
    """A container, created in Azurite too."""

    token = CONTAINER
    source = "https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata"
    executes = "a container in Azurite"
    path = "Microsoft.Storage/storageAccounts/{accountName}/blobServices/default/containers/{containerName}"
    references: ClassVar = {"accountName": ACCOUNT}
    name = Name(
        property="containerName",
        pattern=r"(\$(root|web|logs)|[a-z0-9](-?[a-z0-9])*)",
        min=3,
        max=63,
        rule="3 to 63 lower case letters, digits and single hyphens between them",
        unique=("accountName",),
        taken="ContainerAlreadyExists",
    )

    def on_create(self, context: Context, record: Record) -> None:
        account = account_of(context, record.inputs["accountName"])
        if record.inputs.get("publicAccess", "None") != "None" and not account.inputs.get(
            "allowBlobPublicAccess"
        ):
            raise Refusal(
                "PublicAccessNotPermitted",
                "Public access is not permitted on this storage account.",
            )
        _send(context, "PUT", f"{_url(context, record)}?restype=container", accepted=(201, 409))

    def read(self, context: Context, record: Record) -> bool:
        return (
            _send(context, "HEAD", f"{_url(context, record)}?restype=container", (200, 404))[0]
            == 200
        )

    def delete(self, context: Context, record: Record) -> None:
        if context.find(ACCOUNT, name=record.inputs["accountName"]):
            _send(context, "DELETE", f"{_url(context, record)}?restype=container", (202, 404))


class BlobServiceProperties(AzureResourceType):
    """Settings of an account's blob service."""

    token = "azure-native:storage:BlobServiceProperties"
    source = "https://learn.microsoft.com/azure/storage/blobs/versioning-overview"
    path = "Microsoft.Storage/storageAccounts/{accountName}/blobServices/{blobServicesName}"
    references: ClassVar = {"accountName": ACCOUNT}

    def check(self, context: Context, inputs: Inputs) -> None:
        if inputs.get("blobServicesName", "default") != "default":
            raise CheckFailure(
                "blobServicesName", "must be default: an account has one blob service"
            )
        for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            days = (inputs.get(policy) or {}).get("days", 7)
            if not 1 <= days <= 365:
                raise CheckFailure(f"{policy}.days", f"{days:g} is not between 1 and 365")


class ManagementPolicy(AzureResourceType):
    """Lifecycle rules. Recorded: Azurite applies none."""

    token = "azure-native:storage:ManagementPolicy"
    source = "https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-policy-configure"
    path = (
        "Microsoft.Storage/storageAccounts/{accountName}/managementPolicies/{managementPolicyName}"
    )
    references: ClassVar = {"accountName": ACCOUNT}

    def check(self, context: Context, inputs: Inputs) -> None:
        if inputs.get("managementPolicyName", "default") != "default":
            raise CheckFailure("managementPolicyName", "must be default: an account has one policy")


def list_accounts(call: Call) -> Json:
    """https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list"""
    # `primaryEndpoints` is flat in the provider's outputs, and below `properties` in Azure's answer.
    accounts = [
        {
            **described(record),
            "properties": {"primaryEndpoints": record.outputs["primaryEndpoints"]},
        }
        for record in call.context.all(ACCOUNT)
    ]
    return {"value": accounts}


def account_of(context: Context, name: str) -> Record:
    """The storage account with this name, or Azure's refusal."""
    account = context.find(ACCOUNT, name=name)
    if account is None:
        raise Refusal(
            "ResourceNotFound",
            f"The Resource 'Microsoft.Storage/storageAccounts/{name}' was not found.",
        )
    return account


def container_id(context: Context, account: str, container: str) -> str:
    """The id of a container, whether it exists or not."""
    return f"{account_of(context, account).id}/blobServices/default/containers/{container}"


def download(context: Context, account: str, container: str, prefix: str, folder: Path) -> int:
    """Fetch the blobs below a prefix into a folder; returns how many there are."""
    count = 0
    for blob in _blob_names(context, account, container, f"{prefix}/"):
        url = f"{context.object_stores.blob(account)}/{container}/{urllib.parse.quote(blob)}"
        target = folder / blob.removeprefix(prefix).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_send(context, "GET", url)[1])
        count += 1
    return count


def has_blobs(context: Context, account: str, container: str, prefix: str) -> bool:
    """Whether there is a blob below a prefix."""
    return (
        next(_blob_names(context, account, container, f"{prefix.rstrip('/')}/"), None) is not None
    )


def _blob_names(context: Context, account: str, container: str, prefix: str) -> Iterator[str]:
    """The names of the blobs below a prefix, page by page."""
    marker = ""
    while True:
        query = urllib.parse.urlencode({"prefix": prefix, "marker": marker})
        url = (
            f"{context.object_stores.blob(account)}/{container}?restype=container&comp=list&{query}"
        )
        page = ElementTree.fromstring(_send(context, "GET", url)[1])  # noqa: S314 - our own Azurite
        yield from (name.text or "" for name in page.iterfind("Blobs/Blob/Name"))
        marker = page.findtext("NextMarker") or ""
        if not marker:
            return


def _url(context: Context, record: Record) -> str:
    return f"{context.object_stores.blob(record.inputs['accountName'])}/{record.inputs['containerName']}"


def _send(
    context: Context, method: str, url: str, accepted: tuple[int, ...] = (200,)
) -> tuple[int, bytes]:
    """A request to Azurite, as the platform itself."""
    bearer, _ = credentials.token(
        context, context.account.azure_object, context.account.azure_client, storage_proxy.AUDIENCE
    )
    request = urllib.request.Request(
        url,
        method=method,
        headers={"Authorization": f"Bearer {bearer}", "x-ms-version": "2021-12-02"},
    )
    trust = ssl.create_default_context(cafile=str(context.authority.bundle))
    try:
        with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
        # Azurite names the reason in a header, to HEAD too. Without it another program answers on its port.
        if status == 404 and not error.headers["x-ms-error-code"]:
            accepted = ()
    if status not in accepted:
        raise Refusal(
            "InternalError", f"Azurite answered {status} to {method} {url}: {body[:300]!r}"
        )
    return status, body
