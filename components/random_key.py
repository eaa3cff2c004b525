"""A random key, created once and kept in the stack's encrypted state.

Pulumi's random provider is a plugin that must be downloaded; a dynamic provider needs none.
"""

from __future__ import annotations

import secrets
import uuid

import pulumi
from pulumi.dynamic import CreateResult, Resource

from components.dynamic import Props, Provider


class RandomKeyProvider(Provider):
    """Nothing exists outside the state, so there is nothing to read, update or delete."""

    replace_on = frozenset({"rotation"})

    def create(self, props: Props) -> CreateResult:
        # 32 bytes: 256 bits, in 43 characters that need no quoting in a header, a URL or a shell.
        return CreateResult(
            str(uuid.uuid4()), {"rotation": props["rotation"], "value": secrets.token_urlsafe(32)}
        )


class RandomKey(Resource, module="triplane", name="RandomKey"):
    """A key of 43 URL-safe characters. Another ``rotation`` makes a new one."""

    value: pulumi.Output[str]
    """The key, always secret."""

    def __init__(
        self, name: str, rotation: int, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            RandomKeyProvider(),
            name,
            {"rotation": rotation, "value": None},
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["value"])
            ),
        )
