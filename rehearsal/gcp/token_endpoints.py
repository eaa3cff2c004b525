"""The two addresses that give out access tokens: the OAuth token endpoint and the metadata server."""

from __future__ import annotations

from urllib.parse import parse_qs

import google.auth.exceptions
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from rehearsal.gcp import credentials, iam
from rehearsal.provider.context import Context

FLAVOR = {"metadata-flavor": "Google"}
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


async def exchange(context: Context, request: Request) -> Response:
    """A signed assertion for an access token. https://datatracker.ietf.org/doc/html/rfc7523"""
    form = parse_qs((await request.body()).decode())
    # google-auth writes Google's own address into the assertion, whatever token_uri is.
    audience = "https://oauth2.googleapis.com/token"
    try:
        email = credentials.assertion(context, form["assertion"][0], audience)
    except (KeyError, ValueError, google.auth.exceptions.GoogleAuthError) as wrong:
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
    if not iam.account_exists(context, email):
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
