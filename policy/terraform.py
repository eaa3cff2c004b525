"""A plan of AWS or Google Cloud as Terraform's plan JSON, which scanners read.

Pulumi bridges both providers from Terraform: types and properties are the same, and their names are derived from
one another. https://developer.hashicorp.com/terraform/internals/json-format#plan-representation
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from api_models.resource import Plan, Resource
from policy.plain import strings

PROVIDERS = {"aws": "aws", "gcp": "google"}

# Names that are not derived mechanically from the token: of a module, and of a whole type.
MODULES = {
    "artifactregistry": "artifact_registry",
    "cloudrunv2": "cloud_run_v2",
    "projects": "project",
    "secretmanager": "secret_manager",
    "serviceaccount": "service_account",
}
TYPES = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "aws_iam_openid_connect_provider",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
    "gcp:serviceaccount/account:Account": "google_service_account",
}
# Inputs whose names are not derived mechanically, by Terraform's type.
# https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/lambda_permission
RENAMED = {
    ("aws_lambda_function", "code"): "filename",
    ("aws_lambda_permission", "function"): "function_name",
}
# The bridge makes a plural of every list. Terraform has a singular for a block that is repeated (`rule {…} rule {…}`),
# and for some plain lists.
SINGULAR = {
    "client_id_lists": "client_id_list",
    "encryption_configurations": "encryption_configuration",
    "environment_variables": "environment_variable",
    "envs": "env",
    "lifecycle_rules": "lifecycle_rule",
    "matches_prefixes": "matches_prefix",
    "rules": "rule",
}
PLURAL = {
    "alarms",
    "architectures",
    "args",
    "cleanup_policies",
    "containers",
    "permissions",
    "ports",
    "production_variants",
    "replicas",
}
"""Lists that have a plural in Terraform, too. A list in neither table is refused: a scanner would pass over it."""
# Maps whose keys the user chooses. Any other mapping is a block, which Terraform writes as a list.
MAPS = {"annotations", "dimensions", "labels", "limits", "tags", "variables"}


class NotConverted(Exception):
    """Something would be left out of the scan; the message names it."""


def converted(plan: Plan) -> tuple[dict[str, Any], list[Resource]]:
    """The plan JSON, and the resources that cannot be converted: dynamic ones, and those of Azure.

    Raises NotConverted for a list whose name is in no table.
    """
    bridged = [each for each in plan if each.type.partition(":")[0] in PROVIDERS]
    resources = [
        {
            "address": address(each),
            "mode": "managed",
            "type": type_name(each.type),
            "name": address(each).partition(".")[2],
            "provider_name": PROVIDERS[each.type.partition(":")[0]],
            "values": values(each),
        }
        for each in bridged
    ]
    configured = [
        {
            **{key: each[key] for key in ("address", "mode", "type", "name")},
            "expressions": references(resource, bridged),
        }
        for each, resource in zip(resources, bridged, strict=True)
    ]
    document = {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": resources}},
        "resource_changes": [
            {**each, "change": {"actions": ["create"], "before": None, "after": each["values"]}}
            for each in resources
        ],
        "configuration": {"root_module": {"resources": configured}},
    }
    return document, [each for each in plan if each not in bridged]


def type_name(token: str) -> str:
    """``aws_s3_bucket_versioning`` of ``aws:s3/bucketVersioning:BucketVersioning``."""
    if token in TYPES:
        return TYPES[token]
    package, path, _ = token.split(":")
    module, _, name = path.partition("/")
    return f"{PROVIDERS[package]}_{MODULES.get(module, module)}_{snake(name)}"


def snake(name: str) -> str:
    """``block_public_acls`` of ``blockPublicAcls``; capitals in a row are one word."""
    # The bridge writes IAMMember as iAMMember.
    words = re.sub(r"^iAM(?=[A-Z]|$)", "Iam", name)
    words = re.sub(r"IAM(?=[A-Z]|$)", "Iam", words)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words).lower()


def values(resource: Resource) -> dict[str, Any]:
    """The inputs as Terraform names and nests them. Raises NotConverted."""
    type_ = type_name(resource.type)
    return {
        RENAMED.get((type_, name), name): value for name, value in block(resource.inputs).items()
    }


def block(inputs: Any) -> dict[str, Any]:
    """A mapping of properties as Terraform names and nests them. Raises NotConverted."""
    result = {}
    for name, value in inputs.items():
        key = snake(name)
        if isinstance(value, list) and key not in PLURAL and key not in SINGULAR:
            raise NotConverted(
                f"policy/terraform.py does not know the list {name}: add it to SINGULAR or PLURAL, as Terraform has it"
            )
        result[SINGULAR.get(key, key)] = value if key in MAPS else nested(value)
    return result


def nested(value: Any) -> Any:
    """A block becomes a list of one block, a list of blocks stays a list, any other value is unchanged."""
    if isinstance(value, dict):
        return [block(value)]
    if isinstance(value, list):
        return [block(each) if isinstance(each, dict) else each for each in value]
    return value


def address(resource: Resource) -> str:
    """The resource's address in Terraform: ``aws_s3_bucket.triplane-lake-bucket``."""
    return f"{type_name(resource.type)}.{re.sub(r'[^A-Za-z0-9_-]', '_', resource.name)}"


def references(resource: Resource, plan: Plan) -> dict[str, Any]:
    """The other resources that each property refers to. A scanner follows them from a bucket to its policy."""

    def found(value: Any) -> Iterator[str]:
        for _, text in strings({"": value}):
            for other in plan:
                if other is not resource and other.id in text:
                    yield from (f"{address(other)}.id", address(other))

    expressions = {}
    type_ = type_name(resource.type)
    for name, value in resource.inputs.items():
        key = SINGULAR.get(snake(name), snake(name))
        if named := list(dict.fromkeys(found(value))):
            expressions[RENAMED.get((type_, key), key)] = {"references": named}
    return expressions
