"""The refusal when a cloud does not say whether a secret exists."""

from __future__ import annotations


def secret_not_readable(secret: str, reason: str, permission: str) -> str:
    """What a person reads then: which secret, why, and the two ways out."""
    return (
        f"Refused: the cloud does not say whether the secret {secret} exists: {reason}. Nothing was changed."
        f" Sign the terminal in to the stack's account, with the permission {permission}, and run the same"
        " command again. After an interrupted run, to go on without knowing, so that the secret may be created"
        " twice: ALLOW=unseen"
    )
