"""A refusal as an HTTP answer, in the form of the service that was called."""

from __future__ import annotations

from xml.sax.saxutils import escape

from starlette.responses import JSONResponse, Response

from rehearsal.aws import query_protocol
from rehearsal.core.records import Refusal
from rehearsal.runtime.sigv4 import SignatureRefused

STATUS = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "NoSuchEntity": 404,
    "NotRehearsed": 501,
    "RequestEntityTooLargeException": 413,
    "ResourceNotFoundException": 404,
    "TooManyRequestsException": 429,
}
"""HTTP status of each code; 400 for all others."""
S3_ERROR = "<Error><Code>{code}</Code><Message>{message}</Message></Error>"


def response(refused: Refusal, service: str) -> Response:
    """XML for S3, IAM and STS, JSON for the others.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
    """
    status = (
        refused.status if isinstance(refused, SignatureRefused) else STATUS.get(refused.code, 400)
    )
    code, message = refused.code, refused.message
    if service in ("s3", "iam", "sts") and code == "AccessDeniedException":
        code = "AccessDenied"  # without the suffix that the other services add
    if service == "s3":
        text = S3_ERROR.format(code=code, message=escape(message))
        return Response(text, status, media_type="application/xml")
    if service in query_protocol.NAMESPACES:
        text = query_protocol.error(service, code, message)
        return Response(text, status, media_type="text/xml")
    return JSONResponse(
        {"__type": code, "message": message, "Message": message},
        status,
        {"x-amzn-errortype": code},
        "application/x-amz-json-1.1",
    )
