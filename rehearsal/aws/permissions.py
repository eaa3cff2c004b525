"""What a caller may do: the policies of its role that are in force, evaluated.

IAM refuses for all services in the same words, so there is only `require`.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rehearsal.aws.policy_documents import as_list, parsed
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
POLICY = "aws:iam/policy:Policy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"


def require(
    context: Context, role: Record | None, action: str, resource: str = "*", **conditions: str
) -> None:
    """Raise AWS's refusal unless the role's policies allow it; a Deny outweighs every Allow."""
    if role is None:
        return
    matching = [
        statement
        for document in _documents(context, role)
        for statement in as_list(document["Statement"])
        if _applies(statement, action, resource, conditions)
    ]
    if any(statement["Effect"] == "Deny" for statement in matching):
        reason = "with an explicit deny in an identity-based policy"
    elif not matching:
        reason = f"because no identity-based policy allows the {action} action"
    else:
        return
    account = context.account.aws_account
    raise Refusal(
        "AccessDeniedException",
        f"User: arn:aws:sts::{account}:assumed-role/{role.id}/rehearsal is not authorized to"
        f" perform: {action} on resource: {resource} {reason}",
    )


def federated_role(
    context: Context, reference: str, provider: str, conditions: Mapping[str, str]
) -> Record | None:
    """The role, if it exists and trusts the tokens of this provider with these claims."""
    roles = (r for r in context.in_force(ROLE) if reference in (r.id, r.outputs["arn"]))
    role = next(roles, None)
    if role is None:
        return None
    for statement in as_list(parsed(role.inputs["assumeRolePolicy"])["Statement"]):
        principal = statement.get("Principal", {})
        providers = as_list(principal.get("Federated")) if isinstance(principal, dict) else []
        asked = {**statement, "Resource": "*"}
        trusted = _applies(asked, "sts:AssumeRoleWithWebIdentity", "*", conditions)
        if provider in providers and trusted and statement["Effect"] == "Allow":
            return role
    return None


def role_for(context: Context, reference: str, service: str) -> Record | None:
    """The role, if it exists and trusts this service acting for this account."""
    roles = (r for r in context.in_force(ROLE) if reference in (r.id, r.outputs["arn"]))
    role = next(roles, None)
    if role is None:
        return None
    conditions = {"aws:SourceAccount": context.account.aws_account}
    trust = parsed(role.inputs["assumeRolePolicy"])
    for statement in as_list(trust["Statement"]):
        principal = statement.get("Principal", {})
        services = as_list(principal.get("Service")) if isinstance(principal, dict) else []
        trusted = service in services and _applies(
            {**statement, "Resource": "*"}, "sts:AssumeRole", "*", conditions
        )
        if trusted and statement["Effect"] == "Allow":
            return role
    return None


def _documents(context: Context, role: Record) -> Iterator[Json]:
    """The role's inline policies and the account's own policies attached to it."""
    for each in context.in_force(ROLE):
        for inline in each.inputs.get("inlinePolicies") or [] if each.id == role.id else []:
            if inline.get("policy"):
                yield parsed(inline["policy"])
    for each in context.in_force(ROLE_POLICY):
        if each.inputs["role"] == role.id:
            yield parsed(each.inputs["policy"])
    policies = {each.outputs.get("arn"): each for each in context.in_force(POLICY)}
    for each in context.in_force(ATTACHMENT):
        if each.inputs["role"] == role.id and (policy := policies.get(each.inputs["policyArn"])):
            yield parsed(policy.inputs["policy"])


def _applies(statement: Json, action: str, resource: str, conditions: Mapping[str, str]) -> bool:
    """Whether a statement is about this request. NotAction and NotResource are not evaluated."""
    if "NotAction" in statement or "NotResource" in statement:
        raise Refusal("NotRehearsed", "the rehearsal does not evaluate NotAction and NotResource")
    return (
        any(_like(action.lower(), each.lower()) for each in as_list(statement["Action"]))
        and any(_like(resource, each) for each in as_list(statement["Resource"]))
        and all(
            _fulfilled(operator, key, values, conditions)
            for operator, keys in (statement.get("Condition") or {}).items()
            for key, values in keys.items()
        )
    )


def _like(value: str, pattern: str) -> bool:
    """IAM's wildcards: ``*`` is any text, ``?`` one character."""
    return (
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.DOTALL)
        is not None
    )


OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
}


def _fulfilled(operator: str, key: str, wanted: Any, conditions: Mapping[str, str]) -> bool:
    if operator not in OPERATORS:
        raise Refusal(
            "NotRehearsed",
            f"the rehearsal does not evaluate the condition {operator}; it does {', '.join(OPERATORS)}",
        )
    values = {name.lower(): value for name, value in conditions.items()}
    value = values.get(key.lower())
    return value is not None and any(OPERATORS[operator](value, str(w)) for w in as_list(wanted))
