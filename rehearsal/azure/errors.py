"""A refusal as an HTTP answer of the Resource Manager; Key Vault answers in the same form."""

from __future__ import annotations

from starlette.responses import JSONResponse

from rehearsal.core.records import Refusal

STATUS = {
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
}
"""HTTP status of each code; 400 for all others."""


def response(refused: Refusal) -> JSONResponse:
    """Azure's error JSON.

    https://learn.microsoft.com/azure/azure-resource-manager/management/common-deployment-errors
    """
    error = {"code": refused.code, "message": refused.message}
    return JSONResponse({"error": error}, STATUS.get(refused.code, 400))
