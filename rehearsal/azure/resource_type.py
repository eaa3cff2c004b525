"""What the resource types of Azure have in common: an id, a resource group, an identity, tags."""

from __future__ import annotations

from typing import Any, ClassVar

from rehearsal.azure import limits
from rehearsal.azure.ids import by_id, group_id
from rehearsal.azure.tags import check_tags
from rehearsal.core.records import Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

GROUP = "azure-native:resources:ResourceGroup"
IDENTITY = "azure-native:managedidentity:UserAssignedIdentity"
DESCRIBED = (
    "location",
    "tags",
    "identity",
    "kind",
    "sku",
    "properties",
    "type",
    "name",
    "systemData",
)


class AzureResourceType(ResourceType):
    """A resource with an ARM id, in a resource group that must exist."""

    path: ClassVar[str]
    """The id below ``…/providers/``, with the inputs that it is made of in braces."""
    max_tags: ClassVar[int] = 50
    tag_name_length: ClassVar[int] = 512
    """Characters of a tag's name."""

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs, maximum=self.max_tags, name=self.tag_name_length)

    def on_create(self, context: Context, record: Record) -> None:
        """What a type adds to `create`, once the id is known."""

    def create(self, context: Context, record: Record) -> None:
        group = record.inputs["resourceGroupName"]
        if context.find(GROUP, name=group) is None:
            raise Refusal("ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        provider, *rest = self.path.format(**record.inputs).split("/")
        limits.require_registered(context, provider)
        record.id = f"{group_id(context, group)}/providers/{'/'.join((provider, *rest))}"
        record.outputs["type"] = "/".join((provider, *rest[::2]))
        record.outputs["name"] = rest[-1]
        if assigned := record.inputs.get("identity"):
            record.outputs["identity"] = identity_block(context, assigned)
        self.on_create(context, record)

    def update(self, context: Context, old: Record, record: Record) -> None:
        if assigned := record.inputs.get("identity"):
            record.outputs["identity"] = identity_block(context, assigned)
        self.on_update(context, old, record)

    def on_update(self, context: Context, old: Record, record: Record) -> None:
        """What a type adds to `update`."""


def identity_block(context: Context, assigned: Json) -> Json:
    """A resource's identity as Azure reports it: the input is a list of ids, the output a map by id.

    https://learn.microsoft.com/rest/api/resources/resources/get-by-id#identity
    """
    block: Json = {"type": assigned.get("type", "None")}
    given = assigned.get("userAssignedIdentities") or []
    if given:
        known = {id_: user_assigned(context, id_) for id_ in given}
        block["userAssignedIdentities"] = {
            id_: {"principalId": r.outputs["principalId"], "clientId": r.outputs["clientId"]}
            for id_, r in known.items()
        }
    return block


def user_assigned(context: Context, id_: str) -> Record:
    """The managed identity with this id, or Azure's refusal."""
    record = by_id(context, IDENTITY, id_)
    if record is None:
        raise Refusal(
            "FailedIdentityOperation",
            f"Identity operation for resource failed: the managed identity '{id_}' was not found.",
        )
    return record


def field(inputs: Json, dotted: str) -> Any:
    """An input by its dotted path, or None."""
    value: Any = inputs
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def described(record: Record) -> Json:
    """A record as the Resource Manager reports it."""
    return {"id": record.id, **{k: record.outputs[k] for k in DESCRIBED if k in record.outputs}}
