"""A judge of requests and answers: what the rehearsal reads of a body, and what it answers, has the service's own shape.

AWS's shapes are botocore's, Google's are those of the discovery documents that google-api-python-client carries. A
misspelt member reaches no client, and no test of the member says so where the test was written from the answer.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import botocore.loaders
import defusedxml.ElementTree
import googleapiclient.discovery_cache
import pytest
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from rehearsal.aws import authorization
from rehearsal.aws import routes as aws_routes
from rehearsal.core.request_bodies import Members
from rehearsal.gcp import routes as gcp_routes
from tests.unit.rehearsal.known_names import CLOUDS, UnknownName

AWS_NAMES = {"servicequotas": "service-quotas", "tagging": "resourcegroupstaggingapi"}
"""botocore's names of services where they are not those of the signature."""
SCALARS: dict[str, Any] = {
    "boolean": bool,
    "double": (int, float),
    "float": (int, float),
    "integer": int,
    "long": int,
    "string": str,
    "timestamp": (int, float),
    "blob": (str, bytes),
}


AUTHORIZATION = authorization.__file__


class Asked(Members):
    """An object of a body, of which only these members can be read."""

    names: frozenset[str] = frozenset()
    of = ""

    def _judge(self, name: object) -> None:
        here = sys._getframe(2).f_code.co_filename
        if here == AUTHORIZATION:  # looks in every request for what some have
            return
        # A form has the members of lists with a number: ActionNames.member.1.
        if str(name).partition(".")[0] not in self.names and here.startswith(CLOUDS):
            raise UnknownName(f"{self.of} has no member {name}")

    def get(self, name: str, default: Any = None) -> Any:
        self._judge(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self._judge(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._judge(name)
        return super().__contains__(name)


def _asked(values: Mapping[str, Any], names: Any, of: str) -> Asked:
    found = Asked(values)
    found.names, found.of = frozenset(names), of
    return found


# AWS


@cache
def _aws_operation(service: str, operation: str) -> Any:
    loader = botocore.loaders.Loader()
    name = AWS_NAMES.get(service, service)
    return ServiceModel(loader.load_service_model(name, "service-2"), name).operation_model(
        operation
    )


def _aws_body(shape: Shape | None, value: Any) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        members = {name: _aws_body(shape.members.get(name), each) for name, each in value.items()}
        return _asked(members, shape.members, shape.name)
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_aws_body(shape.member, each) for each in value]
    return value


def _aws_problems(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """What of an answer no client would read, or miss."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        yield from (f"{path}.{name} is unknown" for name in value.keys() - shape.members.keys())
        yield from (f"{path}.{name} is missing" for name in {*shape.required_members} - {*value})
        for name in value.keys() & shape.members.keys():
            yield from _aws_problems(shape.members[name], value[name], f"{path}.{name}")
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for each in value:
            yield from _aws_problems(shape.member, each, f"{path}[]")
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        for name, each in value.items():
            yield from _aws_problems(shape.value, each, f"{path}[{name}]")
    elif not isinstance(value, SCALARS.get(shape.type_name, ())):
        yield f"{path} is {value!r}, not {shape.type_name}"
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{path} is {value!r}, not one of {', '.join(shape.enum)}"


def _xml_problems(shape: Shape, element: Element, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        known = {
            member.serialization.get("name", name): member for name, member in shape.members.items()
        }
        found = {each.tag for each in element}
        yield from (f"{path}.{name} is unknown" for name in found - known.keys())
        yield from (f"{path}.{name} is missing" for name in {*shape.required_members} - found)
        for each in element:
            if each.tag in known:
                yield from _xml_problems(known[each.tag], each, f"{path}.{each.tag}")
    elif isinstance(shape, ListShape):
        for each in element:
            if each.tag != "member":
                yield f"{path} has a {each.tag}, not a member"
            yield from _xml_problems(shape.member, each, f"{path}[]")
    elif len(element):
        yield f"{path} has elements, and is a {shape.type_name}"


def _no_problems(found: Iterator[str]) -> None:
    problems = sorted(found)
    if problems:
        raise UnknownName("the service's model has another answer: " + ", ".join(problems))


def _judged_target(target: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    prefix, _, name = target.partition(".")

    def judged(call: Any) -> Any:
        model = _aws_operation(aws_routes.SERVICES[prefix], name)
        answer = operation(replace(call, body=_aws_body(model.input_shape, call.body)))
        if model.output_shape:
            _no_problems(_aws_problems(model.output_shape, answer, name))
        return answer

    return judged


def _judged_query(query: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    service, _, name = query.partition(":")

    def judged(call: Any) -> str:
        model = _aws_operation(service, name)
        members = [
            each
            for each in call.body
            if each.partition(".")[0] not in (*model.input_shape.members, "Action", "Version")
            and not each.startswith("X-Amz-")  # a signature in the address
        ]
        assert not members, f"{name} has no {members}"
        known = {*call.body, *model.input_shape.members}
        text: str = operation(replace(call, body=_asked(call.body, known, name)))
        element = defusedxml.ElementTree.fromstring(f"<answer>{text}</answer>")
        _no_problems(_xml_problems(model.output_shape, element, name))
        return text

    return judged


# Google Cloud


@cache
def _document(name: str) -> Any:
    folder = Path(googleapiclient.discovery_cache.__file__).parent / "documents"
    return json.loads((folder / f"{name}.json").read_bytes())


def _methods(resources: Any) -> Iterator[Any]:
    for each in resources.values():
        yield from each.get("methods", {}).values()
        yield from _methods(each.get("resources", {}))


@cache
def _google_methods(api: str) -> Any:
    document = _document(api)
    return {
        (each["httpMethod"], _unnamed(each.get("flatPath", each["path"]).partition("/")[2])): each
        for each in _methods(document["resources"])
    }


def _unnamed(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path).strip("/")


def google_method(mount: str, verb: str, path: str) -> Any:
    """The method of an API in its discovery document; None if the path has the words of several."""
    methods = _google_methods(mount.strip("/").replace("/", "."))
    words = _unnamed(path.replace("/locations/global/", "/locations/{location}/"))
    # Service Usage has any parent.
    return methods.get((verb, words)) or methods.get((verb, words.replace("projects/", "{}/", 1)))


def _resolved(api: str, schema: Any) -> Any:
    return _document(api)["schemas"][schema["$ref"]] if "$ref" in schema else schema


def _google_body(api: str, schema: Any, value: Any) -> Any:
    schema = _resolved(api, schema)
    if isinstance(value, list):
        return [_google_body(api, schema.get("items", {}), each) for each in value]
    properties = schema.get("properties")
    if not isinstance(value, dict) or properties is None:
        return value
    members = {
        name: _google_body(api, properties.get(name, {}), each) for name, each in value.items()
    }
    return _asked(members, properties, schema.get("id", "an object"))


def _google_problems(api: str, schema: Any, value: Any, path: str) -> Iterator[str]:
    schema = _resolved(api, schema)
    kind = schema.get("type")
    if kind == "object" and isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, each in value.items():
            if name in properties:
                yield from _google_problems(api, properties[name], each, f"{path}.{name}")
            elif others is None:
                yield f"{path}.{name} is unknown"
            elif others.get("type") != "any":
                yield from _google_problems(api, others, each, f"{path}.{name}")
    elif kind == "array" and isinstance(value, list):
        for each in value:
            yield from _google_problems(api, schema["items"], each, f"{path}[]")
    elif kind in ("string", "integer", "boolean", "number"):
        python = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}[kind]
        if not isinstance(value, python):
            yield f"{path} is {value!r}, not {kind}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{path} is {value!r}, not one of {', '.join(schema['enum'])}"
    elif kind != "any":
        yield f"{path} is {value!r}, not {kind}"


def _judged_method(mount: str, verb: str, path: str, operation: Callable[..., Any]) -> Any:
    api = mount.strip("/").replace("/", ".")

    def judged(call: Any) -> Any:
        method = google_method(mount, verb, path)
        if method is None:
            return operation(call)
        body = _google_body(api, method.get("request", {}), call.body)
        answer = operation(replace(call, body=body))
        _no_problems(_google_problems(api, method["response"], answer, method["id"]))
        return answer

    return judged


def judge(patch: pytest.MonkeyPatch) -> None:
    """Judge every request and answer from now on."""
    for target, operation in aws_routes.TARGETS.items():
        patch.setitem(aws_routes.TARGETS, target, _judged_target(target, operation))
    for query, function in aws_routes.QUERIES.items():
        patch.setitem(aws_routes.QUERIES, query, _judged_query(query, function))
    services = {
        mount: tuple(
            (verb, path, permission, _judged_method(mount, verb, path, operation))
            for verb, path, permission, operation in methods
        )
        for mount, methods in gcp_routes.SERVICES.items()
    }
    patch.setattr(gcp_routes, "SERVICES", services)
