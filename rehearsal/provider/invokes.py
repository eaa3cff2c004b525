"""Functions that programs ask a provider: facts of the account, and what follows from the arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rehearsal.core.records import Json
from rehearsal.provider.context import Context

Invoke = Callable[[Context, Json, Json], Json]
"""Context, arguments and the provider's settings, to the answer."""


def _caller_identity(context: Context, arguments: Json, config: Json) -> Json:
    account = context.account.aws_account_of(config)
    return {
        "accountId": account,
        "arn": f"arn:aws:iam::{account}:user/rehearsal",
        "id": account,
        "userId": "AIDAREHEARSAL00000001",
    }


def _region(context: Context, arguments: Json, config: Json) -> Json:
    region = arguments.get("region") or config.get("region") or context.account.aws_region
    return {
        "id": region,
        "name": region,
        "region": region,
        "endpoint": f"ec2.{region}.amazonaws.com",
        "description": region,
    }


def _partition(context: Context, arguments: Json, config: Json) -> Json:
    return {
        "id": "aws",
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


def _availability_zones(context: Context, arguments: Json, config: Json) -> Json:
    region = arguments.get("region") or config.get("region") or context.account.aws_region
    return {
        "id": region,
        "region": region,
        "names": [f"{region}{letter}" for letter in "abc"],
        "zoneIds": [f"{region}-az{number}" for number in (1, 2, 3)],
        "groupNames": [region],
    }


def _policy_document(context: Context, arguments: Json, config: Json) -> Json:
    """As the real function does: single values are not put in lists, `Sid` is empty by default.

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


def _gcp_client_config(context: Context, arguments: Json, config: Json) -> Json:
    region = config.get("region") or context.account.gcp_region
    return {
        "id": "client-config",
        "project": config.get("project") or context.account.gcp_project,
        "region": region,
        "zone": config.get("zone") or f"{region}-a",
        "accessToken": "rehearsal",
        "defaultLabels": config.get("defaultLabels") or {},
    }


def _gcp_project(context: Context, arguments: Json, config: Json) -> Json:
    project = arguments.get("projectId") or config.get("project") or context.account.gcp_project
    return {
        "id": f"projects/{project}",
        "projectId": project,
        "name": project,
        "number": context.account.gcp_number(project),
        "orgId": "",
        "folderId": "",
        "billingAccount": "",
        "autoCreateNetwork": True,
        "deletionPolicy": "PREVENT",
        "labels": {},
        "effectiveLabels": {},
        "pulumiLabels": {},
        "tags": {},
    }


def _azure_client_config(context: Context, arguments: Json, config: Json) -> Json:
    return {
        "clientId": config.get("clientId") or context.account.azure_client,
        "objectId": context.account.azure_object,
        "subscriptionId": config.get("subscriptionId") or context.account.azure_subscription,
        "tenantId": config.get("tenantId") or context.account.azure_tenant,
    }


def _azure_client_token(context: Context, arguments: Json, config: Json) -> Json:
    return {"token": "rehearsal"}


INVOKES: dict[str, dict[str, Invoke]] = {
    "aws": {
        "aws:index/getCallerIdentity:getCallerIdentity": _caller_identity,
        "aws:index/getRegion:getRegion": _region,
        "aws:index/getPartition:getPartition": _partition,
        "aws:index/getAvailabilityZones:getAvailabilityZones": _availability_zones,
        "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
    },
    "gcp": {
        "gcp:organizations/getClientConfig:getClientConfig": _gcp_client_config,
        "gcp:organizations/getProject:getProject": _gcp_project,
    },
    "azure-native": {
        "azure-native:authorization:getClientConfig": _azure_client_config,
        "azure-native:authorization:getClientToken": _azure_client_token,
    },
}
