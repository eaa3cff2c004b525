"""The gateway's key on Google Cloud: a secret in Secret Manager."""

from __future__ import annotations

import pulumi
from pulumi_gcp import secretmanager

from components import contracts
from components.gcp.foundation import Foundation
from components.random_key import RandomKey


class ApiKey(contracts.ApiKey):
    """A random key, in a secret in the stack's own region; each rotation is a version of it."""

    secret: secretmanager.Secret
    version: secretmanager.SecretVersion

    def __init__(
        self, name: str, args: contracts.ApiKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:ApiKey", name, None, opts)
        foundation = Foundation.of(args.foundation)

        key = RandomKey(f"{name}-value", args.rotation, pulumi.ResourceOptions(parent=self))
        self.secret = secretmanager.Secret(
            f"{name}-secret",
            replication={"user_managed": {"replicas": [{"location": foundation.region}]}},
            labels=foundation.labels,
            opts=foundation.child(self),
        )
        self.version = secretmanager.SecretVersion(
            f"{name}-version",
            secret=self.secret.id,
            secret_data=key.value,
            enabled=True,
            opts=foundation.child(self),
        )

        self.value = key.value
        self.register_outputs({})
