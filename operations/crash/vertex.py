"""What Vertex AI has: no record of the rehearsal tells of it, as no provider's own resource made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests
import yaml
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.service_account import Credentials

from operations.recovery.physical_ids import OURS

TYPES = MODEL, DEPLOYMENT = f"{OURS}VertexModel", f"{OURS}VertexDeployment"
OFF = "has not been used in project"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def standing(checkout: Path) -> list[dict[str, Any]]:
    """Each model and each deployment in the settings' project and region, as Google's own client lists them.

    Under the names that `components.gcp.package.model_endpoint` gives them in the program, which follow from those
    that they show.
    """
    settings = yaml.safe_load((checkout / "Pulumi.dev.yaml").read_text())["config"]
    around = json.loads((checkout / ".rehearsal/environment.json").read_text())
    place = f"projects/{settings['gcp:project']}/locations/{settings['gcp:region']}"
    url = f"{around['GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT']}{place}"
    credentials = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        around["GOOGLE_APPLICATION_CREDENTIALS"], scopes=[SCOPE]
    )
    with requests.Session() as plain:
        plain.trust_env = False  # the rehearsal's files say where it is, and no proxy leads there
        with AuthorizedSession(credentials, auth_request=Request(plain)) as session:  # type: ignore[no-untyped-call]
            session.trust_env = False
            models = _listed(session, url, "models")
            endpoints = _listed(session, url, "endpoints")
    return [
        *(_thing(MODEL, f"{each['displayName']}-model", each["name"], each) for each in models),
        *(
            _thing(DEPLOYMENT, f"{endpoint['displayName']}-deployment", each["id"], each)
            for endpoint in endpoints
            for each in endpoint.get("deployedModels", ())
        ),
    ]


def _listed(session: AuthorizedSession, url: str, what: str) -> list[dict[str, Any]]:
    answer = session.get(f"{url}/{what}", timeout=60)
    if answer.status_code == 403 and OFF in answer.text:
        return []  # before the platform enables it, and it is left enabled
    answer.raise_for_status()
    return list(answer.json().get(what, ()))


def _thing(token: str, name: str, id_: str, told: dict[str, Any]) -> dict[str, Any]:
    return {"token": token, "name": name, "id": id_, "created": told["createTime"]}
