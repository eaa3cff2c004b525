"""AWS: who may do what, and whom a role trusts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from api_models.resource import Plan, Resource
from policy.checks import ISSUERS, Check, inexact_subject, untrusted_issuer
from policy.rules import LEAST_PRIVILEGE, TRUST

ROLE = "aws:iam/role:Role"
PROVIDER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
USERS = ("aws:iam/accessKey:AccessKey", "aws:iam/user:User")
"""Types with credentials that do not expire: the rule identity refuses them."""
KNOWN_TYPES = {
    *USERS,
    PROVIDER,
    ROLE,
    "aws:iam/policy:Policy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
}
"""The types of IAM that the rules examine."""

# Actions that AWS defines for no resource, so that "*" is the only possible resource.
# https://docs.aws.amazon.com/service-authorization/latest/reference/
ANY_RESOURCE = {
    "ecr:GetAuthorizationToken": "a token for the whole registry; other grants say which images it reads",
    "application-autoscaling:DescribeScalableTargets": "a list that holds no secret",
    "application-autoscaling:DescribeScalingPolicies": "a list that holds no secret",
    "account:ListRegions": "a list that holds no secret",
    "cloudwatch:PutMetricData": "metrics are no resources; a condition restricts the namespace",
    "logs:DescribeLogGroups": "a list that holds no secret",
    "lambda:GetAccountSettings": "limits of the account, no secret",
    "servicequotas:ListAWSDefaultServiceQuotas": "limits of the account, no secret",
    "servicequotas:ListServiceQuotas": "limits of the account, no secret",
}
CONDITION_KEYS = {"cloudwatch:PutMetricData": "cloudwatch:namespace"}
"""The key that the condition of such an action must name."""
# Resources whose name cannot be known, not even its beginning: the service, and the ARN's last part.
ANY_NAME = {
    "application-autoscaling:scalable-target/*": "AWS generates a target's id at its registration",
}
ALLOWED_MANAGED: dict[str, str] = {}
"""AWS's managed policies that may be attached, each with its reason. There are none: AWS writes them for every
account, and so they are broad."""
# Actions that assign or assume an identity: each needs the full name, never a prefix; or the whole path that one stack's
# roles are created with.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
IDENTITY_ACTIONS = {"iam:passrole", "sts:assumerole", "sts:assumerolewithwebidentity"}
PATH_OF_A_STACK = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/triplane/[\w.-]+/\*", re.ASCII)
# Services whose ARNs begin with the name. Others begin with the kind: `role/name`, `function:name`.
# `mock` is the service in the ARNs of policy/mock_engine.py.
NAME_FIRST = {"mock", "s3", "sns", "sqs"}
MIN_PREFIX = 3
"""The fewest characters of a name before a wildcard: one letter is no name."""
WILDCARD = re.compile(r"[*?]")
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html#reference_policies_elements_resource_wildcards"""
ACCOUNT = re.compile(r"\d{12}")


def statements(document: Any) -> list[dict[str, Any]]:
    """The statements of a policy document, with lists where AWS also accepts one string."""
    found = (document if isinstance(document, Mapping) else json.loads(str(document))).get(
        "Statement", []
    )
    return [
        {
            **each,
            **{
                key: as_list(each[key])
                for key in ("Action", "NotAction", "Resource", "NotResource")
                if each.get(key) is not None
            },
        }
        for each in as_list(found)
    ]


def as_list(value: Any) -> list[Any]:
    """A list, where AWS also accepts a single member."""
    return value if isinstance(value, list) else [value]


def is_everybody(principal: Any) -> bool:
    """Whether a statement's principal is everybody: "*", or "*" of some kind."""
    values = principal.values() if isinstance(principal, Mapping) else [principal]
    return any("*" in str(each) for value in values for each in as_list(value))


def names_resource(arn: str) -> bool:
    """Whether an ARN has the name of one resource, or at least the beginning of the name."""
    fields = arn.split(":", 5)
    if len(fields) < 6 or any(WILDCARD.search(field) for field in fields[:5]):
        return False
    service, last = fields[2], fields[5]
    if service == "s3":
        # Bucket names are global: a bucket with the same beginning may belong to another account.
        return not WILDCARD.search(last.partition("/")[0])
    name = last if service in NAME_FIRST else re.split("[:/]", last, maxsplit=1)[-1]
    literal = WILDCARD.split(name)[0]
    return literal == name or len(literal.strip(":/")) >= MIN_PREFIX


def has_reason(action: str, resource: str, statement: Mapping[str, Any]) -> bool:
    """Whether there is a written reason for an action on everything of a kind."""
    fields = resource.split(":", 5)
    condition_keys = {key for keys in (statement.get("Condition") or {}).values() for key in keys}
    restricted = action not in CONDITION_KEYS or CONDITION_KEYS[action] in condition_keys
    return (resource == "*" and action in ANY_RESOURCE and restricted) or (
        len(fields) == 6
        and f"{fields[2]}:{fields[5]}" in ANY_NAME
        and not WILDCARD.search(fields[4])
    )


def broad_statements(document: Any) -> Iterator[str]:
    """What a policy document allows beyond named actions on named resources."""
    for statement in statements(document):
        if statement["Effect"] != "Allow":
            continue
        for word in ("NotAction", "NotResource"):
            if word in statement:
                yield f"allows everything except a list ({word})"
        actions = statement.get("Action", [])
        for action in actions:
            if WILDCARD.search(action):
                yield f"allows the actions {action}"
        for resource in statement.get("Resource", []):
            without_reason = sorted(
                each for each in actions if not has_reason(each, resource, statement)
            )
            if not names_resource(resource):
                if without_reason:
                    yield f"allows {', '.join(without_reason)} on {resource}"
            elif (
                WILDCARD.search(resource)
                and not PATH_OF_A_STACK.fullmatch(resource)
                and IDENTITY_ACTIONS.intersection(map(str.lower, actions))
            ):
                yield f"allows {', '.join(actions)} on {resource}: each must be named in full"


def unknown_attachment(arn: Any, plan: Plan) -> Iterator[str]:
    """A problem, unless the policy is of this stack, which the rules examine, or has a reason."""
    names = {str(arn), re.split("[:/]", str(arn))[-1]}
    of_this_stack = any(each.type == "aws:iam/policy:Policy" and each.id in names for each in plan)
    if not of_this_stack and str(arn) not in ALLOWED_MANAGED:
        yield f"attaches {arn}; no rule knows what it allows"


def unknown_iam_type(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in KNOWN_TYPES:
        yield f"no rule knows what a {resource.type} grants: add a check to policy/access/aws.py first"


def broad_policy(policy: Resource, _plan: Plan) -> Iterator[str]:
    yield from broad_statements(policy.inputs["policy"])


def unknown_role_attachment(attachment: Resource, plan: Plan) -> Iterator[str]:
    yield from unknown_attachment(attachment.inputs.get("policyArn"), plan)


def broad_role(role: Resource, plan: Plan) -> Iterator[str]:
    """A role may also have managed and inline policies as inputs of its own."""
    # https://www.pulumi.com/registry/packages/aws/api-docs/iam/role/#inputs
    for arn in role.inputs.get("managedPolicyArns") or []:
        yield from unknown_attachment(arn, plan)
    for inline in role.inputs.get("inlinePolicies") or []:
        if inline.get("policy"):
            yield from broad_statements(inline["policy"])


def inexact_trust(role: Resource, _plan: Plan) -> Iterator[str]:
    for statement in statements(role.inputs["assumeRolePolicy"]):
        if statement["Effect"] != "Allow":
            continue
        principal, condition = statement.get("Principal"), statement.get("Condition") or {}
        if "NotPrincipal" in statement:
            yield "trusts everybody but some (NotPrincipal)"
        elif is_everybody(principal) or not isinstance(principal, Mapping):
            yield "everybody may assume the role"
        elif not condition:
            yield "trusts without a condition, and so on behalf of any account"
        else:
            if "Federated" in principal:
                yield from inexact_token_trust(condition)
            if "Service" in principal:
                yield from service_of_any_account(condition)
            for arn in as_list(principal.get("AWS", [])):
                if ":role/" not in str(arn):
                    yield f"trusts {arn}: it is no role, but an account or a user with credentials that do not expire"


def inexact_token_trust(condition: Mapping[str, Any]) -> Iterator[str]:
    """Problems, unless tokens are trusted by audience and by a subject that is written in full.

    Only StringEquals counts: StringLike accepts wildcards, and …IfExists and ForAllValues are true for a token
    that lacks the claim.
    https://docs.github.com/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    exact = {key.lower(): as_list(each) for key, each in condition.get("StringEquals", {}).items()}
    hosts = [issuer.partition("//")[2] for issuer in ISSUERS]
    if not any(f"{host}:aud" in exact for host in hosts):
        yield "trusts tokens for any audience: StringEquals must have …:aud"
    subjects = [each for host in hosts for each in exact.get(f"{host}:sub", [])]
    if not subjects:
        yield "trusts everybody for whom the issuer signs a token: StringEquals must have …:sub"
    for subject in subjects:
        yield from inexact_subject(subject)


def service_of_any_account(condition: Mapping[str, Any]) -> Iterator[str]:
    """A problem, unless the service acts on behalf of one account.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    for operator, keys in condition.items():
        for key, value in keys.items():
            if key.lower() == "aws:sourceaccount" and operator == "StringEquals":
                accounts = [str(each) for each in as_list(value)]
            elif key.lower() == "aws:sourcearn" and operator in ("ArnEquals", "ArnLike", "StringEquals", "StringLike"):  # fmt: skip
                accounts = [f"{each}:::::".split(":")[4] for each in as_list(value)]
            else:
                continue
            if all(ACCOUNT.fullmatch(each) for each in accounts):
                return
    yield "trusts a service on behalf of any account: aws:SourceAccount or aws:SourceArn must name one"


def unknown_issuer(provider: Resource, _plan: Plan) -> Iterator[str]:
    yield from untrusted_issuer(provider.inputs.get("url"))


CHECKS = (
    Check(LEAST_PRIVILEGE, ("aws:iam/*",), unknown_iam_type),
    Check(
        LEAST_PRIVILEGE, ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"), broad_policy
    ),
    Check(
        LEAST_PRIVILEGE,
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment",),
        unknown_role_attachment,
    ),
    Check(LEAST_PRIVILEGE, (ROLE,), broad_role),
    Check(TRUST, (ROLE,), inexact_trust),
    Check(TRUST, (PROVIDER,), unknown_issuer),
)
