"""Who may do what on AWS, and whom a role trusts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from policy import rules
from policy.record import Plan, Resource

ROLE = "aws:iam/role:Role"
PROVIDER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
USERS = ("aws:iam/accessKey:AccessKey", "aws:iam/user:User")
"""Credentials that last: rule identity refuses them."""
READ = {
    *USERS,
    PROVIDER,
    ROLE,
    "aws:iam/policy:Policy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
}
"""The types of IAM that the rules read."""

# Actions that AWS defines for no resource, so that "*" is the only one to write.
# https://docs.aws.amazon.com/service-authorization/latest/reference/
ANY_RESOURCE = {
    "ecr:GetAuthorizationToken": "a token for the whole registry; what it opens is granted elsewhere",
    "application-autoscaling:DescribeScalableTargets": "a list; what it shows is no secret",
    "application-autoscaling:DescribeScalingPolicies": "a list; what it shows is no secret",
    "cloudwatch:PutMetricData": "metrics are no resources; held by a condition on the namespace",
}
ON_CONDITION = {"cloudwatch:PutMetricData": "cloudwatch:namespace"}
"""What the condition of those must speak of."""
# Resources of which no name, nor how it begins, can be known: the service, and the ARN's last part.
ANY_NAME = {
    "application-autoscaling:scalable-target/*": "AWS makes a target's id when it is registered",
}
MANAGED: dict[str, str] = {}
"""AWS's own policies that may be attached, each with its reason. None: they are written for every account."""
# What hands an identity on, or takes one: never on names that only begin alike.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
BY_NAME = {"iam:passrole", "sts:assumerole", "sts:assumerolewithwebidentity"}
# Services whose ARNs begin with the name; others say the kind first: `role/name`, `function:name`.
# `mock` is what policy/mock_engine.py says for a service.
NAME_FIRST = {"mock", "s3", "sns", "sqs"}
LITERAL = 3
"""So many characters of a name must be said before a wildcard: one letter is no name."""
ANY = re.compile(r"[*?]")
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html#reference_policies_elements_resource_wildcards"""
ACCOUNT = re.compile(r"\d{12}")


def statements(document: Any) -> list[dict[str, Any]]:
    """The statements of a policy document, with lists where AWS also takes one string."""
    found = (document if isinstance(document, Mapping) else json.loads(str(document))).get(
        "Statement", []
    )
    return [
        {
            **each,
            **{
                key: listed(each[key])
                for key in ("Action", "NotAction", "Resource", "NotResource")
                if each.get(key) is not None
            },
        }
        for each in listed(found)
    ]


def listed(value: Any) -> list[Any]:
    """A list, where AWS also takes one of its members."""
    return value if isinstance(value, list) else [value]


def everybody(principal: Any) -> bool:
    """Whether a statement's principal is the whole world, as "*" or of some kind."""
    named = principal.values() if isinstance(principal, Mapping) else [principal]
    return any("*" in str(each) for value in named for each in listed(value))


def named(arn: str) -> bool:
    """Whether an ARN says which resource it means, or at least how the resource's name begins."""
    fields = arn.split(":", 5)
    if len(fields) < 6 or any(ANY.search(field) for field in fields[:5]):
        return False
    service, last = fields[2], fields[5]
    if (
        service == "s3"
    ):  # the names of buckets are the whole world's: one that begins alike is another's
        return not ANY.search(last.partition("/")[0])
    name = last if service in NAME_FIRST else re.split("[:/]", last, maxsplit=1)[-1]
    literal = ANY.split(name)[0]
    return literal == name or len(literal.strip(":/")) >= LITERAL


def excused(action: str, resource: str, statement: Mapping[str, Any]) -> bool:
    """Whether there is a written reason for an action on everything of a kind."""
    fields = resource.split(":", 5)
    spoken = {key for keys in (statement.get("Condition") or {}).values() for key in keys}
    held = action not in ON_CONDITION or ON_CONDITION[action] in spoken
    return (resource == "*" and action in ANY_RESOURCE and held) or (
        len(fields) == 6 and f"{fields[2]}:{fields[5]}" in ANY_NAME and not ANY.search(fields[4])
    )


def wide(document: Any) -> Iterator[str]:
    """What a document allows beyond named actions on named resources."""
    for statement in statements(document):
        if statement["Effect"] != "Allow":
            continue
        for word in ("NotAction", "NotResource"):
            if word in statement:
                yield f"allows all but something ({word})"
        actions = statement.get("Action", [])
        for action in actions:
            if ANY.search(action):
                yield f"allows the actions {action}"
        for resource in statement.get("Resource", []):
            unreasoned = sorted(each for each in actions if not excused(each, resource, statement))
            if not named(resource):
                if unreasoned:
                    yield f"allows {', '.join(unreasoned)} on {resource}"
            elif ANY.search(resource) and BY_NAME.intersection(map(str.lower, actions)):
                yield f"allows {', '.join(actions)} on {resource}: each must be named in full"


def attached(arn: Any, plan: Plan) -> Iterator[str]:
    """A complaint, unless it is a policy of this stack, which the rules read, or one with a reason."""
    ends = {str(arn), re.split("[:/]", str(arn))[-1]}
    own = any(each.type == "aws:iam/policy:Policy" and each.id in ends for each in plan)
    if not own and str(arn) not in MANAGED:
        yield f"attaches {arn}, of which no rule knows what it allows"


@rules.LEAST_PRIVILEGE.on("aws:iam/*")
def _unread(resource: Resource, _plan: Plan) -> Iterator[str]:
    if resource.type not in READ:
        yield f"no rule knows what a {resource.type} grants: read it in policy/access/aws.py first"


@rules.LEAST_PRIVILEGE.on("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy")
def _narrow(policy: Resource, _plan: Plan) -> Iterator[str]:
    yield from wide(policy.inputs["policy"])


@rules.LEAST_PRIVILEGE.on("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
def _attachment(attachment: Resource, plan: Plan) -> Iterator[str]:
    yield from attached(attachment.inputs.get("policyArn"), plan)


@rules.LEAST_PRIVILEGE.on(ROLE)
def _role_itself(role: Resource, plan: Plan) -> Iterator[str]:
    # https://www.pulumi.com/registry/packages/aws/api-docs/iam/role/#inputs
    for arn in role.inputs.get("managedPolicyArns") or []:
        yield from attached(arn, plan)
    for inline in role.inputs.get("inlinePolicies") or []:
        if inline.get("policy"):
            yield from wide(inline["policy"])


@rules.TRUST.on(ROLE)
def _trusts_by_name(role: Resource, _plan: Plan) -> Iterator[str]:
    for statement in statements(role.inputs["assumeRolePolicy"]):
        if statement["Effect"] != "Allow":
            continue
        principal, condition = statement.get("Principal"), statement.get("Condition") or {}
        if "NotPrincipal" in statement:
            yield "trusts everybody but some (NotPrincipal)"
        elif everybody(principal) or not isinstance(principal, Mapping):
            yield "everybody may assume the role"
        elif not condition:
            yield "trusts without a condition: on behalf of any account"
        else:
            if "Federated" in principal:
                yield from _by_subject(condition)
            if "Service" in principal:
                yield from _on_behalf_of_one_account(condition)
            for arn in listed(principal.get("AWS", [])):
                if ":role/" not in str(arn):
                    yield f"trusts {arn}: an account, or who has credentials that last, is no role"


def _by_subject(condition: Mapping[str, Any]) -> Iterator[str]:
    """Complaints, unless tokens are trusted by audience and by their subject, written in full.

    Held by StringEquals alone: StringLike takes wildcards, …IfExists and ForAllValues hold for a token
    that says nothing.
    https://docs.github.com/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    exact = {key.lower(): listed(each) for key, each in condition.get("StringEquals", {}).items()}
    hosts = [issuer.partition("//")[2] for issuer in rules.ISSUERS]
    if not any(f"{host}:aud" in exact for host in hosts):
        yield "trusts tokens for any audience: StringEquals must say …:aud"
    subjects = [each for host in hosts for each in exact.get(f"{host}:sub", [])]
    if not subjects:
        yield "trusts whomever the issuer signs a token for: StringEquals must say …:sub"
    for subject in subjects:
        yield from rules.subject(subject)


def _on_behalf_of_one_account(condition: Mapping[str, Any]) -> Iterator[str]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
    for operator, keys in condition.items():
        for key, value in keys.items():
            if key.lower() == "aws:sourceaccount" and operator == "StringEquals":
                accounts = [str(each) for each in listed(value)]
            elif key.lower() == "aws:sourcearn" and operator in ("ArnEquals", "ArnLike", "StringEquals", "StringLike"):  # fmt: skip
                accounts = [f"{each}:::::".split(":")[4] for each in listed(value)]
            else:
                continue
            if all(ACCOUNT.fullmatch(each) for each in accounts):
                return
    yield "trusts a service on behalf of any account: aws:SourceAccount or aws:SourceArn must name one"


@rules.TRUST.on(PROVIDER)
def _known_issuer(provider: Resource, _plan: Plan) -> Iterator[str]:
    yield from rules.issuer(provider.inputs.get("url"))
