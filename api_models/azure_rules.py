"""Azure: the rules of a type, from the enumerations that pulumi-azure-native has for it.

Azure's enumerations are open in the SDK: it accepts any text, and the service refuses what it does not know. The SDK is
generated of the same specification as the service's API, in the same version. Resource Manager compares most texts in
any case, and so do these rules. https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
"""

from __future__ import annotations

from typing import Any

from api_models.sdk_type import Json, SdkType, installed_version, with_accepted

# An enumeration with more values than this is no closed vocabulary. That of machine sizes has some of them only:
# https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update#virtualmachinesizetypes
MOST_VALUES = 25


def rules_of(sdk_type: SdkType) -> Json:
    """The rules of a type; empty where it has no enumeration."""
    walk = Walk(sdk_type)
    members = walk.members(sdk_type.inputs, "")
    version = installed_version("pulumi-azure-native")
    return {
        "rule": {"members": members},
        "definitions": walk.definitions,
        "source": f"Azure's specification in pulumi-azure-native {version}",
    }


class Walk:
    """Walks an SDK's type."""

    def __init__(self, sdk_type: SdkType) -> None:
        self.sdk_type = sdk_type
        self.definitions: Json = {}

    def members(self, described: Json, owner: str) -> Json:
        """The rules of an object's properties."""
        rules = {
            name: self.rule(each["type"], owner, name)
            for name, each in described.items()
            if name != "location"  # regions are added more often than SDKs are updated
        }
        return {name: rule for name, rule in rules.items() if rule}

    def rule(self, kind: Any, owner: str, name: str) -> Json:
        """The rule of a property; empty where nothing is known of it."""
        if kind == "string":
            values = self.sdk_type.suggested.get((owner, name))
            if not values or len(values) > MOST_VALUES:
                return {}
            enum: Json = {"enum": values, "fold": True}
            return with_accepted(enum, self.sdk_type.words(owner, name))
        if not isinstance(kind, list):
            return {}
        constructor, argument = kind
        if constructor == "list":
            item = self.rule(argument, owner, name)
            return {"item": item} if item else {}
        return self.object(argument) if constructor == "object" else {}

    def object(self, type_: str) -> Json:
        """The rule of an object, by name: types refer to themselves."""
        if type_ not in self.definitions:
            rule: Json = {}
            self.definitions[type_] = rule
            rule["members"] = self.members(self.sdk_type.types[type_], type_)
        return {"ref": type_}
