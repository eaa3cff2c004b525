"""AWS: the rules of the types that the platform uses, and working data planes behind them.

One module a service (Lambda has a second for its URLs): its kinds, and the operations of its API that a
client may call. What a workload asks for is held against the policies of its role, as on AWS; the
deployer may do everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rehearsal.provider.context import Context


def environment(context: Context) -> dict[str, str]:
    """What makes AWS's own clients find the rehearsal.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    return {
        "AWS_ENDPOINT_URL": f"{context.base_url}/aws/",
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{context.object_stores.port('s3')}",
        "AWS_ACCESS_KEY_ID": context.account.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": context.account.aws_secret_access_key,
    }
