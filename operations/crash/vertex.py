"""The models and deployments that Vertex AI has. The rehearsal's records lack them: dynamic resources create them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.service_account import Credentials

from components.resource_type import DYNAMIC
from config.stack_file import StackFile

TYPES = MODEL, DEPLOYMENT = f"{DYNAMIC}VertexModel", f"{DYNAMIC}VertexDeployment"
API_NOT_ENABLED = "has not been used in project"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def models_and_deployments(checkout: Path) -> list[dict[str, Any]]:
    """Each model and each deployment in the settings' project and region, as Google's own client lists them.

    They have the names that `components.gcp.model_endpoint` gives them in the program. These names follow
    from the display names.
    """
    settings = StackFile.read(checkout / "Pulumi.dev.yaml").settings
    environment = json.loads((checkout / ".rehearsal/environment.json").read_text())
    location = f"projects/{settings['gcp:project']}/locations/{settings['gcp:region']}"
    url = f"{environment['GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT']}{location}"
    credentials = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        environment["GOOGLE_APPLICATION_CREDENTIALS"], scopes=[SCOPE]
    )
    with requests.Session() as plain:
        plain.trust_env = False  # the rehearsal's files give its address, which no proxy reaches
        with AuthorizedSession(credentials, auth_request=Request(plain)) as session:  # type: ignore[no-untyped-call]
            session.trust_env = False
            models = _listed(session, url, "models")
            endpoints = _listed(session, url, "endpoints")
    return [
        *(_record(MODEL, f"{each['displayName']}-model", each["name"], each) for each in models),
        *(
            _record(DEPLOYMENT, f"{endpoint['displayName']}-deployment", each["id"], each)
            for endpoint in endpoints
            for each in endpoint.get("deployedModels", ())
        ),
    ]


def _listed(session: AuthorizedSession, url: str, collection: str) -> list[dict[str, Any]]:
    response = session.get(f"{url}/{collection}", timeout=60)
    if response.status_code == 403 and API_NOT_ENABLED in response.text:
        return []  # before the platform enables it, and it is left enabled
    response.raise_for_status()
    return list(response.json().get(collection, ()))


def _record(token: str, name: str, id_: str, reported: dict[str, Any]) -> dict[str, Any]:
    return {"token": token, "name": name, "id": id_, "created": reported["createTime"]}
