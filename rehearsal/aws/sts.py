"""STS: who is calling."""

from __future__ import annotations

from rehearsal.aws.calls import Call
from rehearsal.aws.query_protocol import elements

DEPLOYER_ID = "AIDAREHEARSAL00000001"


def get_caller_identity(call: Call) -> str:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    account = call.context.account.aws_account
    if call.caller:
        arn = f"arn:aws:sts::{account}:assumed-role/{call.caller.id}/rehearsal"
        user = f"{call.caller.outputs['uniqueId']}:rehearsal"
    else:
        arn, user = f"arn:aws:iam::{account}:user/rehearsal", DEPLOYER_ID
    return elements({"Arn": arn, "UserId": user, "Account": account})
