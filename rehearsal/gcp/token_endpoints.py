"""The addresses that give out access tokens: the OAuth token endpoint, the metadata server, and the Security Token Service."""

from __future__ import annotations

import google.auth.exceptions
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from rehearsal.core.records import Refusal
from rehearsal.core.request_bodies import TOKEN_BYTES, MissingMember, form, limited
from rehearsal.core.token_claims import InvalidToken, is_valid_now, unverified_claims
from rehearsal.gcp import credentials, expressions, iam
from rehearsal.provider.context import Context

FLAVOR = {"metadata-flavor": "Google"}
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


async def exchange(context: Context, request: Request) -> Response:
    """A signed assertion for an access token. https://datatracker.ietf.org/doc/html/rfc7523"""
    fields = form(await limited(request, TOKEN_BYTES).body())
    # google-auth writes Google's own address into the assertion, whatever token_uri is.
    audience = "https://oauth2.googleapis.com/token"
    try:
        email = credentials.assertion(context, fields["assertion"], audience)
    except (ValueError, google.auth.exceptions.GoogleAuthError) as wrong:
        text = {"error": "invalid_grant", "error_description": f"Invalid JWT: {wrong}"}
        return JSONResponse(text, 400)
    return JSONResponse(credentials.token(context, email))


async def metadata_root(_context: Context, _request: Request) -> Response:
    """The address by which clients recognise a metadata server."""
    return PlainTextResponse("computeMetadata/\n", headers=FLAVOR)


async def metadata(context: Context, request: Request) -> Response:
    """The metadata server of a workload. https://cloud.google.com/compute/docs/metadata/overview"""
    if request.headers.get("metadata-flavor") != "Google":
        return PlainTextResponse("Missing Metadata-Flavor:Google header.", 403)
    email, path = request.path_params["email"], request.path_params["path"].strip("/")
    try:
        credentials.account_at(context, email, request.path_params["secret"])
    except Refusal:
        return PlainTextResponse("not found", 404, headers=FLAVOR)
    # The deployer is a person with a key: no machine runs as the account.
    if email == credentials.deployer(context) or not iam.account_exists(context, email):
        return PlainTextResponse(f"service account {email} does not exist", 404, headers=FLAVOR)
    project = email.partition("@")[2].partition(".")[0]
    text = {
        "project/project-id": project,
        "project/numeric-project-id": context.account.gcp_number(project),
        "universe/universe-domain": "googleapis.com",
    }.get(path)
    if text is not None:
        return PlainTextResponse(text, headers=FLAVOR)
    _, _, what = path.partition("instance/service-accounts/")
    account, _, what = what.partition("/")
    if account in ("default", email) and what == "token":
        return JSONResponse(credentials.token(context, email), headers=FLAVOR)
    if account in ("default", email) and not what:
        about = {"email": email, "aliases": ["default"], "scopes": [SCOPE]}
        return JSONResponse(about, headers=FLAVOR)
    return PlainTextResponse("not found", 404, headers=FLAVOR)


async def exchange_federated(context: Context, request: Request) -> Response:
    """A token of another issuer for one of Google's, which a pool's provider must trust.

    The token's signature is not verified: the keys of the issuer are on the internet.
    https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
    """
    fields = form(await limited(request, TOKEN_BYTES).body())
    try:
        principal = _principal(context, fields["audience"], fields["subject_token"])
    except MissingMember as missing:
        return _refused("invalid_request", str(missing))
    except Refusal as refused:
        return _refused(refused.code, refused.message)
    answer = credentials.token(context, principal)
    kind = "urn:ietf:params:oauth:token-type:access_token"
    return JSONResponse({**answer, "issued_token_type": kind})


def _refused(code: str, description: str) -> Response:
    return JSONResponse({"error": code, "error_description": description}, 400)


def _principal(context: Context, audience: str, token: str) -> str:
    """Whom the token is for. Raises `Refusal` in the words of the service (believed: reports).

    https://github.com/google-github-actions/auth/blob/main/docs/TROUBLESHOOTING.md
    """
    name = audience.removeprefix("//iam.googleapis.com/")
    provider = context.find(iam.WorkloadIdentityPoolProvider.token, name=name)
    if provider is None:
        raise Refusal("invalid_target", f"The target service indicated by {audience} is invalid.")
    try:
        claims = unverified_claims(token)
    except InvalidToken as error:
        raise Refusal("invalid_grant", f"Unable to parse the ID Token: {error}") from None
    oidc = provider.inputs.get("oidc") or {}
    if claims.get("iss") != oidc.get("issuerUri"):
        raise Refusal("invalid_grant", "The issuer in ID Token does not match the expected one.")
    # Without a list: the provider's own name. https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools.providers#Oidc
    own = (f"https://iam.googleapis.com/{name}", f"//iam.googleapis.com/{name}")
    if claims.get("aud") not in (oidc.get("allowedAudiences") or own):
        raise Refusal("invalid_grant", "The audience in ID Token does not match the expected one.")
    if not is_valid_now(claims):
        raise Refusal("invalid_grant", "The ID Token is expired or not valid yet.")
    known = {f"assertion.{claim}": value for claim, value in claims.items()}
    mapping = provider.inputs.get("attributeMapping") or {}
    known |= {mapped: known.get(claim) for mapped, claim in mapping.items()}
    condition = provider.inputs.get("attributeCondition")
    if condition and not expressions.holds(condition, known):
        raise Refusal(
            "unauthorized_client", "The given credential is rejected by the attribute condition."
        )
    pool = name.partition("/providers/")[0]
    return f"principal://iam.googleapis.com/{pool}/subject/{known['google.subject']}"
