"""Raw HTTP that no client library sends, against what listens for a platform: gateway, control planes, data planes.

The gateway and the model server alone, with more ways to send a request: tests/unit/lambda/test_raw_http.py.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.harness import Rehearsal, Stack
from rehearsal.core.account import Account
from tests.fuzz.odd_requests import BODIES, CODED, CRLF, HOST, NEIGHBOURS, OddRequest
from tests.fuzz.rules import WAYS, Resources, Server, failures, requests

from .clients import Azure

Headers = Callable[[Rehearsal, str, bytes], dict[str, str]]
FORM = "application/x-www-form-urlencoded"


def server(stack: Stack, url: str, **more: bytes) -> Server:
    """The server at a URL, and what it must not show."""
    environment = stack.rehearsal.environment
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    tls = None
    if parts.scheme == "https":
        tls = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
    secrets = [stack.rehearsal.folder, Path.home()]
    hidden = [environment["TRIPLANE_REHEARSAL_TOKEN"], environment["IDENTITY_HEADER"]]
    shown_to_nobody = (*map(bytes, secrets), *(each.encode() for each in hidden))
    return Server(parts.hostname, parts.port, tls, secrets=shown_to_nobody, **more)


def logs(stack: Stack) -> str:
    """What the rehearsal and its containers and functions have written."""
    found = stack.rehearsal.folder.rglob("*.log")
    return "".join(file.read_text(errors="replace") for file in found)


@pytest.fixture
def quiet(stack: Stack) -> Iterator[None]:
    """The logs get no traceback and no key, and the rehearsal has no more threads and sockets than before."""
    resident = psutil.Process(stack.rehearsal.get("/_api/status")["pid"])
    before, written = Resources.of(resident), logs(stack)
    yield
    after = logs(stack)
    assert after.count("Traceback") == written.count("Traceback"), after[-3000:]
    assert stack.outputs()["gateway_key"] not in after
    left = Resources.of(resident)
    assert left.megabytes < before.megabytes + 100
    assert left.files <= before.files + 60  # connections to containers, which are kept
    assert left.threads <= before.threads + 45  # anyio's pool has 40


def test_the_gateway_behind_its_front_end_answers_odd_requests(stack: Stack, quiet: None) -> None:
    outputs = stack.outputs()
    gateway = server(stack, outputs["gateway_url"], key=outputs["gateway_key"].encode())
    assert failures(gateway, requests()) == []


def listening(stack: Stack) -> dict[str, str]:
    """The URLs of the rehearsal's own servers that a cloud's clients are given."""
    environment = stack.rehearsal.environment
    outputs = stack.outputs()
    match outputs["cloud"]:
        case "aws":
            return {
                "the rehearsal": environment["TRIPLANE_REHEARSAL_URL"],
                "S3": environment["AWS_ENDPOINT_URL_S3"],
            }
        case "azure":
            return {
                "the Resource Manager": f"https://{environment['ARM_METADATA_HOSTNAME']}",
                "blobs": outputs["lake_uri"],
            }
        case _:
            return {}  # everything is behind the rehearsal's one address


def test_the_rehearsals_own_servers_answer_odd_requests(stack: Stack, quiet: None) -> None:
    for name, url in listening(stack).items():
        own = server(stack, url, probe=b"/")
        assert failures(own, requests()) == [], name
        assert failures(own, NEIGHBOURS, WAYS) == [], name


def signed(service: str, **headers: str) -> Headers:
    """Headers with a signature of AWS for the service."""

    def found(rehearsal: Rehearsal, path: str, body: bytes) -> dict[str, str]:
        environment = rehearsal.environment
        url = environment["TRIPLANE_REHEARSAL_URL"] + path
        request = AWSRequest("POST", url, dict(headers), body)
        keys = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
        SigV4Auth(Credentials(*keys), service, "eu-west-1").add_auth(request)
        return dict(request.headers.items())

    return found


def target(service: str, operation: str) -> Headers:
    """Headers of AWS's JSON protocol."""
    return signed(service, **{"x-amz-target": operation, "content-type": "application/json"})


@functools.cache
def google_token() -> str:
    import google.auth
    from google.auth.transport.requests import Request

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(Request())  # type: ignore[no-untyped-call]
    return str(credentials.token)


@functools.cache
def azure_token(audience: str) -> str:
    return str(Azure({}).credential.get_token(f"https://{audience}.azure.com/.default").token)


def google(rehearsal: Rehearsal, path: str, body: bytes) -> dict[str, str]:
    return {"authorization": f"Bearer {google_token()}", "content-type": "application/json"}


def microsoft(rehearsal: Rehearsal, path: str, body: bytes) -> dict[str, str]:
    token = azure_token("management")
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


def storage(rehearsal: Rehearsal, path: str, body: bytes) -> dict[str, str]:
    return {"authorization": f"Bearer {azure_token('storage')}", "x-ms-version": "2025-01-05"}


def controller(rehearsal: Rehearsal, path: str, body: bytes) -> dict[str, str]:
    token = rehearsal.environment["TRIPLANE_REHEARSAL_TOKEN"]
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


def form(rehearsal: Rehearsal, path: str, body: bytes) -> dict[str, str]:
    return {"content-type": FORM}


OPERATIONS: dict[str, list[tuple[str, str, Headers]]] = {
    "aws": [
        ("POST", "/aws/", form),
        ("POST", "/aws/", signed("iam", **{"content-type": FORM})),
        ("POST", "/aws/", target("secretsmanager", "secretsmanager.GetSecretValue")),
        ("POST", "/aws/", target("sagemaker", "SageMaker.DescribeEndpoint")),
        ("POST", "/aws/", target("codebuild", "CodeBuild_20161006.StartBuild")),
        ("POST", "/aws/endpoints/none/invocations", signed("sagemaker")),
        ("POST", "/aws/2015-03-31/functions/none/invocations", signed("lambda")),
        ("POST", "/_api/faults", controller),
        ("POST", "/_api/change", controller),
        ("POST", "/_api/ledger?limit=" + "9" * 5000, controller),
    ],
    "gcp": [
        ("POST", "/gcp/oauth2/token", form),
        ("POST", "/gcp/cloudresourcemanager/v3/projects/p:testIamPermissions", google),
        ("POST", "/gcp/aiplatform/v1/projects/p/locations/l/models:upload", google),
        ("POST", "/gcp/cloudbuild/v1/projects/p/locations/l/builds", google),
        ("POST", "{storage}/upload/storage/v1/b/none/o?uploadType=multipart", google),
        ("POST", "{storage}/storage/v1/b/none/o", google),
        ("GET", "{storage}/storage/v1/b/none/o/%00%ff%2e%2e", google),
    ],
    "azure": [
        ("PUT", "/subscriptions/{subscription}/resourceGroups/none", microsoft),
        ("POST", "/subscriptions/{subscription}/providers/none/register", microsoft),
        ("POST", "/none/oauth2/v2.0/token", form),
        ("PUT", "{account}/raw/%zz", storage),
        ("PUT", "{account}/raw/%ff?comp=block&blockid=%zz", storage),
        ("PUT", "{account}/raw/x?comp=blocklist", storage),
    ],
}
"""A method, an address, and the headers of somebody who is allowed to send it."""


def with_bodies(
    rehearsal: Rehearsal, method: str, path: str, headers: Headers
) -> Iterator[OddRequest]:
    """The request with each odd body."""
    for body, coding in [*((each, b"") for each in BODIES), *CODED]:
        found = headers(rehearsal, path, body)
        found.pop("Content-Length", "")
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in found.items())
        if b"Content-Type" in coding:
            lines = lines.replace(b"content-type", b"x-former-type")
        length = b"Content-Length: %d\r\n" % len(body)
        start = f"{method} {path} HTTP/1.1\r\n".encode()
        name = f"{path[:80]} with {body[:40]!r} {coding!r}"
        yield OddRequest(name, start + HOST + lines + coding + length + CRLF + body)


def test_odd_bodies_for_the_services_are_refused_as_the_callers_mistake(
    stack: Stack, quiet: None
) -> None:
    environment, outputs = stack.rehearsal.environment, stack.outputs()
    values = {
        "storage": urlsplit(environment.get("STORAGE_EMULATOR_HOST", "")).path,
        "subscription": Account().azure_subscription,
        "account": urlsplit(outputs["lake_uri"]).path.rstrip("/"),
    }
    broken = []
    for method, path, headers in OPERATIONS[outputs["cloud"]]:
        url = environment["TRIPLANE_REHEARSAL_URL"]
        if outputs["cloud"] == "azure":
            blobs = path.startswith("{account}")
            url = (
                outputs["lake_uri"] if blobs else f"https://{environment['ARM_METADATA_HOSTNAME']}"
            )
        bodies = with_bodies(stack.rehearsal, method, path.format(**values), headers)
        broken += failures(server(stack, url, probe=b"/"), bodies)
    assert broken == []
