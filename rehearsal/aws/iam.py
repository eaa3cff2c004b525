"""IAM: roles, their policies, identity providers, and the lists of them. `permissions` evaluates policies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote
from xml.sax.saxutils import escape

from rehearsal.aws import permissions
from rehearsal.aws.calls import Call
from rehearsal.aws.credentials import base32
from rehearsal.aws.policy_documents import check_policy
from rehearsal.aws.query_protocol import elements, page
from rehearsal.aws.tags import check_tags
from rehearsal.core.records import CheckFailure, Inputs, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

NAME = Name(
    property="name",
    pattern=r"[\w+=,.@-]+",
    max=64,
    rule="letters, digits and _+=,.@- are allowed",
    taken="EntityAlreadyExists",
)

MISSING = "NoSuchEntity"

# In characters. All inline policies of a role count together; a managed policy counts alone.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-entity-length
INLINE_POLICIES, MANAGED_POLICY = 10_240, 6_144


class Role(ResourceType):
    """A role that a service assumes."""

    token = permissions.ROLE
    is_grant = True
    source = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html"
    executes = "its policies decide what a workload with this role may do in the rehearsal"
    name = NAME

    def check(self, context: Context, inputs: Inputs) -> None:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
        check_tags(inputs, any_case=True)
        check_policy(inputs, "assumeRolePolicy", trust=True)

    def create(self, context: Context, record: Record) -> None:
        name = record.inputs["name"]
        path = record.inputs.get("path", "/")
        record.id = name
        record.outputs |= {
            "arn": f"arn:aws:iam::{context.account.aws_account}:role{path}{name}",
            "name": name,
            "uniqueId": "AROA" + base32(record.urn),
        }

    def delete(self, context: Context, record: Record) -> None:
        for token in (permissions.ROLE_POLICY, permissions.ATTACHMENT):
            if any(each.inputs.get("role") == record.id for each in context.all(token)):
                what = "delete" if token == permissions.ROLE_POLICY else "detach all"
                raise Refusal(
                    "DeleteConflict", f"Cannot delete entity, must {what} policies first."
                )


class RolePolicy(ResourceType):
    """An inline policy of a role."""

    token = permissions.ROLE_POLICY
    is_grant = True
    source = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html"
    executes = "checked against what the workload calls"
    name = Name(
        property="name",
        pattern=r"[\w+=,.@-]+",
        max=128,
        rule="letters, digits and _+=,.@- are allowed",
        unique=("role",),
        taken="EntityAlreadyExists",
    )
    references: ClassVar = {"role": permissions.ROLE}
    missing = MISSING

    def check(self, context: Context, inputs: Inputs) -> None:
        check_policy(inputs, "policy")

    def create(self, context: Context, record: Record) -> None:
        record.id = f"{record.inputs['role']}:{record.inputs['name']}"
        _refuse_too_much(context, record)

    def update(self, context: Context, old: Record, record: Record) -> None:
        _refuse_too_much(context, record)


class Policy(ResourceType):
    """A policy of the account's own."""

    token = permissions.POLICY
    is_grant = True
    source = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html"
    executes = "checked against what a workload calls whose role has it"
    name = Name(
        property="name",
        pattern=r"[\w+=,.@-]+",
        max=128,
        rule="letters, digits and _+=,.@- are allowed",
        taken="EntityAlreadyExists",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_policy(inputs, "policy")
        if _size(inputs) > MANAGED_POLICY:
            reason = f"LimitExceeded: Cannot exceed quota for PolicySize: {MANAGED_POLICY}"
            raise CheckFailure("policy", reason)

    def create(self, context: Context, record: Record) -> None:
        account, path = context.account.aws_account, record.inputs.get("path", "/")
        record.id = f"arn:aws:iam::{account}:policy{path}{record.inputs['name']}"
        record.outputs["arn"] = record.id


class RolePolicyAttachment(ResourceType):
    """A policy that a role has. AWS's own policies allow nothing in the rehearsal."""

    token = permissions.ATTACHMENT
    is_grant = True
    source = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html"
    references: ClassVar = {"role": permissions.ROLE, "policyArn": permissions.POLICY}
    missing = MISSING


class OpenIdConnectProvider(ResourceType):
    """An issuer of identities from elsewhere."""

    token = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
    source = (
        "https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html"
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        check_tags(inputs)
        url = inputs.get("url")
        if url and not re.fullmatch(r"https://[^?#]{1,247}", url):
            raise CheckFailure(
                "url", f"{url} is not valid: it begins with https:// and has no query"
            )

    def create(self, context: Context, record: Record) -> None:
        host = record.inputs["url"].removeprefix("https://").rstrip("/")
        record.id = f"arn:aws:iam::{context.account.aws_account}:oidc-provider/{host}"
        if context.get(self.token, record.id):
            raise Refusal(
                "EntityAlreadyExists", f"Provider with url {record.inputs['url']} already exists."
            )
        record.outputs["arn"] = record.id


def _refuse_too_much(context: Context, record: Record) -> None:
    """Raise `Refusal` if the role would have more than its inline policies may have together."""
    role = record.inputs["role"]
    others = (
        each
        for each in context.all(permissions.ROLE_POLICY)
        if each.inputs.get("role") == role and each.id != record.id
    )
    if sum(map(_size, (record.inputs, *(each.inputs for each in others)))) > INLINE_POLICIES:
        raise Refusal(
            "LimitExceeded",
            f"Maximum policy size of {INLINE_POLICIES} bytes exceeded for role {role}",
        )


def _size(inputs: Mapping[str, Any]) -> int:
    """The characters of a policy. White space does not count."""
    return len(re.sub(r"\s", "", str(inputs.get("policy", ""))))


def list_roles(call: Call) -> str:
    """The roles, without their tags, which ListRoles does not return. A new one is missing at first.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
    """
    call.require("iam:ListRoles", f"arn:aws:iam::{call.context.account.aws_account}:role/")
    roles = sorted(call.context.listed(permissions.ROLE), key=lambda each: each.id)
    return page(call, "Roles", (elements(_described(role)) for role in roles))


def get_role(call: Call) -> str:
    """A role by its name, with its path in the ARN.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
    """
    role = _called_role(call, "iam:GetRole")
    tags = (elements({"Key": k, "Value": v}) for k, v in (role.outputs.get("tags") or {}).items())
    members = "".join(f"<member>{each}</member>" for each in tags)
    return f"<Role>{elements(_described(role))}{members and f'<Tags>{members}</Tags>'}</Role>"


def list_role_tags(call: Call) -> str:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoleTags.html"""
    tags = _called_role(call, "iam:ListRoleTags").outputs.get("tags") or {}
    return page(call, "Tags", (elements({"Key": k, "Value": v}) for k, v in tags.items()))


def list_role_policies(call: Call) -> str:
    """The names of a role's inline policies.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRolePolicies.html
    """
    role = _called_role(call, "iam:ListRolePolicies")
    policies = call.context.all(permissions.ROLE_POLICY)
    names = (escape(each.inputs["name"]) for each in policies if each.inputs["role"] == role.id)
    return page(call, "PolicyNames", names)


def _described(role: Record) -> dict[str, str]:
    """A role as GetRole and ListRoles report it."""
    return {
        "RoleName": role.id,
        "Arn": role.outputs["arn"],
        "Path": role.inputs.get("path", "/"),
        "RoleId": role.outputs["uniqueId"],
        "CreateDate": datetime.fromtimestamp(role.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "MaxSessionDuration": f"{role.inputs.get('maxSessionDuration', 3600):g}",
        "AssumeRolePolicyDocument": quote(str(role.inputs["assumeRolePolicy"])),
    }


def _called_role(call: Call, action: str) -> Record:
    """The role that a form names, if the caller may do this to it, or IAM's refusal."""
    name = call.body["RoleName"]
    role = call.context.get(permissions.ROLE, name)
    without_path = f"arn:aws:iam::{call.context.account.aws_account}:role/{name}"
    call.require(action, role.outputs["arn"] if role else without_path)
    if role:
        return role
    raise Refusal("NoSuchEntity", f"The role with name {name} cannot be found.")
