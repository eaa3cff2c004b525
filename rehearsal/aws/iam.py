"""IAM: roles and their policies, and who may do what."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from rehearsal.aws.tags import check_tags
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
POLICY = "aws:iam/policy:Policy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
NAME = Name(
    property="name",
    pattern=r"[\w+=,.@-]+",
    max=64,
    says="letters, digits and _+=,.@- are allowed",
    taken="EntityAlreadyExists",
)
ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")


class Role(ResourceType):
    token = ROLE
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
            "uniqueId": "AROA" + _base32(record.urn),
        }

    def delete(self, context: Context, record: Record) -> None:
        for token in (ROLE_POLICY, ATTACHMENT):
            if any(each.inputs.get("role") == record.id for each in context.all(token)):
                what = "delete" if token == ROLE_POLICY else "detach all"
                raise Refusal(
                    "DeleteConflict", f"Cannot delete entity, must {what} policies first."
                )


class RolePolicy(ResourceType):
    token = ROLE_POLICY
    source = "https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html"
    executes = "held against what the workload asks for"
    name = Name(
        property="name",
        pattern=r"[\w+=,.@-]+",
        max=128,
        says="letters, digits and _+=,.@- are allowed",
        unique=("role",),
        taken="EntityAlreadyExists",
    )
    references: ClassVar = {"role": ROLE}

    def check(self, context: Context, inputs: Inputs) -> None:
        check_policy(inputs, "policy")
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        text = inputs.get("policy")
        if isinstance(text, str) and len(re.sub(r"\s", "", text)) > 10_240:
            raise CheckFailure("policy", "Maximum policy size of 10240 bytes exceeded for the role")

    def create(self, context: Context, record: Record) -> None:
        record.id = f"{record.inputs['role']}:{record.inputs['name']}"


class OpenIdConnectProvider(ResourceType):
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


def check_policy(
    inputs: Inputs, property: str, *, trust: bool = False, principal: bool = False
) -> None:
    """Raise `CheckFailure` for what IAM calls a malformed policy; ``principal``: it must name one."""
    text = inputs.get(property)
    if text is None:
        return
    try:
        document = json.loads(text) if isinstance(text, str) else text
        if not isinstance(document, dict) or not _listed(document.get("Statement")):
            raise ValueError("it has no Statement")
        if document.get("Version") not in (None, "2012-10-17", "2008-10-17"):
            raise ValueError(f"unknown Version {document['Version']!r}")
        for statement in _listed(document["Statement"]):
            _check_statement(statement, trust=trust, principal=principal or trust)
    except ValueError as error:
        raise CheckFailure(property, f"MalformedPolicyDocument: {error}") from None


def _check_statement(statement: Json, *, trust: bool, principal: bool) -> None:
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise ValueError(f"Effect is {statement.get('Effect')!r}, not Allow or Deny")
    if ("Principal" in statement or "NotPrincipal" in statement) != principal:
        raise ValueError(
            "a statement must name a Principal here"
            if principal
            else "Policy document should not specify a principal."
        )
    actions = _listed(statement.get("Action", statement.get("NotAction")))
    if not actions:
        raise ValueError("Policy statement must contain actions.")
    for action in actions:
        if not ACTION.fullmatch(str(action)):
            raise ValueError(f"{action!r} is no action: it is written service:Action")
    if trust:
        return
    resources = _listed(statement.get("Resource", statement.get("NotResource")))
    if not resources:
        raise ValueError("Policy statement must contain resources.")
    for resource in resources:
        if resource != "*" and not str(resource).startswith("arn:"):
            raise ValueError(f'Resource {resource} must be in ARN format or "*".')


def access_key(role_arn: str) -> str:
    """The access key id of a role's temporary credentials, here always the same."""
    return "ASIA" + _base32(role_arn)


def credentials(context: Context, role_arn: str, region: str) -> dict[str, str]:
    """The environment that AWS gives a workload with this role, and where this AWS is."""
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": access_key(role_arn),
        "AWS_SECRET_ACCESS_KEY": context.account.aws_secret_access_key,
        "AWS_SESSION_TOKEN": f"session-of-{role_arn}",
        "AWS_ENDPOINT_URL": f"{context.base_url}/aws/",
    }


def caller(context: Context, key: str) -> Record | None:
    """The role behind an access key id; None: the deployer. Raises `Refusal` for a stranger."""
    if key == context.account.aws_access_key_id:
        return None
    for role in context.all(ROLE):
        if access_key(role.outputs["arn"]) == key:
            return role
    raise Refusal(
        "UnrecognizedClientException", "The security token included in the request is invalid."
    )


def authorize(
    context: Context, role: Record | None, action: str, resource: str = "*", **conditions: str
) -> None:
    """Raise AWS's refusal unless the role's policies allow it; a Deny outweighs every Allow."""
    if role is None:
        return
    held = [
        statement
        for document in _documents(context, role)
        for statement in _listed(document["Statement"])
        if _applies(statement, action, resource, conditions)
    ]
    if any(statement["Effect"] == "Deny" for statement in held):
        reason = "with an explicit deny in an identity-based policy"
    elif not held:
        reason = f"because no identity-based policy allows the {action} action"
    else:
        return
    account = context.account.aws_account
    raise Refusal(
        "AccessDeniedException",
        f"User: arn:aws:sts::{account}:assumed-role/{role.id}/rehearsal is not authorized to"
        f" perform: {action} on resource: {resource} {reason}",
    )


def role_for(context: Context, reference: str, service: str) -> Record | None:
    """The role, if it exists and trusts this service acting for this account."""
    role = context.refer(ROLE, reference)
    if role is None:
        return None
    conditions = {"aws:SourceAccount": context.account.aws_account}
    trust = _parsed(role.inputs["assumeRolePolicy"])
    for statement in _listed(trust["Statement"]):
        principal = statement.get("Principal", {})
        services = _listed(principal.get("Service")) if isinstance(principal, dict) else []
        trusted = service in services and _applies(
            {**statement, "Resource": "*"}, "sts:AssumeRole", "*", conditions
        )
        if trusted and statement["Effect"] == "Allow":
            return role
    return None


def _documents(context: Context, role: Record) -> Iterator[Json]:
    """The role's inline policies and the account's own policies attached to it."""
    for inline in role.inputs.get("inlinePolicies") or []:
        if inline.get("policy"):
            yield _parsed(inline["policy"])
    for each in context.all(ROLE_POLICY):
        if each.inputs["role"] == role.id:
            yield _parsed(each.inputs["policy"])
    for each in context.all(ATTACHMENT):
        if each.inputs["role"] == role.id and (
            policy := context.refer(POLICY, each.inputs["policyArn"])
        ):
            yield _parsed(policy.inputs["policy"])


def _applies(statement: Json, action: str, resource: str, conditions: Mapping[str, str]) -> bool:
    """Whether a statement speaks of this request. NotAction and NotResource are not understood."""
    if "NotAction" in statement or "NotResource" in statement:
        raise Refusal("NotRehearsed", "the rehearsal does not evaluate NotAction and NotResource")
    return (
        any(_like(action.lower(), each.lower()) for each in _listed(statement["Action"]))
        and any(_like(resource, each) for each in _listed(statement["Resource"]))
        and all(
            _holds(operator, key, values, conditions)
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


def _holds(operator: str, key: str, wanted: Any, conditions: Mapping[str, str]) -> bool:
    if operator not in OPERATORS:
        raise Refusal(
            "NotRehearsed",
            f"the rehearsal does not evaluate the condition {operator}; it does {', '.join(OPERATORS)}",
        )
    values = {name.lower(): value for name, value in conditions.items()}
    value = values.get(key.lower())
    return value is not None and any(OPERATORS[operator](value, str(w)) for w in _listed(wanted))


def _parsed(policy: Any) -> Json:
    document: Json = json.loads(policy) if isinstance(policy, str) else policy
    return document


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return (
        list(value)
        if isinstance(value, Iterable) and not isinstance(value, str | dict)
        else [value]
    )


def _base32(text: str) -> str:
    """Sixteen characters of the kind that AWS's ids are made of."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[byte % 32] for byte in digest[:16])
