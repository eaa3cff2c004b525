"""What a client may send as a body, and what the services make of it."""

from __future__ import annotations

import asyncio
from functools import partial

import httpx
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from rehearsal.azure import credentials as azure_credentials
from rehearsal.azure.routes import MANAGEMENT, resource_manager
from rehearsal.core.records import Record
from rehearsal.core.request_bodies import (
    IN_MEMORY,
    BodyTooLarge,
    InvalidBody,
    MissingMember,
    form,
    json_object,
    json_value,
    limited,
    stored,
)
from rehearsal.gcp import credentials as gcp_credentials
from rehearsal.provider.context import Context
from tests.unit.rehearsal.aws_account import Account
from tests.unit.rehearsal.azure_subscription import Subscription
from tests.unit.rehearsal.gcp_project import PROJECT, SECRET, Project


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'"\xff"',
        b"[" * 100_000,
        b"9" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
    ],
)
def test_a_body_that_is_no_json_or_that_no_answer_can_repeat_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBody, match="not valid JSON"):
        json_value(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"'])
def test_a_body_that_is_no_object_is_refused_where_an_object_is_wanted(body: bytes) -> None:
    with pytest.raises(InvalidBody, match="no JSON object"):
        json_object(body)


def test_an_empty_body_is_an_empty_object() -> None:
    assert json_object(b"") == {}


def test_a_form_that_is_not_utf_8_has_replacement_characters() -> None:
    assert form(b"Action=caf\xe9&b=%ff&Action=x") == {"Action": "x", "b": "\ufffd"}


def test_a_member_that_is_missing_is_the_callers_mistake_however_deep_it_is() -> None:
    body = json_object(b'{"a": [{"b": {}}]}')
    with pytest.raises(MissingMember) as missing:
        body["a"][0]["b"]["c"]
    assert missing.value.name == "c"
    with pytest.raises(MissingMember):
        form(b"Action=x")["RoleName"]


def sent(parts: list[bytes]) -> Request:
    """A request whose body comes in these parts."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


def test_a_body_may_have_as_many_bytes_as_its_limit_and_is_not_read_further() -> None:
    parts = [b"ab", b"cd", b"ef"]
    assert asyncio.run(limited(sent(parts), 6).body()) == b"abcdef"
    read = sent(parts)
    with pytest.raises(BodyTooLarge) as refused:
        asyncio.run(limited(read, 3).body())
    assert refused.value.status_code == 413
    assert asyncio.run(read.receive())["body"] == b"ef"


@pytest.mark.parametrize("size", [0, 5, IN_MEMORY, IN_MEMORY + 1])
def test_a_long_body_is_a_file_and_a_short_one_is_in_memory(size: int) -> None:
    body = asyncio.run(stored(sent([b"x" * (size // 2), b"y" * (size - size // 2)])))
    assert body[:] == b"x" * (size // 2) + b"y" * (size - size // 2)
    assert isinstance(body, bytes) == (size <= IN_MEMORY)


def without(record: Record, output: str, context: Context) -> None:
    """A record that the rehearsal itself has broken."""
    del record.outputs[output]
    context.save(record)


def call_of_aws(context: Context) -> httpx.Response:
    aws = Account(context)
    secret = aws.create("aws:secretsmanager/secret:Secret", "key")
    without(secret, "arn", context)
    return aws.http.post(
        "/aws/",
        json={"SecretId": secret.id},
        headers={"x-amz-target": "secretsmanager.DescribeSecret"},
        auth=aws.signed("secretsmanager"),
    )


def call_of_gcp(context: Context) -> httpx.Response:
    gcp = Project(context)
    without(gcp.create(SECRET, "key", secretId="key", replication={"auto": {}}), "name", context)
    token = gcp_credentials.token(context, gcp_credentials.deployer(context))["access_token"]
    path = f"/gcp/secretmanager/v1/projects/{PROJECT}/secrets"
    return gcp.http.request("GET", path, headers={"authorization": f"Bearer {token}"})


def call_of_azure(context: Context) -> httpx.Response:
    without(Subscription(context).group, "name", context)
    account = context.account
    token, _ = azure_credentials.token(
        context, account.azure_object, account.azure_client, MANAGEMENT
    )
    http = TestClient(resource_manager(context))
    path = f"/subscriptions/{account.azure_subscription}/resourcegroups"
    return http.request("GET", path, headers={"authorization": f"Bearer {token}"})


CALLS = {"aws": call_of_aws, "gcp": call_of_gcp, "azure": call_of_azure}


@pytest.mark.parametrize("cloud", CALLS)
def test_a_mistake_of_the_rehearsal_is_no_mistake_of_the_caller(
    live_context: Context, cloud: str
) -> None:
    # The server answers it with 500, and its log has the reason: httpx's client raises it here.
    with pytest.raises(KeyError, match=r"arn|name"):
        CALLS[cloud](live_context)


TOO_LONG = {
    # https://github.com/apex/up/issues/722 has Lambda's code
    "aws": (6 * 2**20, 413, "RequestEntityTooLargeException"),
    # https://github.com/starlake-ai/starflow/pull/1321
    "gcp": (10 * 2**20, 400, "Request payload size exceeds the limit: 10485760 bytes."),
    # https://github.com/Azure/bicep-registry-modules/issues/2358
    "azure": (4 * 2**20, 413, "RequestContentTooLarge"),
}


@pytest.mark.parametrize("cloud", CALLS)
def test_a_body_above_the_limit_is_refused_in_the_services_words(
    live_context: Context, cloud: str
) -> None:
    limit, status, words = TOO_LONG[cloud]
    call = partial(long_call, live_context, cloud)
    assert call(b"1" * (limit + 1)) == (status, True, words)
    status, refused, _ = call(b" " * limit)
    assert not refused


def long_call(context: Context, cloud: str, body: bytes) -> tuple[int, bool, str]:
    """Status, whether the words for a long body are in the answer, and these."""
    words = TOO_LONG[cloud][2]
    account = context.account
    if cloud == "aws":
        aws = Account(context)
        headers = {"x-amz-target": "secretsmanager.DescribeSecret"}
        auth = aws.signed("secretsmanager")
        answer = aws.http.post("/aws/", content=body, headers=headers, auth=auth)
    elif cloud == "gcp":
        token = gcp_credentials.token(context, gcp_credentials.deployer(context))["access_token"]
        answer = Project(context, apis=()).http.post(
            f"/gcp/cloudresourcemanager/v3/projects/{PROJECT}:testIamPermissions",
            content=body,
            headers={"authorization": f"Bearer {token}"},
        )
    else:
        token, _ = azure_credentials.token(
            context, account.azure_object, account.azure_client, MANAGEMENT
        )
        path = f"/subscriptions/{account.azure_subscription}/providers/Microsoft.Web/register"
        headers = {"authorization": f"Bearer {token}"}
        answer = TestClient(resource_manager(context)).post(path, content=body, headers=headers)
    return answer.status_code, words in answer.text, words


def test_an_object_longer_than_memory_may_be_passes_as_a_file_and_comes_back(
    live_context: Context,
) -> None:
    """Through the front of S3, signed."""
    aws = Account(live_context)
    bucket = aws.create("aws:s3/bucket:Bucket", "lake").id
    content = bytes(range(256)) * (IN_MEMORY // 128)
    auth = aws.signed("s3")
    assert aws.http.put(f"/aws/{bucket}/large", content=content, auth=auth).status_code == 200
    assert aws.http.get(f"/aws/{bucket}/large", auth=auth).content == content
    part = aws.http.get(f"/aws/{bucket}/large", headers={"range": "bytes=3-9"}, auth=auth)
    assert (part.status_code, part.content) == (206, content[3:10])
    head = aws.http.head(f"/aws/{bucket}/large", auth=auth)
    assert (head.headers["content-length"], head.content) == (str(len(content)), b"")


def test_a_list_of_objects_to_delete_names_each_key(live_context: Context) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    aws = Account(live_context)
    bucket = aws.create("aws:s3/bucket:Bucket", "lake").id
    for body in (
        b"",
        b"<Delete>",
        b"<Delete><Object></Object></Delete>",
        b"<Delete><Object><Key/></Object></Delete>",
    ):
        auth = aws.signed("s3")
        answer = aws.http.post(f"/aws/{bucket}?delete=", content=body, auth=auth)
        assert answer.status_code == 400
        assert "<Code>MalformedXML</Code>" in answer.text


def test_a_page_begins_at_a_number_that_the_service_gave(live_context: Context) -> None:
    gcp = Project(live_context)
    path = f"secretmanager/v1/projects/{PROJECT}/secrets"
    for query in ("pageSize=many", "pageToken=-1", "pageSize=9999999999"):
        status, answer = gcp.call("GET", f"{path}?{query}")
        assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
