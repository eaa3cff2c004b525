"""A random key, made once and kept in the stack's encrypted state.

The random provider is a plugin that would have to be downloaded; a dynamic provider needs none.
"""

from __future__ import annotations

import secrets
import uuid
from typing import Any

import pulumi
from pulumi import dynamic


class _RandomKeyProvider(dynamic.ResourceProvider):
    """Nothing exists outside the state, so reading and deleting have nothing to do."""

    # The pickled provider is a reference to this class; encrypting it would hide nothing.
    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        rotated = _olds.get("rotation") != _news.get("rotation")
        return dynamic.DiffResult(changes=rotated, replaces=["rotation"] if rotated else [])

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        # 32 bytes: 256 bits, 43 characters that need no quoting in a header, a URL or a shell.
        return dynamic.CreateResult(
            id_=str(uuid.uuid4()),
            outs={"rotation": props["rotation"], "value": secrets.token_urlsafe(32)},
        )


class RandomKey(dynamic.Resource, module="triplane", name="RandomKey"):
    """A key of 43 URL-safe characters. Another ``rotation`` makes a new one."""

    value: pulumi.Output[str]
    """The key, always secret."""

    def __init__(
        self, name: str, rotation: int, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            _RandomKeyProvider(),
            name,
            {"rotation": rotation, "value": None},
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["value"])
            ),
        )
