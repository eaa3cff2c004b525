"""Reads one resource type at a time from an installed Pulumi SDK. It is a process of its own.

``python -m rehearsal.core.extract pulumi_aws`` takes tokens on standard input, one a line, and answers
each with one line of JSON (`describe`). An SDK takes hundreds of megabytes of memory, so this process ends soon.
"""

from __future__ import annotations

import collections.abc
import difflib
import enum
import importlib
import inspect
import json
import re
import sys
import types
import typing
from typing import Any

import pulumi
from pulumi import _types
from pulumi.runtime import rpc

from api_models.compiler import rules_of
from api_models.sdk_type import SdkType

SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}
# What annotations inside the SDK refer to without importing it.
FORWARD: dict[str, Any] = {"Output": pulumi.Output, "T": type(None)}
# The words by which the SDKs' documentation says that a change is a replacement.
REPLACES = re.compile(
    r"forc\w+ (?:a |the |an |resource |terraform to |destroy\w* and )*"
    r"(?:re-?creat|new|replace|creat\w+ (?:of )?(?:a )?new)"
    r"|chang\w+ (?:this|it)\b[^.]{0,40}creates? a(?:nother)? new"
    r"|(?:^|[.\n] *)immutable\b|(?:cannot|can't|can not) be (?:changed|modified|updated) (?:after|once)",
    re.IGNORECASE,
)
DEFAULT = re.compile(
    r"defaults? (?:value )?(?:to|is|for this attribute is) (?:`\"?([^`\"]+)\"?`|(\d+|true|false)\b)",
    re.IGNORECASE,
)
# The parts of an id, from the documentation of `pulumi import`: Google's path template, or the
# one AWS property that is the id.
TEMPLATE = re.compile(r"\$ pulumi import gcp:\S+ default (\S*\{\{\S+)")
PROPERTY = re.compile(
    r"Using `pulumi import`, import [^.]*? using (?:the |its )?[^`.]*`(\w+)`[^`]*\."
)


class Describer:
    """Turns annotations into plain data; nested types are collected by name."""

    def __init__(self) -> None:
        self.types: dict[str, dict[str, Any]] = {}
        self.documentation: dict[tuple[str, str], str] = {}
        self.suggested: dict[tuple[str, str], list[str]] = {}

    def annotation(self, hint: Any) -> Any:
        """A type as data: a scalar's word, or ``[constructor, argument]``."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if hint in SCALARS:
            return SCALARS[hint]
        if origin is pulumi.Output:
            return self.annotation(arguments[0])
        if origin in (typing.Union, types.UnionType):
            return self.union(arguments)
        if origin in (list, collections.abc.Sequence):
            return ["list", self.annotation(arguments[0])]
        if origin in (dict, collections.abc.Mapping):
            return ["map", self.annotation(arguments[1])]
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return ["enum", [member.value for member in hint]]
        if isinstance(hint, type) and issubclass(hint, pulumi.Asset | pulumi.Archive):
            return "asset"
        if isinstance(hint, type) and (_types.is_input_type(hint) or _types.is_output_type(hint)):
            return ["object", self.nested(hint)]
        return "any"

    def union(self, members: tuple[Any, ...]) -> Any:
        """What remains of ``Input[Optional[T]]`` and of true unions."""
        kept = [
            member
            for member in members
            if member is not type(None)
            and typing.get_origin(member) not in (pulumi.Output, collections.abc.Awaitable)
            and member is not pulumi.Output
        ]
        if len(kept) > 1 and _types.is_input_type(kept[0]) and kept[-1] is dict:
            kept.pop()
        described: list[Any] = []
        for member in kept:
            one = self.annotation(member)
            if one not in described:
                described.append(one)
        if "string" in described:  # a relaxed enumeration: the values are a suggestion
            described = [one for one in described if one[0] != "enum"]
        return described[0] if len(described) == 1 else ["union", described]

    def nested(self, cls: type) -> str:
        """The name under which a nested type is described."""
        name = f"{cls.__module__}.{cls.__name__}"
        if name not in self.types:
            self.types[name] = {}  # before its properties: types refer to themselves
            self.types[name].update(self.properties(cls, name))
        return name

    def properties(self, cls: type, owner: str = "") -> dict[str, Any]:
        """Every property: its type, whether it is required, and facts from its documentation.

        The documentation itself is kept by ``owner``, the name of a nested type.
        """
        space = _types._globals_for_cls(cls)
        given = inspect.signature(cls).parameters if _types.is_input_type(cls) else {}
        described = {}
        for python, wire, prop in _types._py_properties(cls):
            hint = typing.get_type_hints(prop.fget, space, FORWARD).get("return")
            text = prop.__doc__ or getattr(prop.fget, "__doc__", None) or ""
            self.documentation[owner, wire] = text
            if values := suggested_values(hint):
                self.suggested[owner, wire] = values
            one: dict[str, Any] = {"type": self.annotation(hint)}
            if python in given:
                one["required"] = given[python].default is inspect.Parameter.empty
            else:
                one["required"] = not optional(hint)
            if REPLACES.search(text):
                one["replaces"] = True
            if (found := DEFAULT.search(text)) and one["type"] in SCALARS.values():
                one["default"] = found[1] or found[2]
            described[wire] = one
        return described


def suggested_values(hint: Any) -> list[str]:
    """The values of the enumeration in a relaxed one, ``Union[str, SkuName]``, or in a list of such."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (dict, collections.abc.Mapping):
        return []
    if str in arguments:
        for each in arguments:
            if isinstance(each, type) and issubclass(each, enum.Enum):
                return [str(member.value) for member in each]
    return next(filter(None, map(suggested_values, arguments)), [])


def optional(hint: Any) -> bool:
    """Whether an output may be absent: ``Output[Optional[T]]``."""
    if typing.get_origin(hint) is pulumi.Output:
        return optional(typing.get_args(hint)[0])
    return type(None) in typing.get_args(hint)


def resource_class(token: str) -> type | None:
    """The SDK's class for a token, or None."""
    package, module, _ = token.split(":")
    for found in rpc._RESOURCE_MODULES.get(f"{package}:{module}", []):
        info = typing.cast(Any, found).mod_info
        if token in info["classes"]:
            home = importlib.import_module(info["fqn"])
            return typing.cast(type, getattr(home, info["classes"][token]))
    return None


def id_template(cls: type) -> str:
    """How an id is written: ``projects/{project}/topics/{name}`` or ``{url}``; empty: not documented."""
    text = " ".join(each.__doc__ or "" for each in typing.get_overloads(vars(cls)["__init__"]))
    if found := TEMPLATE.search(text):
        template = re.sub(r"\{\{%?(\w+)\}\}", r"{\1}", found[1])
    elif found := PROPERTY.search(text):
        template = "{" + found[1] + "}"
    else:
        return ""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), template)


def describe(token: str) -> dict[str, Any]:
    """A type's inputs, outputs and nested types; or, for an unknown one, similar tokens."""
    cls = resource_class(token)
    if cls is None:
        known = [
            name
            for modules in rpc._RESOURCE_MODULES.values()
            for module in modules
            for name in typing.cast(Any, module).mod_info["classes"]
        ]
        return {"similar": difflib.get_close_matches(token, known, 3)}
    # The SDK generator writes "InitArgs" where a nested type has the plain name (aws.s3.BucketVersioning).
    module, name = sys.modules[cls.__module__], cls.__name__
    args = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    describer = Describer()
    inputs = describer.properties(args)
    sdk_type = SdkType(
        token, inputs, describer.types, dict(describer.documentation), describer.suggested
    )
    rules = rules_of(sdk_type)
    return {
        "inputs": inputs,
        "outputs": describer.properties(cls),
        "types": describer.types,
        "id_template": id_template(cls),
        "rules": rules,
    }


if __name__ == "__main__":
    importlib.import_module(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(describe(line.strip())), flush=True)
