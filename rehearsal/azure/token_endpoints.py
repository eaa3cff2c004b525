"""The addresses that give out access tokens: the managed identity endpoint of App Service, and Entra ID's.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
"""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.azure import credentials
from rehearsal.azure.ids import within
from rehearsal.azure.managed_identity import FEDERATED_CREDENTIAL
from rehearsal.azure.resource_type import IDENTITY
from rehearsal.core.records import Refusal
from rehearsal.core.request_bodies import TOKEN_BYTES, MissingMember, form, limited
from rehearsal.core.token_claims import InvalidToken, is_valid_now, unverified_claims
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


async def federated_token(context: Context, request: Request) -> Response:
    """A token for the assertion of another issuer, which a federated credential of the identity must name.

    The assertion's signature is not verified: the keys of the issuer are on the internet.
    """
    fields = form(await limited(request, TOKEN_BYTES).body())
    try:
        principal, client = _federated(context, fields["client_id"], fields["client_assertion"])
    except Refusal as refused:
        text = f"{refused.code}: {refused.message}"
        return JSONResponse({"error": "invalid_client", "error_description": text}, 401)
    except MissingMember as missing:
        return JSONResponse({"error": "invalid_request", "error_description": str(missing)}, 400)
    audience = fields.get("scope", "").removesuffix("/.default")
    value, expires = credentials.token(context, principal, client, audience)
    seconds = expires - int(time.time())
    return JSONResponse({"access_token": value, "expires_in": seconds, "token_type": "Bearer"})


def _federated(context: Context, client: str, assertion: str) -> tuple[str, str]:
    """Principal and client id of the identity. Raises `Refusal` as Entra ID words it.

    https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    """
    identity = next((r for r in context.all(IDENTITY) if r.outputs["clientId"] == client), None)
    if identity is None:
        raise Refusal("AADSTS700016", f"Application with identifier '{client}' was not found.")
    try:
        claims = unverified_claims(assertion)
    except InvalidToken as error:
        raise Refusal("AADSTS50027", f"JWT token is invalid or malformed: {error}") from None
    if not is_valid_now(claims):
        raise Refusal("AADSTS700024", "Client assertion is not within its valid time range.")
    trusted = [
        (each.inputs["issuer"], each.inputs["subject"])
        for each in context.all(FEDERATED_CREDENTIAL)
        if within(each.id, identity.id) and claims.get("aud") in each.inputs["audiences"]
    ]
    if (claims.get("iss"), claims.get("sub")) not in trusted:
        raise Refusal(
            "AADSTS700213",
            "No matching federated identity record found for presented assertion subject"
            f" '{claims.get('sub')}'.",
        )
    return identity.outputs["principalId"], client
