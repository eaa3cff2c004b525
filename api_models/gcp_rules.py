"""Google Cloud: the rules of a type, from the enumerations of its provider and from the discovery documents.

The documentation of pulumi-gcp lists the values that the provider itself accepts, in a sentence that is generated
of the provider's schema: "Possible values are: `A`, `B`." It holds for any type. Of 1,104 examples in the documentation
of 450 types none is refused. The discovery documents add the
enumerations and durations of the platform's types, whose bodies are in `api_models.gcp`. Other patterns, and what is
required, are not checked here: the provider has other names and defaults for much of it.
"""

from __future__ import annotations

import re
from typing import Any

from api_models.gcp import BODIES, FORMATS, document
from api_models.matching import matching_member
from api_models.sdk_type import Json, SdkType, installed_version, pattern_rule, with_accepted

# https://github.com/GoogleCloudPlatform/magic-modules/blob/main/mmv1/templates/terraform/property_documentation.html.markdown.tmpl
POSSIBLE_VALUES = re.compile(r"Possible values are: ((?:`[^`\s]+`(?:, )?)+)\.")
# What the provider checks by hand, and its documentation lists otherwise.
# https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/storage/resource_storage_bucket.go
BY_HAND: dict[tuple[str, str], list[str]] = {
    ("gcp:storage/bucket:Bucket", "publicAccessPrevention"): ["inherited", "enforced"],
    ("gcp:storage/bucket:Bucket", "storageClass"): [
        "STANDARD",
        "NEARLINE",
        "COLDLINE",
        "ARCHIVE",
        "MULTI_REGIONAL",
        "REGIONAL",
        "DURABLE_REDUCED_AVAILABILITY",
        "RAPID",
    ],
}


def rules_of(sdk_type: SdkType) -> Json:
    """The rules of a type; empty where nothing is known."""
    walk = Walk(sdk_type)
    body = BODIES.get(sdk_type.token) if installed_version("google-api-python-client") else None
    schema: Json = {}
    renames: Any = {}
    if body and not body.build:
        walk.schemas = document(body.document)["schemas"]
        schema, renames = walk.schemas[body.schema], body.renames
    members = walk.members(sdk_type.inputs, "", schema, renames)
    if not members and not walk.definitions:
        return {}
    version = installed_version("pulumi-gcp")
    source = f"the values that pulumi-gcp {version} lists" + (f"; Google's {body}" if body else "")
    return {
        "rule": {"members": members},
        "definitions": walk.definitions,
        "bridged": True,
        "source": source,
    }


class Walk:
    """Walks an SDK's type, and a body's schema beside it where there is one."""

    def __init__(self, sdk_type: SdkType) -> None:
        self.sdk_type = sdk_type
        self.schemas: Json = {}
        self.definitions: Json = {}

    def members(self, described: Json, owner: str, schema: Json, renames: Any = ()) -> Json:
        """The rules of an object's properties."""
        found = {}
        properties = schema.get("properties", {})
        for name, each in described.items():
            key = None if name in renames else matching_member(name, properties)
            if rule := self.rule(each["type"], owner, name, properties.get(key, {})):
                found[name] = rule
        return found

    def rule(self, kind: Any, owner: str, name: str, schema: Json) -> Json:
        """The rule of a property; empty where nothing is known of it."""
        schema = self.schemas.get(schema.get("$ref", ""), schema)
        if kind == "string":
            return self.text(owner, name, schema)
        if not isinstance(kind, list):
            return {}
        constructor, argument = kind
        if constructor == "list":
            item = self.rule(argument, owner, name, schema.get("items", schema))
            return {"item": item} if item else {}
        if constructor == "object":
            inner: Json = schema.get("items", schema)
            return self.object(argument, self.schemas.get(inner.get("$ref", ""), inner))
        return {}

    def object(self, type_: str, schema: Json) -> Json:
        """The rule of an object, by name: types refer to themselves."""
        name = f"{type_}|{schema.get('id', '')}"
        if name not in self.definitions:
            rule: Json = {}
            self.definitions[name] = rule
            rule["members"] = self.members(self.sdk_type.types[type_], type_, schema)
        return {"ref": name}

    def text(self, owner: str, name: str, schema: Json) -> Json:
        """The rule of a text: the provider's own values, or those of the request."""
        text = self.sdk_type.text(owner, name)
        words = self.sdk_type.words(owner, name)
        if values := BY_HAND.get((self.sdk_type.token, name) if not owner else ("", "")):
            return {"enum": values}
        if found := POSSIBLE_VALUES.search(text):
            values = re.findall(r"`([^`]+)`", found[1])
            return with_accepted({"enum": values}, [*words, *schema.get("enum", ())])
        if "enum" in schema:
            return with_accepted({"enum": list(schema["enum"])}, words)
        if schema.get("format") == "google-duration":
            return with_accepted(pattern_rule(FORMATS["google-duration"]), words)
        return {}
