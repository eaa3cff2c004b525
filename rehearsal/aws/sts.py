"""STS: who is calling."""

from __future__ import annotations

from rehearsal.core.records import Json
from rehearsal.provider.context import Context


def get_caller_identity(context: Context, arguments: Json, config: Json) -> Json:
    """The function of the provider: the account and the user that its settings lead to."""
    account = context.account.aws_account_of(config)
    return {
        "accountId": account,
        "arn": f"arn:aws:iam::{account}:user/rehearsal",
        "id": account,
        "userId": "AIDAREHEARSAL00000001",
    }
