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
    "components.azure.arm",
    "msrest.",
)
"""The modules of the clients' errors."""
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
    r"|PERMISSION_DENIED|PermissionDenied|does not have storage\.\S+ access"
    r"|[Ss]tatus ?[Cc]ode[:=]? ?403\b|response code 403\b|googleapi: Error 403\b|RESPONSE 403\b|\[403\] "
    r"|error occurred \((403|Forbidden)\)|HTTP 403\b|Status=403\b"
)
"""A permission that is missing, as the clouds, their SDKs and the backends write it. The number alone is also a build's,
and a build's log may say that some other server forbids something."""


def way_past(text: str) -> str | None:
    """What a person does about an error of credentials; None about another error."""
    if EXPIRED.search(text):
        return _way_past_status(401)
    return _way_past_status(403) if DENIED.search(text) else None


def _way_past_status(status: int | None) -> str | None:
    match status:
        case 401:
            return (
                f"The credentials are missing, or are not valid any more. {SIGN_IN} Then run the same command again: it"
                " goes on from what exists."
            )
        case 403:
            return (
                "The credentials are valid, and may not do this. Are they of the stack's account, and have they the"
                " permissions that the page of the cloud in docs/reference lists? With a backend in a bucket they also"
                " read and write there. Then run the same command again: it goes on from what exists."
            )
        case _:
            return None


def explanation(error: Exception) -> str | None:
    """What to print in place of a traceback, if the error is one of the clouds' clients; None for any other."""
    kind = type(error)
    if not f"{kind.__module__}.{kind.__qualname__}".startswith(CLIENTS):
        return None
    text = f"{kind.__name__}: {error}"
    default = "The cloud did not answer as expected. Run the same command again; if it stays so, the reason is above."
    return f"{text}\n{way_past(text) or _way_past_status(_status(error)) or default}"


def reason_of_stop(error: Exception) -> str:
    """Why work on files and lakes has stopped, with the way on. A mistake of ours is raised again, with its traceback."""
    if text := explanation(error):
        return text
    if isinstance(error, OSError):  # a full disk, a folder that may not be read
        return f"{error}\nMend the cause, and run the same command again."
    raise error


def _status(error: Exception) -> int | None:
    """The HTTP status of a client's error, which each client keeps in a place of its own."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        return (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
    for holder, name in (
        (error, "status"),  # ours
        (error, "status_code"),  # azure-core
        (error, "code"),  # google-api-core
        (response, "status_code"),  # requests
    ):
        if isinstance(found := getattr(holder, name, None), int):
            return found
    return None
