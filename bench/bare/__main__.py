"""Register the resources of the state in BARE_STATE, flat, with the same typed SDK classes."""

import importlib
import json
import keyword
import os
import re
from pathlib import Path
from typing import Any

import pulumi
from pulumi import _types

PACKAGES = {"aws": "pulumi_aws", "gcp": "pulumi_gcp", "azure-native": "pulumi_azure_native"}


def typed(token: str) -> type[pulumi.CustomResource]:
    """The SDK's class for a resource type, by the SDK's own names of modules."""
    package, module, name = token.split(":")
    module = module.split("/")[0]
    module += "_" * keyword.iskeyword(module)
    path = PACKAGES[package] + ("" if module == "index" else f".{module}")
    found: type[pulumi.CustomResource] = getattr(importlib.import_module(path), name)
    return found


# The wire form of secrets, assets and archives in an exported state:
# https://github.com/pulumi/pulumi/blob/master/sdk/python/lib/pulumi/runtime/rpc.py
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"


def value(written: Any) -> Any:
    """A value as a program passes it, from its form in a state."""
    if isinstance(written, list):
        return [value(each) for each in written]
    if not isinstance(written, dict):
        return written
    match written.get(SIGNATURE):
        case None:
            return {key: value(each) for key, each in written.items()}
        case str(kind) if kind == SECRET:
            return pulumi.Output.secret(value(json.loads(written["plaintext"])))
        case str(kind) if kind == ASSET:
            return (
                pulumi.FileAsset(written["path"])
                if "path" in written
                else pulumi.StringAsset(written["text"])
            )
        case str(kind) if kind == ARCHIVE:
            return (
                pulumi.FileArchive(written["path"])
                if "path" in written
                else pulumi.AssetArchive(
                    {key: value(each) for key, each in written["assets"].items()}
                )
            )
        case other:
            raise TypeError(f"the state has a value of an unknown kind: {other}")


def keyword_arguments(kind: type[pulumi.CustomResource], inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs under the argument names of the class; nested names are unchanged."""
    python_names = _types.resource_pulumi_to_py_names(kind)
    arguments = {
        python_names.get(name) or re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower(): value(
            written
        )
        for name, written in inputs.items()
        if not name.startswith("__")
    }
    # The first parameter of every class has this name, so the SDK adds an underscore to the input.
    if "resource_name" in arguments:
        arguments["resource_name_"] = arguments.pop("resource_name")
    return arguments


for resource in json.loads(Path(os.environ["BARE_STATE"]).read_text())["deployment"]["resources"]:
    token, name = resource["type"], resource["urn"].split("::")[-1]
    if token.startswith("pulumi:"):
        continue
    if token.startswith("pulumi-python:"):
        pulumi.CustomResource(token, name, value(resource["inputs"]))
    else:
        kind = typed(token)
        kind(name, **keyword_arguments(kind, resource["inputs"]))
