"""STS: who is calling, and sessions of roles for the tokens of other issuers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rehearsal.aws import credentials, permissions, query_protocol
from rehearsal.aws.calls import Call
from rehearsal.aws.query_protocol import elements
from rehearsal.core.records import Record, Refusal
from rehearsal.core.token_claims import InvalidToken, is_valid_now, unverified_claims

DEPLOYER_ID = "AIDAREHEARSAL00000001"
WEB_IDENTITY = "AssumeRoleWithWebIdentity"
"""The one operation that needs no signature: the token is the proof."""
DEFAULT_SECONDS, LEAST_SECONDS = 3600, 900
# The claims that a trust policy can check, as HOST:CLAIM. Of most issuers these two, of GitHub's more since January 2026.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
# https://aws.amazon.com/about-aws/whats-new/2026/01/aws-sts-supports-validation-identity-provider-claims/
CLAIMS = ("aud", "sub")
CLAIMS_OF_ISSUERS = {
    "token.actions.githubusercontent.com": (
        *("actor", "actor_id", "enterprise_id", "environment", "job_workflow_ref"),
        *("ref", "repository", "repository_id", "workflow"),
    )
}


def get_caller_identity(call: Call) -> str:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    account = call.context.account.aws_account
    if call.caller:
        arn = f"arn:aws:sts::{account}:assumed-role/{call.caller.id}/rehearsal"
        user = f"{call.caller.outputs['uniqueId']}:rehearsal"
    else:
        arn, user = f"arn:aws:iam::{account}:user/rehearsal", DEPLOYER_ID
    return elements({"Arn": arn, "UserId": user, "Account": account})


def assume_role_with_web_identity(call: Call) -> str:
    """A session of a role that trusts the issuer of the token. The token's signature is not verified.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    """
    seconds = query_protocol.number(call, "DurationSeconds", DEFAULT_SECONDS)
    role = _trusting_role(call, call.body["RoleArn"], _claims(call.body["WebIdentityToken"]))
    longest = int(role.inputs.get("maxSessionDuration") or DEFAULT_SECONDS)
    if not LEAST_SECONDS <= seconds <= longest:
        raise Refusal(
            "ValidationError",
            f"The requested DurationSeconds exceeds the MaxSessionDuration set for this role: {seconds}, and"
            f" {LEAST_SECONDS} to {longest} are possible.",
        )
    key, expires = credentials.open_session(call.context, role, seconds)
    session = {
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret,
        "SessionToken": key.token,
        "Expiration": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return f"<Credentials>{elements(session)}</Credentials>"


def _claims(token: str) -> dict[str, Any]:
    try:
        claims = unverified_claims(token)
    except InvalidToken as error:
        raise Refusal("InvalidIdentityToken", f"The token could not be parsed: {error}") from None
    if not is_valid_now(claims):
        # That a token whose time has not begun is refused with this code is believed.
        raise Refusal("ExpiredTokenException", "Token expired or not valid yet")
    return claims


def _trusting_role(call: Call, reference: str, claims: dict[str, Any]) -> Record:
    host = str(claims.get("iss")).removeprefix("https://")
    provider = next(
        (
            each
            for each in call.context.all("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
            if each.inputs["url"].removeprefix("https://") == host
        ),
        None,
    )
    if provider is None:
        text = f"No OpenIDConnect provider found in your account for https://{host}"
        raise Refusal("InvalidIdentityToken", text)
    if claims.get("aud") not in provider.inputs["clientIdLists"]:
        raise Refusal("InvalidIdentityToken", "Incorrect token audience")
    checked = (*CLAIMS, *CLAIMS_OF_ISSUERS.get(host, ()))
    known = {f"{host}:{name}".lower(): str(claims[name]) for name in checked if name in claims}
    role = permissions.federated_role(call.context, reference, provider.outputs["arn"], known)
    if role is None:
        raise Refusal("AccessDenied", f"Not authorized to perform sts:{WEB_IDENTITY}")
    return role
