"""The address that gives out access tokens: the managed identity endpoint of App Service.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.azure import credentials
from rehearsal.provider.context import Context


async def identity_token(context: Context, request: Request) -> Response:
    """A token of the identity that the header and the client id name."""
    resource = request.query_params.get("resource", "").removesuffix("/.default").rstrip("/")
    client = request.query_params.get("client_id")
    header = request.headers.get("x-identity-header", "")
    if header == credentials.deployer_header(context):
        principal, client = context.account.azure_object, context.account.azure_client
    else:
        identities = credentials.identities_of(context, header)
        if identities is None:
            return _invalid("the X-IDENTITY-HEADER is missing or wrong")
        matching = [r for r in identities if client in (None, r.outputs["clientId"])]
        if len(matching) != 1:
            return _invalid(
                "No User Assigned or Delegated Managed Identity found for specified ClientId"
                f" {client}."
            )
        principal, client = matching[0].outputs["principalId"], matching[0].outputs["clientId"]
    value, expires = credentials.token(context, principal, client or "", resource)
    return JSONResponse(
        {
            "access_token": value,
            "expires_on": str(expires),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": client,
        }
    )


def _invalid(description: str) -> Response:
    return JSONResponse({"error": "invalid_request", "error_description": description}, 400)
