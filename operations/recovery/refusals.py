"""The refusals when it cannot be determined whether a resource exists. Nothing was changed then.

Each names the resources, the cloud's reason (or that it was printed before), and the ways out.
"""

from __future__ import annotations

ALLOW_UNRESOLVED = "unseen"
"""The word that goes on without reading the unresolved operations from the cloud: ``ALLOW=unseen``."""

OPERATIONS_UNREADABLE = (
    "Refused: it could not be determined whether the interrupted run has created or changed {names}; the cloud's reason is"
    " above. Nothing in the cloud was changed. Run the same command again once the cloud answers, with"
    " credentials that may read these resources. To go on without knowing, so that what was created may be"
    f" created twice: ALLOW={ALLOW_UNRESOLVED}"
)
"""With a place for ``{names}``: after an interrupted run."""

CANDIDATES_UNREADABLE = (
    "Refused: it could not be determined whether {names} exist; the cloud's reason is above. Nothing was changed."
    " Run the same command again with credentials that may read them."
)
"""With a place for ``{names}``: during an import."""


def secret_unreadable(secret: str, reason: str, permission: str) -> str:
    """During an import or after an interrupted run, for a secret whose id the cloud chooses."""
    return (
        f"Refused: it could not be determined whether the secret {secret} exists: {reason}. Nothing was changed."
        f" Sign the terminal in to the stack's account, with the permission {permission}, and run the same"
        " command again. After an interrupted run, to go on without knowing, so that the secret may be created"
        f" twice: ALLOW={ALLOW_UNRESOLVED}"
    )
