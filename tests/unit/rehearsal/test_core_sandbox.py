"""A browser gets an object without its origin; the clouds' clients get it as the cloud sends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from rehearsal.core.browser_sandbox import BrowserSandbox
from rehearsal.core.control_token import created, known


@pytest.mark.parametrize(
    ("path", "headers", "is_sandboxed"),
    [
        ("/aws/lake/page.html", {"user-agent": "Mozilla/5.0"}, True),
        ("/aws/lake/page.html", {"sec-fetch-dest": "document", "user-agent": "x"}, True),
        ("/aws/lake/page.html", {"user-agent": "Boto3/1.44 Mozilla/5.0"}, False),
        ("/aws/lake/page.html", {"user-agent": ""}, False),
        ("/", {"user-agent": "Mozilla/5.0"}, False),
    ],
)
def test_only_a_browser_below_the_data_planes_is_sandboxed(
    path: str, headers: dict[str, str], is_sandboxed: bool
) -> None:
    # https://www.w3.org/TR/CSP3/#directive-sandbox
    routes = [Route("/{path:path}", lambda _: PlainTextResponse("object"))]
    client = TestClient(BrowserSandbox(Starlette(routes=routes), ("/aws", "/gcp")))
    answer = client.get(path, headers=headers)
    assert answer.text == "object"
    sandboxed = {"content-security-policy": "sandbox", "x-content-type-options": "nosniff"}
    found = {name: answer.headers[name] for name in sandboxed if name in answer.headers}
    assert found == (sandboxed if is_sandboxed else {})


def test_a_token_is_created_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    assert known(tmp_path) == ""
    token = created(tmp_path)
    assert len(token) >= 43
    assert created(tmp_path) == known(tmp_path) == token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
