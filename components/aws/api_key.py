"""The gateway's key on AWS: a secret in Secrets Manager."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from components.random_key import RandomKey

RECOVERY_DAYS = 30


class ApiKey(contracts.ApiKey):
    """A random key; another rotation becomes the secret's current version, the former one stays behind."""

    arn: pulumi.Output[str]
    version: pulumi.Output[str]
    """The version of the secret that holds this rotation's key."""

    def __init__(
        self, name: str, args: contracts.ApiKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:ApiKey", name, None, opts)
        foundation = args.foundation.args
        child = pulumi.ResourceOptions(parent=self)

        key = RandomKey(f"{name}-random", args.rotation, child)
        secret = aws.secretsmanager.Secret(
            f"{name}-secret",
            description="What callers of the gateway send as x-api-key",
            # 0: gone at once, so that a stack that is made again is not in its own way.
            recovery_window_in_days=RECOVERY_DAYS if foundation.keep_data else 0,
            tags=foundation.tags,
            opts=child,
        )
        version = aws.secretsmanager.SecretVersion(
            f"{name}-version", secret_id=secret.id, secret_string=key.value, opts=child
        )

        self.value = key.value
        self.arn = secret.arn
        self.version = version.version_id
        self.register_outputs({"arn": self.arn})
