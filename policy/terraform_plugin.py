"""A Terraform provider as a judge of configurations: its plugin protocol, version 5, as far as a check needs it.

The provider is started, asked for the schemas of its types, and then asked to validate configurations: with the very
code that runs before a request, and without credentials or network.
https://github.com/hashicorp/terraform/blob/main/docs/plugin-protocol/tfplugin5.proto
https://github.com/hashicorp/go-plugin/blob/main/docs/internals.md
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import msgpack  # type: ignore[import-untyped]
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

COOKIE = {
    "TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
    "PLUGIN_PROTOCOL_VERSIONS": "5",
}
"""No secret: it keeps people from starting a plugin by hand.
https://github.com/hashicorp/terraform/blob/main/internal/plugin/serve.go"""
SERVICE = "tfplugin5.Provider"
ERROR = 1
GROUPS = {"1", "5"}
"""Nesting modes of one block, as numbers: SINGLE and GROUP. LIST, SET and MAP have any number."""

Field = descriptor_pb2.FieldDescriptorProto
# The messages: field names with their numbers and types. What is not listed is skipped by protobuf.
MESSAGES: Mapping[str, Sequence[tuple[str, int, str]]] = {
    "Empty": (),
    "DynamicValue": (("msgpack", 1, "bytes"),),
    "Step": (("attribute_name", 1, "string"), ("element_key_int", 3, "int64")),
    "Path": (("steps", 1, "*Step"),),
    "Diagnostic": (
        ("severity", 1, "int64"),
        ("summary", 2, "string"),
        ("detail", 3, "string"),
        ("attribute", 4, "Path"),
    ),
    "Attribute": (("name", 1, "string"), ("type", 2, "bytes")),
    "NestedBlock": (("type_name", 1, "string"), ("block", 2, "Block"), ("nesting", 3, "int64")),
    "Block": (("attributes", 2, "*Attribute"), ("block_types", 3, "*NestedBlock")),
    "Schema": (("block", 2, "Block"),),
    "Entry": (("key", 1, "string"), ("value", 2, "Schema")),
    "Schemas": (("resource_schemas", 2, "*Entry"),),
    "Validate": (("type_name", 1, "string"), ("config", 2, "DynamicValue")),
    "Diagnostics": (("diagnostics", 1, "*Diagnostic"),),
}


class NotASchema(Exception):
    """A configuration that has a name which the provider's schema does not have."""


def message(name: str) -> Any:
    """The class of a message of `MESSAGES`."""
    return _classes()[name]


@cache
def _classes() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="tfplugin5.proto", package="judge", syntax="proto3"
    )
    for title, fields in MESSAGES.items():
        made = file.message_type.add(name=title)
        for field, number, kind in fields:
            repeated = kind.startswith("*")
            label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            added = made.field.add(name=field, number=number, label=label)
            plain = kind.removeprefix("*")
            if plain in MESSAGES:
                added.type, added.type_name = Field.TYPE_MESSAGE, f".judge.{plain}"
            else:
                added.type = Field.Type.Value(f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        each: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"judge.{each}"))
        for each in MESSAGES
    }


class Provider:
    """A running provider."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        found = self._call("GetSchema", message("Empty")(), "Schemas")
        self._schemas = {entry.key: entry.value.block for entry in found.resource_schemas}

    def problems(self, type_: str, configuration: Mapping[str, Any]) -> list[str]:
        """What the provider refuses of a configuration. Raises NotASchema for an unknown type or name."""
        if type_ not in self._schemas:
            raise NotASchema(f"the provider has no type {type_}")
        whole = complete(self._schemas[type_], configuration, type_)
        config = message("DynamicValue")(msgpack=msgpack.packb(whole))
        request = message("Validate")(type_name=type_, config=config)
        answer = self._call("ValidateResourceTypeConfig", request, "Diagnostics")
        return [_text(each) for each in answer.diagnostics if each.severity == ERROR]

    def _call(self, method: str, request: Any, answer: str) -> Any:
        call = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda each: each.SerializeToString(),
            response_deserializer=message(answer).FromString,
        )
        return call(request, timeout=120)


def complete(block: Any, configuration: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A configuration as the protocol wants it: every attribute and block of the schema is there, or null."""
    blocks = {each.type_name: each for each in block.block_types}
    attributes = {each.name: json.loads(each.type) for each in block.attributes}
    if unknown := sorted(configuration.keys() - blocks.keys() - attributes.keys()):
        raise NotASchema(f"{place} has no {', '.join(unknown)}")
    whole: dict[str, Any] = {name: configuration.get(name) for name in attributes}
    for name, nested in blocks.items():
        given = configuration.get(name) or []
        inner = [complete(nested.block, each, f"{place}.{name}") for each in given]
        one = str(nested.nesting) in GROUPS
        whole[name] = (inner[0] if inner else None) if one else inner
    return whole


def _text(diagnostic: Any) -> str:
    steps = (
        each.attribute_name or str(each.element_key_int) for each in diagnostic.attribute.steps
    )
    detail = f": {diagnostic.detail}" if diagnostic.detail else ""
    return " ".join(f"{'.'.join(steps)}: {diagnostic.summary}{detail}".split())


@contextmanager
def running(binary: Path) -> Iterator[Provider]:
    """The provider, until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [str(binary)],
            env={**os.environ, **COOKIE, "TMPDIR": folder, "TF_LOG": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            parts = line.strip().split("|")  # 1|5|unix|/path|grpc|
            if len(parts) < 5 or parts[2] not in ("unix", "tcp") or parts[4] != "grpc":
                raise RuntimeError(f"{binary} is no Terraform provider of protocol 5: {parts}")
            address = f"unix:{parts[3]}" if parts[2] == "unix" else parts[3]
            unlimited = [("grpc.max_receive_message_length", -1)]
            with grpc.insecure_channel(address, options=unlimited) as channel:
                yield Provider(channel)
        finally:
            process.terminate()
            process.wait(30)
