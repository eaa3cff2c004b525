"""The gateway's key on AWS: a secret in Secrets Manager."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import contracts
from components.aws.foundation import Foundation
from components.random_key import RandomKey

RECOVERY_DAYS = 30


class ApiKey(contracts.ApiKey):
    """A random key; another rotation becomes the secret's current version, and the former version stays."""

    secret: aws.secretsmanager.Secret
    version: aws.secretsmanager.SecretVersion
    """The version of the secret that has this rotation's key."""

    def __init__(
        self, name: str, args: contracts.ApiKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:aws:ApiKey", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)

        key = RandomKey(f"{name}-random", args.rotation, child)
        self.secret = aws.secretsmanager.Secret(
            f"{name}-secret",
            description="What callers of the gateway send as x-api-key",
            # 0: deleted at once, so that a stack that is created again finds the name free.
            recovery_window_in_days=RECOVERY_DAYS if foundation.args.keep_data else 0,
            tags=foundation.tags,
            opts=child,
        )
        self.version = aws.secretsmanager.SecretVersion(
            f"{name}-version", secret_id=self.secret.id, secret_string=key.value, opts=child
        )

        self.value = key.value
        self.register_outputs({})
