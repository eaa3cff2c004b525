"""A refusal as an HTTP answer: the status and the form of each cloud's errors."""

from __future__ import annotations

import json

import pytest

from rehearsal.aws import errors as aws
from rehearsal.azure import errors as azure
from rehearsal.core.records import Refusal
from rehearsal.gcp import errors as gcp
from rehearsal.runtime.sigv4 import SignatureRefused

# https://cloud.google.com/apis/design/errors#handling_errors
GOOGLE = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
# https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
AZURE = {
    "AuthenticationFailed": 401,
    "AuthorizationFailed": 403,
    "Conflict": 409,
    "Forbidden": 403,
    "LinkedAuthorizationFailed": 403,
    "MissingSubscriptionRegistration": 409,
    "NotRehearsed": 501,
    "RequestContentTooLarge": 413,
    "ResourceGroupNotFound": 404,
    "ResourceNotFound": 404,
    "RunNotFound": 404,
    "SecretNotFound": 404,
    "SubscriptionNotFound": 404,
    "Unauthorized": 401,
    "BadArgument": 400,
}
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, and each operation's page
AWS = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "NotRehearsed": 501,
    "RequestEntityTooLargeException": 413,
    "ResourceNotFoundException": 404,
    "TooManyRequestsException": 429,
    "ValidationException": 400,
}


@pytest.mark.parametrize(("code", "status"), GOOGLE.items())
def test_a_canonical_error_of_google_has_its_status(code: str, status: int) -> None:
    answer = gcp.response(Refusal(code, "no"))
    assert answer.status_code == status
    error = {"code": status, "message": "no", "status": code}
    assert json.loads(answer.body) == {"error": error}


@pytest.mark.parametrize(("code", "status"), AZURE.items())
def test_an_error_of_the_resource_manager_has_its_status(code: str, status: int) -> None:
    answer = azure.response(Refusal(code, "no"))
    assert answer.status_code == status
    assert json.loads(answer.body) == {"error": {"code": code, "message": "no"}}


@pytest.mark.parametrize(("code", "status"), AWS.items())
def test_an_error_of_a_json_service_has_its_status_and_type(code: str, status: int) -> None:
    # https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
    answer = aws.response(Refusal(code, "no"), "sagemaker")
    assert answer.status_code == status
    body = json.loads(answer.body)
    assert body == {"__type": code, "message": "no", "Message": "no"}
    assert answer.headers["x-amzn-errortype"] == code
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"


@pytest.mark.parametrize("service", ["s3", "iam", "sts"])
def test_the_older_services_answer_xml_and_leave_the_suffix_out(service: str) -> None:
    answer = aws.response(Refusal("AccessDeniedException", "<no>"), service)
    assert answer.status_code == 403
    text = bytes(answer.body).decode()
    assert "<Code>AccessDenied</Code><Message>&lt;no&gt;</Message>" in text
    if service == "s3":
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        assert text.startswith("<Error>")
        assert answer.headers["content-type"] == "application/xml"
    else:
        # https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
        versions = {"iam": "2010-05-08", "sts": "2011-06-15"}
        space = f"https://{service}.amazonaws.com/doc/{versions[service]}/"
        assert text.startswith(f'<ErrorResponse xmlns="{space}"><Error><Type>Sender</Type>')
        assert answer.headers["content-type"].startswith("text/xml")


def test_a_role_that_is_not_there_is_404_and_a_signature_has_a_status_of_its_own() -> None:
    assert aws.response(Refusal("NoSuchEntity", "no"), "iam").status_code == 404
    refused = SignatureRefused("ExpiredToken", 400, "no")
    assert aws.response(refused, "s3").status_code == 400
