"""azure-native: how Pulumi's own provider of Azure behaves.

https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/provider/provider.go
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf import struct_pb2

from rehearsal.azure import key_vault, permissions
from rehearsal.core.account import Account
from rehearsal.core.records import Errors, Json, Record
from rehearsal.core.schema import Schema
from rehearsal.core.wire import CREATE_BEFORE_DELETE
from rehearsal.provider import generic
from rehearsal.provider.context import Context
from rehearsal.provider.real_provider import RealProvider

RANDOMLY_NAMED = ("endpointName", "customDomainName", "roleAssignmentName", "roleDefinitionId")
RENEWED = {
    # https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations
    "etag": "a new one with every change, also with those of the service itself (believed)",
    # https://learn.microsoft.com/azure/azure-resource-manager/management/resource-graph-changes
    "systemData": "the time of the last change, and who made it (believed: also the service itself)",
}


DATA_PLANE_DELETIONS = {
    # The Resource Manager has no such operation, so it deletes in the vault, where being the subscription's owner
    # allows nothing:
    # https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/resources/customresources/custom_keyvault.go
    key_vault.SECRET: key_vault.DELETE_SECRET,
}
"""By type: the permission that the deletion needs in the data plane."""


@dataclass(frozen=True, kw_only=True)
class AzureNative(RealProvider):
    """It sends the Resource Manager's own requests, and compares inputs with inputs."""

    def name_property(self, schema: Schema) -> str | None:
        """The path parameter of the resource itself: the one that is optional.

        Path parameters are not outputs, except `name`.
        """
        word = schema.token.rsplit(":", 1)[-1].lower()
        candidates = [
            name
            for name, described in schema.inputs.items()
            if described["type"] == "string"
            and not described["required"]
            and (name == "name" or (name.endswith("Name") and name not in schema.outputs))
        ]
        return max(candidates, key=lambda name: name[:-4].lower() in word, default=None)

    def path_parameters(self, schema: Schema) -> list[str]:
        return [n for n in schema.inputs if n not in schema.outputs and n.endswith("Name")]

    def keeps_name(self, olds: struct_pb2.Struct, name: str) -> bool:
        return True

    def placed(self, schema: Schema, inputs: Json, config: Json) -> Json:
        """The location (`applyDefaults`)."""
        if "location" in schema.inputs and config.get("location"):
            return {"location": config["location"], **inputs}
        return inputs

    def completed(self, schema: Schema, inputs: Json) -> Json:
        """Its defaults are the SDK's, which fills them in itself."""
        return inputs

    def checked(
        self,
        schema: Schema,
        olds: struct_pb2.Struct,
        news: Json,
        filled: list[str],
        *,
        random: bool,
    ) -> Json:
        """A random name is noted: a resource that has one is replaced by one with another name (`applyDefaults`)."""
        if filled and filled[0] in olds.fields:  # the old name, and what was noted of it
            noted = olds.fields.get(CREATE_BEFORE_DELETE)
            random = noted is not None and noted.bool_value
        return {**news, CREATE_BEFORE_DELETE: True} if filled and random else news

    def inputs_as_read(
        self, schema: Schema, requested: struct_pb2.Struct, found: Json, *, is_import: bool
    ) -> Json:
        noted = requested.fields.get(CREATE_BEFORE_DELETE)
        return found if noted is None else {**found, CREATE_BEFORE_DELETE: noted.bool_value}

    def deletes_first(
        self, token: str, old_inputs: struct_pb2.Struct, news: struct_pb2.Struct
    ) -> bool:
        """Always, unless the provider has chosen a random name, and noted that in the old inputs (`Diff`).

        Whether the name changes does not matter; neither does a name that looks like a random one.
        """
        noted = old_inputs.fields.get(CREATE_BEFORE_DELETE)
        return noted is None or not noted.bool_value

    def makes_random_name(self, schema: Schema, name: str | None) -> bool:
        """Random are the names of what is directly below a resource group, of online and other endpoints, and GUIDs.

        https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/resources/resources.go (AutoName)
        """
        return name in RANDOMLY_NAMED or (
            set(self.path_parameters(schema)) <= {"resourceGroupName", name}
        )

    def require_deletion(self, context: Context, record: Record) -> None:
        action, principal = DATA_PLANE_DELETIONS.get(record.token), context.account.azure_object
        if action and not permissions.allowed(context, principal, action, record.id, data=True):
            raise key_vault.forbidden(action, record)

    def untemplated_id(
        self, record: Record, schema: Schema, place: Mapping[str, str], name: str
    ) -> str | None:
        """The Resource Manager's: scope, provider, and a type and a name for each level."""
        service, kind = generic.service_and_type(record)
        group = record.inputs.get("resourceGroupName")
        subscription = f"/subscriptions/{place['subscriptionId']}"
        scope = record.inputs.get("scope") or subscription + (
            f"/resourceGroups/{group}" if group else ""
        )
        if schema.token.endswith(":ResourceGroup"):
            return str(scope)
        path = f"{scope.rstrip('/')}/providers/Microsoft.{service[:1].upper()}{service[1:]}"
        for parameter in self.path_parameters(schema):
            if parameter not in ("resourceGroupName", self.name_property(schema)):
                path += f"/{generic.plural(parameter[:-4])}/{record.inputs.get(parameter)}"
        return f"{path}/{generic.plural(kind)}/{name}"


def place(record: Record, account: Account) -> dict[str, str]:
    """The location and the subscription."""
    location = record.inputs.get("location") or record.config.get("location")
    return {
        "location": location or account.azure_location,
        "subscriptionId": account.azure_subscription,
    }


PROVIDER = AzureNative(
    package="azure-native",
    errors=Errors(
        not_found=("ResourceNotFound", "The Resource '{id}' ({what}) was not found."),
        taken="Conflict",
        throttled=("TooManyRequests", "The request is being throttled (429)"),
        unavailable=("ServerTimeout", "The server could not process the request in time (503)"),
        # Believed.
        expired=("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier"),
    ),
    places=frozenset({"location"}),
    place=place,
    # https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
    separator="",
    digits=8,
    converts_scalars=False,
    state_word="Succeeded",
    renewed=RENEWED,
)
