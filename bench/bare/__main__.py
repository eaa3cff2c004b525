"""Register what the state in BARE_STATE holds, flat, through the same typed SDK classes."""

import importlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pulumi

PACKAGES = {"aws": "pulumi_aws", "gcp": "pulumi_gcp", "azure-native": "pulumi_azure_native"}


def typed(token: str) -> type[pulumi.CustomResource]:
    """The SDK's class for a resource type, by the SDK's own registry of modules."""
    package, module, name = token.split(":")
    module = module.split("/")[0]
    path = PACKAGES[package] + ("" if module == "index" else f".{module}")
    found: type[pulumi.CustomResource] = getattr(importlib.import_module(path), name)
    return found


def arguments(inputs: dict[str, Any]) -> dict[str, Any]:
    """Wire names as the class spells them; nested names pass through as they are."""
    return {
        re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower(): value
        for name, value in inputs.items()
        if not name.startswith("__")
    }


for resource in json.loads(Path(os.environ["BARE_STATE"]).read_text())["deployment"]["resources"]:
    token, name = resource["type"], resource["urn"].split("::")[-1]
    if token.startswith("pulumi:"):
        continue
    if token.startswith("pulumi-python:"):
        pulumi.CustomResource(token, name, resource["inputs"])
    else:
        typed(token)(name, **arguments(resource["inputs"]))
