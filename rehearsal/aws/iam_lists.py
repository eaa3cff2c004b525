"""The lists of IAM that its own clients ask for: roles, a role's tags, a role's inline policies.

IAM speaks the query protocol: a form goes in, XML comes out.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from rehearsal.aws.calls import Call
from rehearsal.aws.iam import ROLE, ROLE_POLICY
from rehearsal.core.records import Record, Refusal

PAGE = 100
"""IAM's own default for MaxItems."""
ANSWER = """\
<{action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{action}Result>{members}\
<IsTruncated>{more}</IsTruncated>{marker}</{action}Result>\
<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{action}Response>"""
ERROR = """\
<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>\
<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"""


def answer(call: Call) -> str:
    """The XML for a form, which is the call's body. Raises `Refusal`."""
    action = call.body.get("Action", "")
    if action not in LISTS:
        raise Refusal("NotRehearsed", f"the rehearsal does not answer iam:{action}")
    name, listing = LISTS[action]
    members = list(listing(call))
    start, most = int(call.body.get("Marker", 0)), int(call.body.get("MaxItems", PAGE))
    more = start + most < len(members)
    return ANSWER.format(
        action=action,
        members=f"<{name}>{''.join(members[start : start + most])}</{name}>",
        more=str(more).lower(),
        marker=f"<Marker>{start + most}</Marker>" if more else "",
        request=uuid.uuid4(),
    )


def _member(fields: Mapping[str, str]) -> str:
    inside = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return f"<member>{inside}</member>"


def _roles(call: Call) -> Iterable[str]:
    """Without their tags, which ListRoles does not return."""
    call.may("iam:ListRoles", f"arn:aws:iam::{call.context.account.aws_account}:role/")
    for role in sorted(call.context.all(ROLE), key=lambda each: each.id):
        created = datetime.fromtimestamp(role.created, UTC)
        yield _member(
            {
                "RoleName": role.id,
                "Arn": role.outputs["arn"],
                "Path": role.inputs.get("path", "/"),
                "RoleId": role.outputs["uniqueId"],
                "CreateDate": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "AssumeRolePolicyDocument": quote(str(role.inputs["assumeRolePolicy"])),
            }
        )


def _role(call: Call, action: str) -> Record:
    name = call.body["RoleName"]
    call.may(action, f"arn:aws:iam::{call.context.account.aws_account}:role/{name}")
    if role := call.context.get(ROLE, name):
        return role
    raise Refusal("NoSuchEntity", f"The role with name {name} cannot be found.")


def _tags(call: Call) -> Iterable[str]:
    tags = _role(call, "iam:ListRoleTags").outputs.get("tags") or {}
    return [_member({"Key": key, "Value": value}) for key, value in tags.items()]


def _policies(call: Call) -> Iterable[str]:
    role = _role(call, "iam:ListRolePolicies")
    held = (each for each in call.context.all(ROLE_POLICY) if each.inputs["role"] == role.id)
    return [f"<member>{escape(each.inputs['name'])}</member>" for each in held]


LISTS: dict[str, tuple[str, Callable[[Call], Iterable[str]]]] = {
    "ListRolePolicies": ("PolicyNames", _policies),
    "ListRoleTags": ("Tags", _tags),
    "ListRoles": ("Roles", _roles),
}
