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

PACKAGES = ("aws", "gcp", "azure-native")
"""The Pulumi packages of the clouds that are played. Each has a profile, `rehearsal.server.PROFILES`."""
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


class UnknownType(Exception):
    """The installed SDK has no such type; the message names the nearest ones."""


def installed_sdks() -> dict[str, str]:
    """The clouds' SDKs that are installed beside the rehearsal: package to version."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(f"pulumi-{package}")
    return versions


class Schemas:
    """The types of one SDK. Each is read once for each version."""

    def __init__(self, package: str) -> None:
        self.package = package
        self._module = f"pulumi_{package.replace('-', '_')}"
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
                    [sys.executable, "-m", "rehearsal.core.extract", self._module],
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
                raise RuntimeError(f"reading {token} out of {self._module} failed")
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


def check(schema: Schema, inputs: Json, *, converts_scalars: bool) -> Iterator[tuple[str, str]]:
    """The errors in the inputs: property path and reason.

    ``converts_scalars``: the provider takes ``"5"`` for 5, and 5 for ``"5"``.
    """
    return InputCheck(schema, converts_scalars).object(schema.inputs, inputs, "")


@dataclass(frozen=True)
class InputCheck:
    """Compares inputs with what the SDK describes."""

    schema: Schema
    converts_scalars: bool

    def object(self, properties: Json, value: Json, path: str) -> Iterator[tuple[str, str]]:
        """The errors in an object whose properties are described so."""
        for name, described in properties.items():
            if described["required"] and value.get(name) is None:
                yield path + name, "is required and missing"
        for name, inner in value.items():
            if name in properties:
                if inner is not None:
                    yield from self.value(properties[name]["type"], inner, path + name)
            else:
                near = difflib.get_close_matches(name, properties, 1)
                there_are = f"there are {', '.join(properties)}"
                hint = f'did you mean "{near[0]}"?' if near else there_are
                yield path + name, f"is not a property of {self.schema.token}; {hint}"

    def value(self, kind: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
        """The errors in a value of this kind."""
        if value is UNKNOWN or kind == "any":
            return
        if isinstance(kind, str):
            if not _scalar(kind, value, converts=self.converts_scalars):
                yield path, f"must be {_article(kind)}, not {_shown(value)}"
            return
        constructor, argument = kind
        if constructor == "enum":
            if value not in argument:
                allowed = list(map(str, argument))
                near = difflib.get_close_matches(str(value), allowed, 1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                yield path, f"must be one of {', '.join(allowed)}, not {_shown(value)}{hint}"
        elif constructor == "union":
            failures = [list(self.value(member, value, path)) for member in argument]
            yield from min(failures, key=len)
        elif constructor == "list" and isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.value(argument, item, f"{path}[{index}]")
        elif constructor == "map" and isinstance(value, dict):
            for name, item in value.items():
                yield from self.value(argument, item, f"{path}.{name}")
        elif constructor == "object" and isinstance(value, dict) and SIGNATURE not in value:
            yield from self.object(self.schema.types[argument], value, f"{path}.")
        else:
            yield path, f"must be {_article(constructor)}, not {_shown(value)}"


def _scalar(kind: str, value: Any, *, converts: bool) -> bool:
    """Whether a value is of a scalar kind, or ``converts`` into it."""
    match kind:
        case "asset":
            return isinstance(value, dict) and SIGNATURE in value
        case "string":
            return isinstance(value, str) or (converts and not isinstance(value, dict | list))
        case "boolean":
            return isinstance(value, bool) or (converts and value in ("true", "false"))
        case "integer":
            return _is_number(value, int) or (converts and _is_written_number(value))
        case "number":
            return _is_number(value, int | float) or (converts and _is_written_number(value))
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
