"""The provider's function that writes an IAM policy document."""

from __future__ import annotations

import json
from typing import Any

from rehearsal.core.records import Json
from rehearsal.provider.context import Context


def get_policy_document(context: Context, arguments: Json, config: Json) -> Json:
    """The document as JSON text. As in the real function, single values are not put in lists,
    and a statement without `sid` has no `Sid`.

    https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/iam_policy_document
    """
    version = arguments.get("version") or "2012-10-17"
    document: Json = {"Version": version}
    if arguments.get("policyId"):
        document["Id"] = arguments["policyId"]
    merged: dict[Any, Json] = {}
    sources = arguments.get("sourcePolicyDocuments") or []
    overrides = arguments.get("overridePolicyDocuments") or []
    listed = [each for text in sources for each in _statements(text)]
    listed += [_statement(each) for each in arguments.get("statements") or []]
    listed += [each for text in overrides for each in _statements(text)]
    for statement in listed:
        merged[statement.get("Sid") or len(merged)] = statement
    document["Statement"] = list(merged.values())
    text = json.dumps(document, indent=2)
    minified = json.dumps(document, separators=(",", ":"))
    return {**arguments, "version": version, "id": "0", "json": text, "minifiedJson": minified}


def _statements(text: str) -> list[Json]:
    found = json.loads(text).get("Statement", [])
    return found if isinstance(found, list) else [found]


def _statement(given: Json) -> Json:
    made: Json = {"Effect": given.get("effect") or "Allow"}
    if given.get("sid"):
        made = {"Sid": given["sid"], **made}
    for wire, key in (
        ("actions", "Action"),
        ("notActions", "NotAction"),
        ("resources", "Resource"),
        ("notResources", "NotResource"),
    ):
        if given.get(wire):
            made[key] = _one_or_list(sorted(given[wire]))
    for wire, key in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        for principal in given.get(wire) or []:
            kind, names = principal["type"], principal["identifiers"]
            if kind == "*":
                made[key] = "*"
            else:
                made.setdefault(key, {})[kind] = _one_or_list(sorted(names))
    for condition in given.get("conditions") or []:
        tests = made.setdefault("Condition", {}).setdefault(condition["test"], {})
        tests[condition["variable"]] = _one_or_list(condition["values"])
    return made


def _one_or_list(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values
