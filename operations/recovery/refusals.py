"""The refusals when it cannot be determined whether a resource exists. Nothing was changed then.

Each names the resources, the cloud's reason (or that it was printed before), and the ways out.
"""

from __future__ import annotations

from config.clouds import Cloud

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


LISTING_PERMISSIONS: dict[Cloud, str] = {
    "aws": "tag:GetResources, and s3:GetObject on the lake",
    "gcp": "storage.buckets.list, and storage.objects.get on the lake",
    "azure": "Reader on the subscription, and Storage Blob Data Reader on the lake",
}
"""What `operations.data.lake_locations` and the copy of the state need."""


def lakes_unreadable(cloud: Cloud, error: Exception) -> str:
    """Before a stack is created or adopted: whether its lake exists is not known."""
    return (
        f"Refused: it could not be determined whether the stack's lake exists: {error}. Nothing was changed. Sign"
        f" the terminal in to the stack's account, with these permissions: {LISTING_PERMISSIONS[cloud]}. Then run"
        " the same command again."
    )


def secret_unreadable(secret: str, reason: str, permission: str) -> str:
    """During an import or after an interrupted run, for a secret whose id the cloud chooses."""
    return (
        f"Refused: it could not be determined whether the secret {secret} exists: {reason}. Nothing was changed."
        f" Sign the terminal in to the stack's account, with the permission {permission}, and run the same"
        " command again. After an interrupted run, to go on without knowing, so that the secret may be created"
        f" twice: ALLOW={ALLOW_UNRESOLVED}"
    )
