"""AWS's access keys in this rehearsal: each secret is derived from the key of the store, so that none has to be kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import NamedTuple

SERVER_HEADER = "x-rehearsal-token"
"""By it the S3 server knows the rehearsal's own requests, which have no signature."""


class AccessKey(NamedTuple):
    """What a caller signs its requests with."""

    id: str
    secret: str
    token: str = ""
    """The session token of a temporary key."""


class AccessKeys:
    """The keys of one rehearsal. Another one, with another storage key, has none of them."""

    def __init__(self, storage_key: bytes) -> None:
        self._storage_key = storage_key
        id = "AKIA" + base64.b32encode(self._derived("id of the deployer"))[:16].decode()
        self.deployer = AccessKey(id, self._secret(id))
        """The long-term key of the engineer, in what ``python -m rehearsal env`` prints."""
        self.server_token = self._derived("calls of the S3 server by the rehearsal").hex()
        """What the rehearsal's own requests to its S3 server have in `SERVER_HEADER`."""

    def temporary(self, id: str) -> AccessKey:
        """The key of a role's session."""
        token = base64.b64encode(self._derived(f"session token of {id}")).decode()
        return AccessKey(id, self._secret(id), token)

    def _secret(self, id: str) -> str:
        # Forty characters, as AWS's are.
        return base64.b64encode(self._derived(f"secret of {id}")).decode()[:40]

    def _derived(self, what: str) -> bytes:
        return hmac.digest(self._storage_key, f"aws: {what}".encode(), hashlib.sha256)
