"""Credentials that somebody has written into a stack file in plain text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from config.messages import Errors

CREDENTIAL_KEY = re.compile(
    r"(?i)(^|[._:-])(password|passwd|pwd|secret|token|api_?-?key|access_?key(_?id)?|secret_?(access_?)?key"
    r"|private_?-?key|client_?secret|credentials?|connection_?string|key)$"
)
CREDENTIAL_VALUE = re.compile(
    r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS access key ids
    r"|-----BEGIN [A-Z ]*(PRIVATE KEY|CERTIFICATE)"
    r"|\bAIza[\w-]{35}|\"private_key\"|\bya29\.[\w-]{20,}"  # Google API keys, service accounts, tokens
    r"|AccountKey=[\w+/=]{20,}|SharedAccessSignature"  # Azure storage
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.|\bgh[pousr]_\w{36}|\bsk-[\w-]{20,}"  # JWT, GitHub, model vendors
)
PROVIDER_CREDENTIALS = {
    "aws": {"aws:accessKey", "aws:secretKey", "aws:token"},
    "gcp": {"gcp:accessToken"},
    "azure": {
        "azure-native:clientSecret",
        "azure-native:clientCertificatePassword",
        "azure-native:oidcToken",
    },
}
"""The settings of each cloud's provider that hold a credential."""
CREDENTIAL_ADVICE = {
    "triplane": (
        "This looks like a secret in plain text. Remove it, and replace it wherever it is valid: the file is"
        " under version control. The gateway's key is generated and kept in the cloud's secret store"
        " (`make key`, with the STACK= or CLOUD= of the stack, prints it); no setting holds one."
    ),
    "provider": (
        "This looks like a secret in plain text. Remove it, and replace it wherever it is valid: the file is"
        " under version control. Credentials come from the environment or the cloud's own login"
        " (docs/guides/real-cloud.md), or encrypted: pulumi config set --secret."
    ),
}


def unencrypted_credentials(
    values: Mapping[str, Any], secrets: Collection[str], known: Collection[str]
) -> Errors:
    """Credentials in plain text. ``secrets`` are the keys of encrypted values. No value is shown."""
    found = {}
    of_providers = frozenset().union(*PROVIDER_CREDENTIALS.values())
    for top, value in values.items():
        if top in secrets:
            continue
        for key, leaf in _leaves(top, value):
            ours = key.startswith("triplane:") and key not in known
            if (ours and CREDENTIAL_KEY.search(key)) or (
                (key in of_providers and leaf) or CREDENTIAL_VALUE.search(str(leaf))
            ):
                found[key] = ("(not shown)", CREDENTIAL_ADVICE["triplane" if ours else "provider"])
    return found


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner)
    else:
        yield key, value
