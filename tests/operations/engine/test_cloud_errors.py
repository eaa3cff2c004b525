"""Errors of the clouds' clients in place of a traceback: what they are about, and the way out."""

from __future__ import annotations

import botocore.exceptions
import google.auth.exceptions
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from google.api_core.exceptions import Forbidden, Unauthenticated

from components.azure.arm import ResourceManagerError
from components.gcp.rest import GoogleError
from operations.__main__ import main
from operations.commands.registry import COMMANDS
from operations.engine import chosen_stack, cloud_errors
from rehearsal.provider.cloud_profile import CloudProfile
from rehearsal.server import PROFILES


def client_error(code: str, message: str) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "Call")


def forbidden() -> requests.Response:
    response = requests.Response()
    response.status_code = 403
    return response


EXPIRED: list[Exception] = [
    client_error("ExpiredToken", "The security token included in the request is expired"),
    client_error("InvalidClientTokenId", "The security token included in the request is invalid"),
    botocore.exceptions.NoCredentialsError(),
    botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="Token has expired"),
    google.auth.exceptions.RefreshError("invalid_grant: Token has been expired or revoked"),
    google.auth.exceptions.DefaultCredentialsError(
        "Your default credentials were not found. To set up Application Default Credentials, see"
    ),
    Unauthenticated("Request had invalid authentication credentials"),
    GoogleError(401, "GET …: UNAUTHENTICATED: Request had invalid authentication credentials"),
    ClientAuthenticationError("DefaultAzureCredential failed to retrieve a token"),
    ResourceManagerError(401, "GET …: 401 ExpiredAuthenticationToken: The access"),
    ResourceManagerError(401, "GET …: 401 <html>"),
]
DENIED: list[Exception] = [
    client_error("AccessDenied", "is not authorized to perform: tag:GetResources"),
    Forbidden("does not have storage.buckets.list access to the Google Cloud project"),
    HttpResponseError("(AuthorizationFailed) The client does not have authorization"),
    ResourceManagerError(403, "GET …: 403 AuthorizationFailed: the client"),
    GoogleError(403, "GET …: 403: <html>"),
    requests.HTTPError("403 Client Error: Forbidden for url", response=forbidden()),
]
OTHERS: list[Exception] = [
    ResourceManagerError(
        429, "GET https://management.azure.com/…: 429 TooManyRequests: 403 of 400"
    ),
    ResourceManagerError(500, "GET https://management.azure.com/…: 500 InternalServerError: "),
    GoogleError(429, "GET …: RESOURCE_EXHAUSTED: Quota exceeded"),
    client_error("ThrottlingException", "Rate exceeded"),
    requests.ConnectionError("Connection refused"),
]
OF_THE_ENGINE = [
    "googleapi: Error 403: Permission denied on resource project x., forbidden",
    "operation error S3: GetObject, https response error StatusCode: 403, RequestID: A, HostID: B",
    "GET https://acc.blob.core.windows.net/states\nRESPONSE 403: 403 This request is not authorized",
    "autorest/azure: Service returned an error. Status=403 Code=LinkedAuthorizationFailed",
    "error: [403] Forbidden: you do not have access to this stack",
    "An error occurred (403) when calling the HeadObject operation: Forbidden",
]
"""Of the SDKs that the providers and the backends use: how they write a status."""
OF_A_BUILD = [
    "run 403 of the image ended as Failed: pip could not resolve",
    "build 8:403 ended as FAILED BUILD: exit status 1. Log: https://eu-west-1.console.aws.amazon.com",
    "run ab1 ended as Failed: failed to run step.\n  E: http://deb.debian.org 403  Forbidden [IP: 1.2.3.4 80]",
    "run ab1 ended as Failed: \n  ERROR: HTTP error 403 while getting https://packages.example/simple/numpy/",
]


@pytest.mark.parametrize("error", EXPIRED, ids=lambda each: type(each).__name__)
def test_credentials_that_ended_are_reported_with_how_to_sign_in(error: Exception) -> None:
    explanation = cloud_errors.explanation(error)
    assert explanation
    assert str(error) in explanation
    assert "not valid any more. Sign in again" in explanation
    assert "run the same command again" in explanation


@pytest.mark.parametrize("error", DENIED, ids=lambda each: type(each).__name__)
def test_a_missing_permission_is_reported_as_such(error: Exception) -> None:
    explanation = cloud_errors.explanation(error)
    assert explanation
    assert "The credentials are valid, and may not do this" in explanation


@pytest.mark.parametrize("error", OTHERS, ids=lambda each: type(each).__name__)
def test_any_other_error_of_a_cloud_is_reported_without_advice_about_credentials(
    error: Exception,
) -> None:
    explanation = cloud_errors.explanation(error)
    assert explanation
    assert str(error) in explanation
    assert "Run the same command again" in explanation
    assert "credentials" not in explanation


@pytest.mark.parametrize("text", OF_THE_ENGINE)
def test_a_missing_permission_in_the_engines_output_is_explained(text: str) -> None:
    assert "may not do this" in str(cloud_errors.way_past(text))


@pytest.mark.parametrize("text", OF_A_BUILD)
def test_a_failed_build_is_not_taken_for_a_missing_permission(text: str) -> None:
    assert cloud_errors.way_past(text) is None


@pytest.mark.parametrize("cloud", PROFILES, ids=lambda each: each.package)
def test_what_the_engine_prints_about_expired_credentials_is_explained(cloud: CloudProfile) -> None:
    code, message = cloud.provider.errors.expired
    way_out = cloud_errors.way_past(f"error: {code}: {message}")
    assert way_out
    assert "Sign in again" in way_out


@pytest.mark.parametrize("error", [KeyError("region"), RuntimeError("a mistake of ours")])
def test_a_mistake_in_our_code_keeps_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(_: object) -> None:
        raise error

    assert cloud_errors.explanation(error) is None
    monkeypatch.setitem(COMMANDS, "up", mistaken)
    monkeypatch.setattr(chosen_stack.ShellStack, "named", lambda name: name)
    with pytest.raises(type(error)):
        main(["up", "--stack", "prod"])


def test_a_command_ends_with_the_report_and_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def expired(_: object) -> None:
        raise EXPIRED[0]

    monkeypatch.setitem(COMMANDS, "up", expired)
    monkeypatch.setattr(chosen_stack.ShellStack, "named", lambda name: name)
    with pytest.raises(SystemExit, match="aws sso login"):
        main(["up", "--stack", "prod"])
