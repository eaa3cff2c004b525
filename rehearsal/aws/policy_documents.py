"""IAM policy documents: the rules for writing one, and the provider's function that writes one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from rehearsal.core.records import CheckFailure, Inputs, Json
from rehearsal.provider.context import Context

GRAMMAR = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html"
"""Where the elements of a document are listed, and which exclude each other."""
ELEMENTS = frozenset({"Id", "Statement", "Version"})
EITHER = (("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal"))
OF_A_STATEMENT = frozenset({"Sid", "Effect", "Condition"}.union(*EITHER))
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
OPERATOR = re.compile(
    r"((ForAllValues|ForAnyValue):)?("
    r"(String(Not)?(Equals(IgnoreCase)?|Like)|Numeric(Not)?Equals|Numeric(Less|Greater)Than(Equals)?"
    r"|Date(Not)?Equals|Date(Less|Greater)Than(Equals)?|Bool|BinaryEquals|(Not)?IpAddress"
    r"|Arn(Not)?(Equals|Like))(IfExists)?|Null)",
    re.IGNORECASE,
)
DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T.*)?)?)?$|\d+$|.*\$\{")
"""ISO 8601, seconds since 1970, or a variable."""
ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")


def check_policy(
    inputs: Inputs,
    property: str,
    *,
    trust: bool = False,
    principal: bool = False,
    code: str = "MalformedPolicyDocument",
) -> None:
    """Raise `CheckFailure` for what IAM calls a malformed policy; ``principal``: it must name one."""
    text = inputs.get(property)
    if text is None:
        return
    try:
        document = json.loads(text) if isinstance(text, str) else text
        if not isinstance(document, dict) or not as_list(document.get("Statement")):
            raise ValueError("it has no Statement")
        if document.get("Version") not in (None, "2012-10-17", "2008-10-17"):
            raise ValueError(f"unknown Version {document['Version']!r}")
        _check_elements(document, ELEMENTS)
        for statement in as_list(document["Statement"]):
            _check_statement(statement, trust=trust, principal=principal or trust)
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html
        names = [each["Sid"] for each in as_list(document["Statement"]) if each.get("Sid")]
        if len(set(names)) != len(names):
            raise ValueError("Statement IDs (SID) in a single policy must be unique.")
    except ValueError as error:
        raise CheckFailure(property, f"{code}: {error}") from None


def _check_elements(given: Json, known: frozenset[str]) -> None:
    if unknown := sorted(given.keys() - known):
        raise ValueError(f"Syntax errors in policy: no element {', '.join(unknown)} ({GRAMMAR})")


def _check_statement(statement: Json, *, trust: bool, principal: bool) -> None:
    _check_elements(statement, OF_A_STATEMENT)
    for one, other in EITHER:
        if one in statement and other in statement:
            raise ValueError(f"Syntax errors in policy: {one} excludes {other} ({GRAMMAR})")
    _check_condition(statement.get("Condition", {}))
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise ValueError(f"Effect is {statement.get('Effect')!r}, not Allow or Deny")
    if ("Principal" in statement or "NotPrincipal" in statement) != principal:
        raise ValueError(
            "a statement must name a Principal here"
            if principal
            else "Policy document should not specify a principal."
        )
    actions = as_list(statement.get("Action", statement.get("NotAction")))
    if not actions:
        raise ValueError("Policy statement must contain actions.")
    for action in actions:
        if not ACTION.fullmatch(str(action)):
            raise ValueError(f"{action!r} is not an action: it is written service:Action")
    if trust:
        if "Resource" in statement or "NotResource" in statement:
            raise ValueError("Has prohibited field Resource")
        return
    resources = as_list(statement.get("Resource", statement.get("NotResource")))
    if not resources:
        raise ValueError("Policy statement must contain resources.")
    for resource in resources:
        _check_resource(str(resource))


def _check_resource(resource: str) -> None:
    """An ARN may be incomplete: what is missing at its end is completed with wildcards.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    if resource == "*":
        return
    if not resource.startswith("arn:"):
        raise ValueError(f'Resource {resource} must be in ARN format or "*".')
    partition, service, region, account = (*resource.split(":")[1:5], "", "", "", "")[:4]
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    if not re.match(r"aws|[*?$]", partition):
        raise ValueError(f'Partition "{partition}" is not valid for resource "{resource}".')
    # An access point has both. (believed)
    if service == "s3" and region not in ("", "*") and not account:
        raise ValueError(f"Resource {resource} can not contain region information.")


def _check_condition(condition: Any) -> None:
    if not isinstance(condition, dict):
        raise ValueError("Syntax errors in policy: Condition is not an object")
    for operator, keys in condition.items():
        if not OPERATOR.fullmatch(operator):
            raise ValueError(f"Invalid Condition type : {operator}.")
        if not isinstance(keys, dict):
            raise ValueError(f"Syntax errors in policy: {operator} is not an object")
        if operator.lower().startswith("date"):
            for date in (each for values in keys.values() for each in as_list(values)):
                if not DATE.match(str(date)):
                    raise ValueError(f"The policy failed legacy parsing: {date!r} is not a date")


def parsed(policy: Any) -> Json:
    """A policy document, given as JSON text or as JSON."""
    document: Json = json.loads(policy) if isinstance(policy, str) else policy
    return document


def as_list(value: Any) -> list[Any]:
    """A single value, or a list of them, as a list."""
    if value is None:
        return []
    return (
        list(value)
        if isinstance(value, Iterable) and not isinstance(value, str | dict)
        else [value]
    )


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
    listed = [each for text in sources for each in _statements_in(text)]
    listed += [_written_statement(each) for each in arguments.get("statements") or []]
    listed += [each for text in overrides for each in _statements_in(text)]
    for statement in listed:
        merged[statement.get("Sid") or len(merged)] = statement
    document["Statement"] = list(merged.values())
    text = json.dumps(document, indent=2)
    minified = json.dumps(document, separators=(",", ":"))
    return {**arguments, "version": version, "id": "0", "json": text, "minifiedJson": minified}


def _statements_in(text: str) -> list[Json]:
    found = json.loads(text).get("Statement", [])
    return found if isinstance(found, list) else [found]


def _written_statement(given: Json) -> Json:
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
