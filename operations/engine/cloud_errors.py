"""The errors of the clouds' own clients: whether credentials have ended, may not do it, or nothing answers."""

from __future__ import annotations

import re

SIGN_IN = (
    "Sign in again (`aws sso login`, `gcloud auth application-default login`, `az login`, `pulumi login`; in CI, run"
    " the job again)."
)
CLIENTS = (
    "botocore.",
    "boto3.",
    "google.",
    "azure.",
    "requests.",
    "urllib3.",
    "components.gcp.rest",
    "msrest.",
)
"""The modules of the clients' errors. `components.azure.arm` raises RuntimeError with Azure's own text."""
EXPIRED = re.compile(
    r"ExpiredToken|RequestExpired|token included in the request is (expired|invalid)|InvalidAccessKeyId"
    r"|InvalidClientTokenId|UnrecognizedClientException|AuthFailure|invalid access token"
    r"|invalid_grant|AADSTS\d+|InvalidAuthenticationToken|failed to refresh cached credentials"
    r"|no EC2 IMDS role found|[Cc]ould not find default credentials|default credentials were not found"
    r"|DefaultAzureCredential|PULUMI_ACCESS_TOKEN must be set|[Tt]oken has expired|[Cc]redentials have expired"
    r"|[Uu]nable to locate credentials|[Aa]ccess token (is expired|expiry)|ExpiredAuthenticationToken|invalid authentication credentials|Reauthentication is needed|RefreshError|UNAUTHENTICATED"
)
"""Credentials that are missing, were withdrawn or have ended, as the clouds and their clients report it."""
DENIED = re.compile(
    r"AccessDenied|not authorized to perform|AuthorizationPermissionMismatch|AuthorizationFailed"
    r"|PERMISSION_DENIED|PermissionDenied|Forbidden|StatusCode: 403|\b403\b|does not have storage\.\S+ access"
)


def way_past(text: str) -> str | None:
    """What a person does about an error of credentials; None about another error."""
    if EXPIRED.search(text):
        return (
            f"The credentials are missing, or are not valid any more. {SIGN_IN} Then run the same command again: it"
            " goes on from what exists."
        )
    if DENIED.search(text):
        return (
            "The credentials are valid, and may not do this. Are they of the stack's account, and have they the"
            " permissions that the page of the cloud in docs/reference lists? With a backend in a bucket they also"
            " read and write there. Then run the same command again: it goes on from what exists."
        )
    return None


def report(error: Exception) -> str | None:
    """What to print in place of a traceback, if the error is one of the clouds' clients; None for any other."""
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}"
    text = f"{kind.__name__}: {error}"
    if name.startswith(CLIENTS) or (way_past(text) and kind is RuntimeError):
        default = "The cloud did not answer as expected. Run the same command again; if it stays so, the reason is above."
        return f"{text}\n{way_past(text) or default}"
    return None
