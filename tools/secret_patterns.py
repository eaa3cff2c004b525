"""What detect-secrets does not know: the credentials of this project's clouds and of Pulumi.

Each pattern takes all of a secret: its hash is in tools/secrets.toml.
"""

from __future__ import annotations

import re

from detect_secrets.plugins.base import RegexBasedDetector

from operations.delivery.redaction import TOKENS


class CredentialDetector(RegexBasedDetector):
    """Tokens by their form, keys of connection strings, signatures of shared URLs, and Pulumi's passphrase."""

    secret_type = "Credential of a cloud or of Pulumi"  # noqa: S105  # its name
    denylist = (
        TOKENS,
        # https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
        re.compile(r"\b(?:AccountKey|SharedAccessKey)=([\w+/]{40,}=*)"),
        # https://learn.microsoft.com/azure/storage/common/storage-sas-overview
        re.compile(r"[?&;]sig=((?:[\w-]|%2[BbFf]|%3[Dd]){40,})"),
        # A value, and not a variable or a placeholder: quoted, or as in a shell or in YAML.
        re.compile(r"PASSPHRASE[\"']?\s*[:=]\s*[\"']([^\"'$<{…]{4,})"),
        re.compile(r"PASSPHRASE(?:=|:\s+)([^\s\"'$<{(…]{4,})"),
    )
