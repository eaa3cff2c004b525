"""The installed SDKs' descriptions of resource types, and the check of a program's inputs against them.

The SDKs and the clouds' request models are too large for a resident process: `rehearsal.core.extract` reads one type
at a time, in a process that ends when it is idle. Its answers are stored on disk by the versions of the packages.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from api_models import compiler
from rehearsal.core.assets import SIGNATURE
from rehearsal.core.records import Json
from rehearsal.core.settings import CACHE, PACKAGE
from rehearsal.core.wire import UNKNOWN

MODULES = {"aws": "pulumi_aws", "gcp": "pulumi_gcp", "azure-native": "pulumi_azure_native"}
IDLE = 5.0
"""Seconds after which the extracting process ends."""


@dataclass(frozen=True)
class Schema:
    """One resource type. Properties are described as in `rehearsal.core.extract.Describer.properties`."""

    package: str
    version: str
    token: str
    inputs: Json
    outputs: Json
    types: Json
    id_template: str
    """``projects/{project}/topics/{name}``, ``{url}``, or empty where the SDK does not document it."""
    rules: Json = field(default_factory=dict)
    """What the cloud's request model states of the inputs: `api_models.rules`."""

    @property
    def name_property(self) -> str | None:
        """The input for which the provider makes a name if the program gives none."""
        if self.package != "azure-native":
            for wire in ("name", self.id_template.strip("{}")):
                if self.inputs.get(wire, {}).get("type") == "string":
                    return wire
            return None
        # In azure-native it is the path parameter of the resource itself: the one that is optional.
        # Path parameters are not outputs, except `name`.
        word = self.token.rsplit(":", 1)[-1].lower()
        candidates = [
            name
            for name, described in self.inputs.items()
            if described["type"] == "string"
            and not described["required"]
            and (name == "name" or (name.endswith("Name") and name not in self.outputs))
        ]
        return max(candidates, key=lambda name: name[:-4].lower() in word, default=None)

    @property
    def path_parameters(self) -> list[str]:
        """Inputs that are part of the resource's address; another value is another resource."""
        if self.package == "azure-native":
            return [n for n in self.inputs if n not in self.outputs and n.endswith("Name")]
        return [name for name in self.inputs if f"{{{name}}}" in self.id_template]


class UnknownType(Exception):
    """The installed SDK has no such type; the message names the nearest ones."""


def installed_sdks() -> dict[str, str]:
    """The clouds' SDKs that are installed beside the rehearsal: package to version."""
    versions = {}
    for package in MODULES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(f"pulumi-{package}")
    return versions


class Schemas:
    """The types of one SDK. Each is read once for each version."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.version = importlib.metadata.version(f"pulumi-{package}")
        reader = hashlib.sha256(Path(__file__).with_name("extract.py").read_bytes()).hexdigest()[:8]
        models = compiler.versions(package)
        self._folder = CACHE / "schema" / f"{package}-{self.version}-{reader}-{models}"
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._timer: threading.Timer | None = None
        self.get = lru_cache(512)(self._get)

    def _get(self, token: str) -> Schema:
        file = self._folder / f"{token.replace('/', '.').replace(':', '-')}.json"
        try:
            described = json.loads(file.read_bytes())
        except (FileNotFoundError, ValueError):
            described = self._extract(token)
            if "similar" in described:
                near = ", ".join(described["similar"])
                raise UnknownType(
                    f"pulumi-{self.package} {self.version} has no resource type {token}"
                    + (f"; the nearest are {near}" if near else "")
                ) from None
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = file.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
            fresh.write_text(json.dumps(described))
            fresh.replace(file)
        return Schema(self.package, self.version, token, **described)

    def _extract(self, token: str) -> Json:
        with self._lock:
            if self._timer:
                self._timer.cancel()
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "rehearsal.core.extract", MODULES[self.package]],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=PACKAGE.parent,
                )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            print(token, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
            if not answer:
                raise RuntimeError(f"reading {token} out of {MODULES[self.package]} failed")
            self._timer = threading.Timer(IDLE, self.close)
            self._timer.daemon = True
            self._timer.start()
            described: Json = json.loads(answer)
            return described

    def close(self) -> None:
        """End the extracting process; the next unknown type starts another."""
        with self._lock:
            if self._process:
                self._process.communicate()  # it ends with its standard input
                self._process = None


def check(schema: Schema, inputs: Json) -> Iterator[tuple[str, str]]:
    """The errors in the inputs: property path and reason."""
    return _object(schema, schema.inputs, inputs, "")


def _object(schema: Schema, properties: Json, value: Json, path: str) -> Iterator[tuple[str, str]]:
    for name, described in properties.items():
        if described["required"] and value.get(name) is None:
            yield path + name, "is required and missing"
    for name, inner in value.items():
        if name in properties:
            if inner is not None:
                yield from _value(schema, properties[name]["type"], inner, path + name)
        else:
            near = difflib.get_close_matches(name, properties, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(properties)}"
            yield path + name, f"is not a property of {schema.token}; {hint}"


def _value(schema: Schema, kind: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if value is UNKNOWN or kind == "any":
        return
    if isinstance(kind, str):
        if not _scalar(kind, value, bridged=schema.package != "azure-native"):
            yield path, f"must be {_article(kind)}, not {_shown(value)}"
        return
    constructor, argument = kind
    if constructor == "enum":
        if value not in argument:
            near = difflib.get_close_matches(str(value), map(str, argument), 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            yield path, f"must be one of {', '.join(map(str, argument))}, not {_shown(value)}{hint}"
    elif constructor == "union":
        failures = [list(_value(schema, member, value, path)) for member in argument]
        yield from min(failures, key=len)
    elif constructor == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value(schema, argument, item, f"{path}[{index}]")
    elif constructor == "map" and isinstance(value, dict):
        for name, item in value.items():
            yield from _value(schema, argument, item, f"{path}.{name}")
    elif constructor == "object" and isinstance(value, dict) and SIGNATURE not in value:
        yield from _object(schema, schema.types[argument], value, f"{path}.")
    else:
        yield path, f"must be {_article(constructor)}, not {_shown(value)}"


def _scalar(kind: str, value: Any, *, bridged: bool) -> bool:
    """Whether a value is of a scalar kind.

    The Terraform bridge converts scalars that can be converted; azure-native does not:
    https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/schema.go
    """
    match kind:
        case "asset":
            return isinstance(value, dict) and SIGNATURE in value
        case "string":
            return isinstance(value, str) or (bridged and not isinstance(value, dict | list))
        case "boolean":
            return isinstance(value, bool) or (bridged and value in ("true", "false"))
        case "integer":
            return _is_number(value, int) or (bridged and _is_written_number(value))
        case "number":
            return _is_number(value, int | float) or (bridged and _is_written_number(value))
        case _:
            raise AssertionError(f"a schema has no scalar kind {kind}")


def _is_number(value: Any, types: Any) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)  # a bool is an int, too


def _is_written_number(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _article(kind: str) -> str:
    words = {"object": "an object", "integer": "an integer", "asset": "an asset or archive"}
    return words.get(kind, f"a {kind}")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'the string "{value}"'
    if isinstance(value, dict):
        return "an asset or archive" if SIGNATURE in value else "an object"
    return "a list" if isinstance(value, list) else json.dumps(value)
