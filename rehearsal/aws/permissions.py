"""What a caller may do: the policies of its role that are in force, evaluated.

IAM refuses for all services in the same words, so there is only `require`.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from rehearsal.aws.conditions import (
    RequestContext,
    Values,
    arn_like,
    fulfilled,
    like,
    with_variables,
)
from rehearsal.aws.policy_documents import as_list, parsed
from rehearsal.core.records import Json, Record, Refusal
from rehearsal.provider.context import Context

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
POLICY = "aws:iam/policy:Policy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"


def require(
    context: Context, role: Record | None, action: str, resource: str = "*", **keys: Values
) -> None:
    """Raise AWS's refusal unless the role's policies allow it; a Deny outweighs every Allow.

    ``keys`` are the condition keys of the request beyond those of every request.
    """
    if role is None:
        return
    known = _request_context(context, role, resource, keys)
    bounds = list(_boundary(context, role))
    by_policies = _effects(_documents(context, role), action, resource, known)
    by_boundary = _effects(bounds, action, resource, known)
    if "Deny" in by_policies:
        reason = "with an explicit deny in an identity-based policy"
    elif "Deny" in by_boundary:
        reason = "with an explicit deny in a permissions boundary"
    elif not by_policies:
        reason = f"because no identity-based policy allows the {action} action"
    elif role.inputs.get("permissionsBoundary") and not by_boundary:
        reason = f"because no permissions boundary allows the {action} action"
    else:
        return
    account = context.account.aws_account
    raise Refusal(
        "AccessDeniedException",
        f"User: arn:aws:sts::{account}:assumed-role/{role.id}/rehearsal is not authorized to"
        f" perform: {action} on resource: {resource} {reason}",
    )


def _effects(
    documents: Iterable[Json], action: str, resource: str, known: RequestContext
) -> set[str]:
    """The effects of the statements that are about this request."""
    return {
        statement["Effect"]
        for document in documents
        for statement in as_list(document["Statement"])
        if _applies(statement, action, resource, known)
    }


def _request_context(
    context: Context, role: Record, resource: str, keys: Mapping[str, Values]
) -> RequestContext:
    """The condition keys of a request.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    known: dict[str, Values] = {
        "aws:principalaccount": context.account.aws_account,
        "aws:principalarn": role.outputs["arn"],
        "aws:principaltype": "AssumedRole",
        "aws:resourceaccount": context.account.aws_account,
        # Of every client of the real AWS that these requests stand for.
        "aws:securetransport": "true",
        "aws:currenttime": datetime.now(UTC).isoformat(),
        "aws:epochtime": str(int(time.time())),
    }
    if region := resource.partition("arn:")[2].split(":")[2:3]:
        known["aws:requestedregion"] = region[0] or context.account.aws_region
    for prefix, tags in (
        ("aws:principaltag/", tags_of(role)),
        ("aws:resourcetag/", resource_tags(context, resource)),
    ):
        known |= {f"{prefix}{key.lower()}": value for key, value in tags.items()}
    return known | {key.lower(): value for key, value in keys.items()}


def tags_of(record: Record) -> dict[str, str]:
    """The tags of a resource, with those that the provider sets by default."""
    return record.outputs.get("tagsAll") or record.outputs.get("tags") or {}


def resource_tags(context: Context, resource: str) -> dict[str, str]:
    """The tags that policies see of the resource with this ARN. A function's are those of its aliases and versions, too;
    a bucket's and an object's are not seen, unless that is turned on for the bucket.

    https://docs.aws.amazon.com/lambda/latest/dg/attribute-based-access-control.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/buckets-tagging-enable-abac.html
    """
    parts = resource.split(":")
    if parts[2:3] == ["s3"]:
        return {}
    if parts[2:3] in (["lambda"], ["logs"]):
        resource = ":".join(parts[:7])
    record = context.store.find_in_package("aws", {"arn": resource})
    return tags_of(record) if record else {}


def federated_role(
    context: Context, reference: str, provider: str, claims: RequestContext
) -> Record | None:
    """The role, if it exists and trusts the tokens of this provider with these claims."""
    roles = (r for r in context.in_force(ROLE) if reference in (r.id, r.outputs["arn"]))
    role = next(roles, None)
    if role is None:
        return None
    effects = set()
    for statement in as_list(parsed(role.inputs["assumeRolePolicy"])["Statement"]):
        principal = statement.get("Principal")
        federated = principal.get("Federated") if isinstance(principal, dict) else principal
        asked = {**statement, "Resource": "*"}
        if {provider, "*"} & set(as_list(federated)) and _applies(
            asked, "sts:AssumeRoleWithWebIdentity", "*", claims
        ):
            effects.add(statement["Effect"])
    return role if effects == {"Allow"} else None


def role_for(context: Context, reference: str, service: str) -> Record | None:
    """The role, if it exists and trusts this service acting for this account."""
    roles = (r for r in context.in_force(ROLE) if reference in (r.id, r.outputs["arn"]))
    role = next(roles, None)
    if role is None:
        return None
    source = {"aws:sourceaccount": context.account.aws_account}
    trust = parsed(role.inputs["assumeRolePolicy"])
    for statement in as_list(trust["Statement"]):
        principal = statement.get("Principal", {})
        services = as_list(principal.get("Service")) if isinstance(principal, dict) else []
        trusted = service in services and _applies(
            {**statement, "Resource": "*"}, "sts:AssumeRole", "*", source
        )
        if trusted and statement["Effect"] == "Allow":
            return role
    return None


def _boundary(context: Context, role: Record) -> Iterator[Json]:
    """The policy that bounds what the role's own ones allow. One of AWS's own allows nothing here.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    for each in context.in_force(POLICY):
        if each.outputs.get("arn") == role.inputs.get("permissionsBoundary"):
            yield parsed(each.inputs["policy"])


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


def _applies(statement: Json, action: str, resource: str, known: RequestContext) -> bool:
    """Whether a statement is about this request."""
    actions = as_list(statement.get("Action", statement.get("NotAction")))
    is_action = any(like(action.lower(), each.lower()) for each in actions)
    resources = as_list(statement.get("Resource", statement.get("NotResource")))
    is_resource = any(arn_like(resource, with_variables(each, known)) for each in resources)
    return (
        is_action == ("Action" in statement)
        and is_resource == ("Resource" in statement)
        and fulfilled(statement.get("Condition") or {}, known)
    )
