"""AWS's signatures: AWS's own published examples, and requests of AWS's own client to the rehearsal."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.auth
import httpx
import psutil
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from rehearsal.aws import credentials, routes
from rehearsal.core.access_keys import AccessKey, AccessKeys
from rehearsal.core.records import Json
from rehearsal.provider.context import Context
from rehearsal.runtime import sigv4
from rehearsal.runtime.containers import CONTAINERS
from rehearsal.runtime.functions.registry import FUNCTIONS
from tests.unit.rehearsal.aws_account import REGION, Account, Signed, allow

# The credentials of AWS's documentation.
EXAMPLE = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SCOPE = f"{EXAMPLE.id}/20130524/us-east-1/s3/aws4_request"
AT = datetime(2013, 5, 24, tzinfo=UTC)
DATE = ("x-amz-date", "20130524T000000Z")


def authorization(names: str, value: str, scope: str = SCOPE) -> tuple[str, str]:
    text = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={value}"
    return "authorization", text


CHUNKED = (
    ("host", "s3.amazonaws.com"),
    DATE,
    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("content-encoding", "aws-chunked"),
    ("x-amz-decoded-content-length", "66560"),
)


def chunks(first: str, second: str, last: str) -> bytes:
    """The body of both examples of a chunked upload."""
    parts = ((b"a" * 65536, first), (b"a" * 1024, second))
    body = b"".join(
        f"{len(data):x};chunk-signature={value}\r\n".encode() + data + b"\r\n"
        for data, value in parts
    )
    return body + f"0;chunk-signature={last}\r\n".encode()


# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
IN_HEADER = sigv4.SignedRequest(
    "GET",
    "/test.txt",
    "",
    (
        ("host", "examplebucket.s3.amazonaws.com"),
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", sigv4.EMPTY_HASH),
        DATE,
        authorization(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    ),
    b"",
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
PRESIGNED = sigv4.SignedRequest(
    "GET",
    "/test.txt",
    f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE.replace('/', '%2F')}"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
    (("host", "examplebucket.s3.amazonaws.com"),),
    b"",
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
IN_CHUNKS = sigv4.SignedRequest(
    "PUT",
    "/examplebucket/chunkObject.txt",
    "",
    (
        *CHUNKED,
        ("content-length", "66824"),
        ("x-amz-content-sha256", sigv4.STREAMING),
        authorization(
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
            "x-amz-decoded-content-length;x-amz-storage-class",
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        ),
    ),
    chunks(
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    )
    + b"\r\n",
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
WITH_TRAILER = sigv4.SignedRequest(
    "PUT",
    "/examplebucket/chunkObject.txt",
    "",
    (
        *CHUNKED,
        ("x-amz-content-sha256", sigv4.STREAMING_TRAILER),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
        authorization(
            "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
            "x-amz-storage-class;x-amz-trailer",
            "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        ),
    ),
    chunks(
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    )
    + b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    + b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
)


def verified(request: sigv4.SignedRequest, key: AccessKey = EXAMPLE) -> sigv4.SignedRequest:
    return sigv4.verified(request, sigv4.signature(request, sigv4.S3), key, sigv4.S3, "s3")


def refusal(request: sigv4.SignedRequest, key: AccessKey = EXAMPLE) -> tuple[str, int]:
    with pytest.raises(sigv4.SignatureRefused) as refused:
        verified(request, key)
    return refused.value.code, refused.value.status


def with_header(request: sigv4.SignedRequest, name: str, value: str) -> sigv4.SignedRequest:
    kept = tuple(each for each in request.headers if each[0] != name)
    return replace(request, headers=(*kept, (name, value)))


@pytest.fixture
def in_2013(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigv4, "now", lambda: AT)


EXAMPLES = {
    "header": IN_HEADER,
    "presigned": PRESIGNED,
    "chunks": IN_CHUNKS,
    "trailer": WITH_TRAILER,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_published_examples_of_s3_are_accepted(name: str, in_2013: None) -> None:
    example = EXAMPLES[name]
    accepted = verified(example)
    if name in ("chunks", "trailer"):
        assert accepted.body == b"a" * 66560
        assert accepted.header("content-length") == "66560"
        assert not accepted.header("content-encoding")
    if name == "trailer":
        assert accepted.header("x-amz-checksum-crc32c") == "sOO8/Q=="
    assert "X-Amz-Signature" not in accepted.query


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_published_examples_are_refused_with_another_secret_path_method_host_or_query(
    name: str, in_2013: None
) -> None:
    example = EXAMPLES[name]
    mismatch = ("SignatureDoesNotMatch", 403)
    assert refusal(example, EXAMPLE._replace(secret="another")) == mismatch
    for path in ("/other.txt", f"x{example.path}", f"/{example.path}"):
        assert refusal(replace(example, path=path)) == mismatch
    assert refusal(replace(example, method="DELETE")) == mismatch
    assert refusal(with_header(example, "host", "another")) == mismatch
    assert refusal(replace(example, query=f"{example.query}&versionId=1")) == mismatch


def test_the_published_example_of_iam_is_accepted_and_no_other_parameter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    monkeypatch.setattr(sigv4, "now", lambda: datetime(2015, 8, 30, 12, 36, tzinfo=UTC))
    key = AccessKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    request = sigv4.SignedRequest(
        "GET",
        "/",
        "Action=ListUsers&Version=2010-05-08",
        (
            ("host", "iam.amazonaws.com"),
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("x-amz-date", "20150830T123600Z"),
            authorization(
                "content-type;host;x-amz-date",
                "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
                f"{key.id}/20150830/us-east-1/iam/aws4_request",
            ),
        ),
        b"",
    )
    signed = sigv4.signature(request, sigv4.QUERY)
    assert sigv4.verified(request, signed, key, sigv4.QUERY, "iam") == request
    for other in (
        replace(request, query="Action=ListRoles&Version=2010-05-08"),
        replace(request, body=b"Action=DeleteRole"),
    ):
        with pytest.raises(sigv4.SignatureRefused, match="SignatureDoesNotMatch"):
            sigv4.verified(other, signed, key, sigv4.QUERY, "iam")


def test_a_changed_chunk_a_missing_one_and_a_changed_trailer_are_refused(in_2013: None) -> None:
    for example in (IN_CHUNKS, WITH_TRAILER):
        changed = replace(example, body=example.body.replace(b"aa\r\n", b"ab\r\n", 1))
        assert refusal(changed) == ("SignatureDoesNotMatch", 403)
        second = example.body.index(b"400;chunk")
        without = example.body[:second] + example.body[example.body.index(b"0;chunk", second + 9) :]
        assert refusal(replace(example, body=without)) == ("SignatureDoesNotMatch", 403)
        unended = replace(example, body=example.body.replace(b"a\r\n400;", b"a--400;"))
        assert refusal(unended) == ("IncompleteBody", 400)
        for end in (10, 1000, len(example.body) - 140):
            cut = replace(example, body=example.body[:end])
            assert refusal(cut)[0] in ("IncompleteBody", "MalformedTrailerError"), end
    changed = replace(WITH_TRAILER, body=WITH_TRAILER.body.replace(b"sOO8", b"aaaa"))
    assert refusal(changed) == ("SignatureDoesNotMatch", 403)
    more = WITH_TRAILER.body.replace(
        b"x-amz-trailer-s", b"x-amz-acl:public-read\r\nx-amz-trailer-s"
    )
    assert refusal(replace(WITH_TRAILER, body=more)) == ("MalformedTrailerError", 400)


def test_a_presigned_url_is_valid_from_its_date_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def at(**after: int) -> None:
        monkeypatch.setattr(sigv4, "now", lambda: AT + timedelta(**after))

    for valid in (-14 * 60, 0, 86400):
        at(seconds=valid)
        verified(PRESIGNED)
    for outside in (-16 * 60, 86401, 10**8):
        at(seconds=outside)
        assert refusal(PRESIGNED) == ("AccessDenied", 403)
    at(seconds=0)
    for seconds in ("604801", "-1", "", "x", "9" * 30):
        longer = replace(PRESIGNED, query=PRESIGNED.query.replace("=86400", f"={seconds}"))
        assert refusal(longer) == ("AuthorizationQueryParametersError", 400)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (with_header(IN_HEADER, "x-amz-acl", "public-read"), ("AccessDenied", 403)),
        (with_header(PRESIGNED, "x-amz-copy-source", "other/key"), ("AccessDenied", 403)),
        (replace(IN_HEADER, body=b"more"), ("XAmzContentSHA256Mismatch", 400)),
        (with_header(IN_HEADER, "x-amz-content-sha256", ""), ("InvalidRequest", 400)),
        (with_header(IN_HEADER, "x-amz-content-sha256", "none"), ("InvalidArgument", 400)),
        (
            with_header(IN_HEADER, "x-amz-content-sha256", sigv4.UNSIGNED),
            ("SignatureDoesNotMatch", 403),
        ),
        (with_header(IN_HEADER, "authorization", ""), ("AccessDenied", 403)),
        (with_header(IN_HEADER, "authorization", "Bearer x"), ("InvalidRequest", 400)),
        (with_header(IN_HEADER, "authorization", "AWS x:y"), ("InvalidRequest", 400)),
        (
            with_header(IN_HEADER, "authorization", "AWS4-HMAC-SHA256 Credential=a/b/c"),
            ("AuthorizationHeaderMalformed", 400),
        ),
        (with_header(IN_HEADER, "x-amz-date", "yesterday"), ("AuthorizationHeaderMalformed", 400)),
        (
            with_header(IN_HEADER, "x-amz-date", "20130525T000000Z"),
            ("AuthorizationHeaderMalformed", 400),
        ),
        (with_header(PRESIGNED, "authorization", "AWS4-HMAC-SHA256 x"), ("InvalidArgument", 400)),
        (with_header(IN_HEADER, "x-amz-security-token", "x"), ("InvalidToken", 400)),
        (
            replace(PRESIGNED, query="AWSAccessKeyId=A&Signature=s&Expires=9999999999"),
            ("InvalidRequest", 400),
        ),
    ],
)
def test_a_request_that_is_not_signed_as_it_is_is_refused_in_the_words_of_s3(
    changed: sigv4.SignedRequest, expected: tuple[str, int], in_2013: None
) -> None:
    assert refusal(changed) == expected


class SignedWithoutTheHash(botocore.auth.S3SigV4Auth):  # type: ignore[misc]
    """Signs the hash of the body, and not the header that has it."""

    def headers_to_sign(self, request: Any) -> Any:
        signed = super().headers_to_sign(request)
        del signed["x-amz-content-sha256"]
        return signed


def test_the_header_with_the_hash_of_the_body_need_not_be_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: AT)
    monkeypatch.setattr(sigv4, "now", lambda: AT)
    asked = AWSRequest("PUT", "http://aws/lake/a", {"host": "aws"}, b"1")
    SignedWithoutTheHash(Credentials(*EXAMPLE[:2]), "s3", "us-east-1").add_auth(asked)
    headers = tuple((name.lower(), value) for name, value in asked.headers.items())
    request = sigv4.SignedRequest("PUT", "/lake/a", "", headers, b"1")
    assert verified(request) == request
    assert refusal(replace(request, body=b"2")) == ("XAmzContentSHA256Mismatch", 400)
    other = with_header(request, "x-amz-content-sha256", sigv4.UNSIGNED)
    assert refusal(replace(other, body=b"2")) == ("SignatureDoesNotMatch", 403)


def test_the_keys_of_two_rehearsals_differ_and_those_of_one_do_not() -> None:
    one, again, other = AccessKeys(b"one"), AccessKeys(b"one"), AccessKeys(b"other")
    assert one.deployer == again.deployer
    assert one.temporary("ASIA1") == again.temporary("ASIA1")
    for mine, theirs in (
        (one.deployer, other.deployer),
        (one.temporary("ASIA1")[1:], other.temporary("ASIA1")[1:]),
        (one.temporary("ASIA1"), one.temporary("ASIA2")),
    ):
        assert not set(mine) & set(theirs) - {""}
    assert one.server_token != other.server_token


# What AWS's own client is answered.


class Body(io.BytesIO):
    """What botocore reads an answer from."""

    def stream(self) -> Any:
        yield self.read()


@pytest.fixture
def account(live_context: Context) -> Account:
    return Account(live_context)


def unchanged(request: Any) -> None:
    """Nothing is altered on the way."""


def client(
    account: Account, service: str, key: AccessKey, change: Callable[[Any], None] = unchanged
) -> Any:
    """boto3's client of a service, whose requests go to the rehearsal's routes; ``change`` alters them after signing."""

    def send(request: Any, **_: Any) -> AWSResponse:
        change(request)
        answer = account.http.request(
            request.method, request.url, headers=dict(request.headers), content=request.body
        )
        return AWSResponse(request.url, answer.status_code, answer.headers, Body(answer.content))

    made = boto3.client(
        service,
        region_name=REGION,
        endpoint_url="http://testserver/aws/",
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        aws_session_token=key.token or None,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    made.meta.events.register("before-send", send)
    return made


SERVICES: dict[str, Callable[[Any], Any]] = {
    "sts": lambda aws: aws.get_caller_identity(),
    "secretsmanager": lambda aws: aws.get_secret_value(SecretId="key"),
    "lambda": lambda aws: aws.get_account_settings(),
    "s3": lambda aws: aws.put_object(Bucket="lake", Key="raw/ä b+c.csv", Body=b"1"),
}
"""One call of each family: the query protocol, JSON, REST with JSON, S3."""


@pytest.fixture
def called(account: Account) -> Account:
    account.create("aws:s3/bucket:Bucket", "lake", bucket="lake")
    secret = account.create("aws:secretsmanager/secret:Secret", "key", name="key")
    token = "aws:secretsmanager/secretVersion:SecretVersion"
    account.create(token, "first", secretId=secret.id, secretString="first")
    return account


def refused(call: Callable[[Any], Any], aws: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as found:
        call(aws)
    answer = found.value.response
    error = answer["Error"]
    return error["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


def test_each_service_refuses_a_wrong_secret_an_unknown_key_and_a_wrong_clock_in_its_own_words(
    called: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = called.context.access_keys.deployer
    stranger = AccessKeys(b"of another rehearsal").deployer
    found = {}
    for service, call in SERVICES.items():
        call(client(called, service, key))
        found[service] = [
            refused(call, client(called, service, key._replace(secret="wrong")))[:2],
            refused(call, client(called, service, stranger))[:2],
        ]
    mismatch, invalid = ("SignatureDoesNotMatch", 403), "InvalidSignatureException"
    unknown = "UnrecognizedClientException"
    assert found == {
        "sts": [mismatch, ("InvalidClientTokenId", 403)],
        "secretsmanager": [(invalid, 400), (unknown, 400)],
        "lambda": [(invalid, 403), (unknown, 403)],
        "s3": [mismatch, ("InvalidAccessKeyId", 403)],
    }
    for minutes, late in ((16, False), (-16, True)):
        wrong = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda wrong=wrong: wrong)
        answers = {
            service: refused(call, client(called, service, key))
            for service, call in SERVICES.items()
        }
        assert {service: answer[:2] for service, answer in answers.items()} == {
            "sts": mismatch,
            "secretsmanager": (invalid, 400),
            "lambda": (invalid, 403),
            "s3": ("RequestTimeTooSkewed", 403),
        }
        words = "Signature expired" if late else "Signature not yet current"
        assert answers["sts"][2].startswith(words)
        assert answers["sts"][2].endswith("- 15 min.)" if late else "+ 15 min.)")
        assert answers["lambda"][2].endswith("- 5 min.)" if late else "+ 5 min.)")


def test_five_minutes_are_too_many_for_most_services_and_not_for_s3_iam_and_sts(
    called: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = datetime.now(UTC) - timedelta(minutes=6)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: wrong)
    key = called.context.access_keys.deployer
    for service in ("sts", "s3"):
        SERVICES[service](client(called, service, key))
    for service in ("secretsmanager", "lambda"):
        code = refused(SERVICES[service], client(called, service, key))[0]
        assert code == "InvalidSignatureException"


def test_a_request_that_is_changed_on_its_way_is_refused_and_has_no_effect(
    called: Account,
) -> None:
    def other_body(request: Any) -> None:
        request.body = b"x" * int(request.headers["content-length"])

    def other_target(request: Any) -> None:
        request.headers["x-amz-target"] = "secretsmanager.DescribeSecret"

    key = called.context.access_keys.deployer
    for service, change, code in (
        ("s3", other_body, "XAmzContentSHA256Mismatch"),
        ("sts", other_body, "SignatureDoesNotMatch"),
        ("secretsmanager", other_body, "InvalidSignatureException"),
        ("secretsmanager", other_target, "InvalidSignatureException"),
    ):
        assert refused(SERVICES[service], client(called, service, key, change))[0] == code
    assert not names(called)


def test_the_hash_that_a_request_gives_of_its_body_is_not_believed_by_other_services_than_s3(
    called: Account,
) -> None:
    key, body = called.context.access_keys.deployer, b'{"SecretId": "other"}'
    for given in (hashlib.sha256(body).hexdigest(), sigv4.UNSIGNED):
        request = AWSRequest(
            "POST",
            "http://testserver/aws/",
            {
                "host": "testserver",
                "x-amz-content-sha256": given,
                "x-amz-target": "secretsmanager.GetSecretValue",
            },
            body,
        )
        signer = botocore.auth.SigV4Auth(Credentials(key.id, key.secret), "secretsmanager", REGION)
        signer.add_auth(request)
        headers = dict(request.headers.items())
        answer = called.http.post("/aws/", content=b'{"SecretId": "key"}', headers=headers)
        assert answer.json()["__type"] == "InvalidSignatureException"


def test_a_signature_for_one_service_is_none_for_another(called: Account) -> None:
    auth = called.signed("ecr")
    headers = {"x-amz-target": "secretsmanager.GetSecretValue"}
    answer = called.http.post("/aws/", json={"SecretId": "key"}, headers=headers, auth=auth)
    assert (answer.status_code, answer.json()["__type"]) == (400, "InvalidSignatureException")
    assert "correct service: 'secretsmanager'" in answer.json()["message"]


def test_a_temporary_key_needs_its_own_session_token(called: Account) -> None:
    role = called.role("worker", "lambda", allow("s3:PutObject", "arn:aws:s3:::lake/*"))
    keys = called.context.access_keys
    key = keys.temporary(credentials.access_key(role.outputs["arn"]))
    for service in ("sts", "s3"):
        SERVICES[service](client(called, service, key))
    codes = {
        service: [
            refused(SERVICES[service], client(called, service, key._replace(token=token)))[:2]
            for token in ("", keys.temporary("ASIAOTHER").token)
        ]
        for service in ("sts", "s3")
    }
    unknown = ("InvalidClientTokenId", 403)
    assert codes == {
        "sts": [unknown, unknown],
        "s3": [("InvalidAccessKeyId", 403), ("InvalidToken", 400)],
    }


def test_an_unsigned_request_is_refused_in_the_form_of_the_service_that_it_is_for(
    called: Account,
) -> None:
    http = called.http
    target = {"x-amz-target": "secretsmanager.GetSecretValue"}
    answer = http.post("/aws/", json={"SecretId": "key"}, headers=target)
    assert (answer.status_code, answer.json()["__type"]) == (
        400,
        "MissingAuthenticationTokenException",
    )
    answer = http.get("/aws/2016-08-19/account-settings")
    assert (answer.status_code, answer.json()["__type"]) == (
        403,
        "MissingAuthenticationTokenException",
    )
    answer = http.post("/aws/", data={"Action": "GetCallerIdentity"})
    assert answer.status_code == 403
    assert "<Code>MissingAuthenticationToken</Code>" in answer.text
    for path in ("/aws/lake/raw/a.csv", "/aws/"):
        answer = http.get(path)
        assert (answer.status_code, "<Code>AccessDenied</Code>" in answer.text) == (403, True)


def test_only_the_token_for_a_role_is_exchanged_without_a_signature(called: Account) -> None:
    """Whatever else the request has: by the header or the path of another operation the deployer would be calling."""
    words = "Action=AssumeRoleWithWebIdentity&RoleArn=r&WebIdentityToken=t"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = called.http.post("/aws/", content=words, headers=kind)
    assert answer.status_code == 400
    body = f'{{"SecretId": "key", "x": "&{words}&"}}'
    for path, headers in (
        ("/aws/", {"x-amz-target": "secretsmanager.GetSecretValue"}),
        (f"/aws/2015-03-31/functions/f/invocations?{words}", {}),
        (f"/aws/2016-08-19/account-settings?{words}", {}),
    ):
        answer = called.http.post(path, content=body, headers=kind | headers)
        assert answer.json()["__type"] == "MissingAuthenticationTokenException", path
    assert {target.partition(".")[0] for target in routes.TARGETS} == routes.SERVICES.keys()


def test_a_presigned_url_of_sts_is_answered(called: Account) -> None:
    url = client(called, "sts", called.context.access_keys.deployer).generate_presigned_url(
        "get_caller_identity", HttpMethod="GET"
    )
    assert "user/rehearsal</Arn>" in called.http.get(url).text
    assert called.http.get(url.replace("GetCallerIdentity", "ListRoles")).status_code == 403


# The S3 server, which the deployer's clients reach directly.


def direct(account: Account, key: AccessKey) -> Any:
    return boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=account.context.object_stores.s3(),
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        aws_session_token=key.token or None,
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}),
    )


def names(account: Account) -> list[str]:
    """The names of all objects of the lake."""
    found = direct(account, account.context.access_keys.deployer).list_objects_v2(Bucket="lake")
    return [each["Key"] for each in found.get("Contents", ())]


def test_the_s3_server_answers_the_deployer_alone(called: Account) -> None:
    keys = called.context.access_keys
    address = called.context.object_stores.s3()
    put = SERVICES["s3"]
    put(direct(called, keys.deployer))
    role = called.role("worker", "lambda", allow("s3:*", "*"))
    workload = keys.temporary(credentials.access_key(role.outputs["arn"]))
    for key, code in (
        (keys.deployer._replace(secret="wrong"), "SignatureDoesNotMatch"),
        (AccessKeys(b"of another rehearsal").deployer, "InvalidAccessKeyId"),
        (workload, "InvalidAccessKeyId"),
    ):
        assert refused(put, direct(called, key))[0] == code
    for method, path in (
        ("GET", "/lake?list-type=2"),
        ("DELETE", "/lake/raw"),
        ("POST", "/_ministack/reset"),
        ("GET", "/_ministack/health"),
    ):
        for headers in ({}, {"x-rehearsal-token": "0" * 64}, {"x-rehearsal-token": "é"}):
            answer = httpx.request(
                method, address + path, headers={n: v.encode() for n, v in headers.items()}
            )
            assert (answer.status_code, "AccessDenied" in answer.text) == (403, True), path
    assert httpx.head(f"{address}/lake/raw").status_code == 403
    assert names(called) == ["raw/ä b+c.csv"]
    own = [each for each in psutil.process_iter() if "rehearsal.runtime.s3_server" in _line(each)]
    assert own
    for process in own:
        visible = " ".join([*_line(process).split(), *process.environ().values()])
        assert keys.deployer.secret not in visible


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_presigned_url_uploads_and_downloads_until_it_ends_and_for_its_object_only(
    called: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = direct(called, called.context.access_keys.deployer)
    place = {"Bucket": "lake", "Key": "raw/ä b+c.csv"}
    put = aws.generate_presigned_url("put_object", Params=place)
    assert httpx.put(put, content=b"12").status_code == 200
    get = aws.generate_presigned_url(
        "get_object", Params={**place, "ResponseContentType": "text/x-own"}
    )
    answer = httpx.get(get)
    assert (answer.content, answer.headers["content-type"]) == (b"12", "text/x-own")
    assert httpx.get(get.replace("raw/", "curated/")).status_code == 403
    assert httpx.delete(get).status_code == 403
    put = aws.generate_presigned_url("put_object", Params={"Bucket": "lake", "Key": "a(1).csv"})
    assert "%281%29" in put
    assert httpx.put(put.replace("%281%29", "(1)"), content=b"1").status_code == 200
    yesterday = datetime.now(UTC) - timedelta(days=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: yesterday)
    ended = aws.generate_presigned_url("get_object", Params=place, ExpiresIn=3600)
    answer = httpx.get(ended)
    assert (answer.status_code, "Request has expired" in answer.text) == (403, True)
    old = boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=called.context.object_stores.s3(),
        aws_access_key_id=aws._request_signer._credentials.access_key,
        aws_secret_access_key=aws._request_signer._credentials.secret_key,
        config=Config(signature_version="s3"),
    ).generate_presigned_url("get_object", Params=place)
    answer = httpx.get(old)
    assert (answer.status_code, "Please use AWS4-HMAC-SHA256" in answer.text) == (400, True)


class SignedWithChunks(botocore.auth.S3SigV4Auth):  # type: ignore[misc]
    """Signs the head of a request whose body comes in chunks."""

    form = sigv4.STREAMING

    def payload(self, request: Any) -> str:
        return self.form


def test_an_upload_in_chunks_is_stored_without_its_signatures_or_not_at_all(
    called: Account,
) -> None:
    key = called.context.access_keys.deployer
    data = [b"a" * 8192, b"b" * 3]

    def upload(name: str, sent: list[bytes]) -> httpx.Response:
        request = AWSRequest(
            "PUT",
            f"{called.context.object_stores.s3()}/lake/{name}",
            {
                "content-encoding": "aws-chunked,gzip",
                "x-amz-decoded-content-length": str(sum(map(len, data))),
            },
        )
        signer = SignedWithChunks(Credentials(key.id, key.secret), "s3", REGION)
        signer.add_auth(request)
        former = request.headers["Authorization"].rpartition("=")[2]
        at = request.context["timestamp"]
        secret = f"AWS4{key.secret}".encode()
        for word in (at[:8], REGION, "s3", "aws4_request"):
            secret = hmac.digest(secret, word.encode(), "sha256")
        body = b""
        for chunk, given in zip([*data, b""], [*sent, b""], strict=True):
            text = (
                f"AWS4-HMAC-SHA256-PAYLOAD\n{at}\n{at[:8]}/{REGION}/s3/aws4_request\n{former}\n"
                f"{hashlib.sha256().hexdigest()}\n{hashlib.sha256(chunk).hexdigest()}"
            )
            former = hmac.new(secret, text.encode(), "sha256").hexdigest()
            body += f"{len(given):x};chunk-signature={former}\r\n".encode() + given + b"\r\n"
        return httpx.put(request.url, content=body, headers=dict(request.headers.items()))

    assert upload("whole", data).status_code == 200
    assert upload("changed", [data[0], b"c" * 3]).status_code == 403
    stored = direct(called, key).get_object(Bucket="lake", Key="whole")
    assert (stored["Body"].read(), stored["ContentEncoding"]) == (b"".join(data), "gzip")
    assert names(called) == ["whole"]


def test_the_length_and_the_checksum_of_an_unsigned_upload_in_chunks_are_compared(
    called: Account,
) -> None:
    """What botocore sends over https."""
    key = called.context.access_keys.deployer
    right, wrong = zlib.crc32(b"abc"), zlib.crc32(b"abd")
    crc32 = "x-amz-checksum-crc32"
    for length, trailer, checksum, status in (
        ("3", crc32, right, 200),
        ("3", crc32, wrong, 400),
        ("4", crc32, right, 400),
        ("", crc32, right, 411),
        ("3", "x-amz-acl", right, 400),  # a trailer has checksums only
    ):
        request = AWSRequest(
            "PUT",
            f"{called.context.object_stores.s3()}/lake/{status}",
            {
                "x-amz-decoded-content-length": length,
                "x-amz-sdk-checksum-algorithm": "CRC32",
                "x-amz-trailer": trailer,
            },
        )
        signer = SignedWithChunks(Credentials(key.id, key.secret), "s3", REGION)
        signer.form = sigv4.STREAMING_UNSIGNED_TRAILER
        signer.add_auth(request)
        value = base64.b64encode(checksum.to_bytes(4)).decode()
        body = f"3\r\nabc\r\n0\r\n{trailer}:{value}\r\n\r\n"
        answer = httpx.put(request.url, content=body, headers=dict(request.headers.items()))
        assert answer.status_code == status, answer.text
    assert names(called) == ["200"]


# State of a former version, in which all had one secret.


def test_the_workloads_of_a_former_version_get_this_rehearsals_keys(account: Account) -> None:
    role = account.role("worker", "lambda")
    arn = role.outputs["arn"]
    former = {
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": credentials.access_key(arn),
        "AWS_SECRET_ACCESS_KEY": "rehearsal-only-not-a-secret",
        "AWS_SESSION_TOKEN": f"session-of-{arn}",
    }
    own = {"AWS_ACCESS_KEY_ID": "AKIAOFTHEUSER", "AWS_SECRET_ACCESS_KEY": "of the user"}
    kv = account.context.kv
    kv.put(FUNCTIONS, "gateway:live", {"name": "gateway", "platform_env": former})
    kv.put(CONTAINERS, "endpoint", {"image": "i", "env": {**former, "OTHER": "1"}})
    kv.put(CONTAINERS, "users", {"image": "i", "env": own})
    routes.routes(account.context)
    renewed = credentials.workload_environment(account.context, arn, REGION)
    expected = former | {name: renewed[name] for name in former}
    stored: Json = kv.get(FUNCTIONS, "gateway:live")
    assert stored == {"name": "gateway", "platform_env": expected}
    assert kv.get(CONTAINERS, "endpoint")["env"] == {**expected, "OTHER": "1"}
    assert kv.get(CONTAINERS, "users")["env"] == own
    key = AccessKey(
        stored["platform_env"]["AWS_ACCESS_KEY_ID"],
        stored["platform_env"]["AWS_SECRET_ACCESS_KEY"],
        stored["platform_env"]["AWS_SESSION_TOKEN"],
    )
    form = {"Action": "GetCallerIdentity"}
    assert f"/{role.id}/" in account.http.post("/aws/", data=form, auth=Signed(key, "sts")).text
