"""Signature Version 4: what AWS checks of a request before it looks at who may do what.

botocore, AWS's own client, computes the signature that is expected.

| | |
|---|---|
| the signature | https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html |
| S3: in a header, in a query | https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html |
| S3: a body in chunks | https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html, https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html |

The order of the checks is believed. Not rehearsed: the region of a signature, SigV4A, forms that a browser sends to S3.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from mmap import mmap
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.types import Scope

from rehearsal.core.access_keys import AccessKey
from rehearsal.core.credentials import now
from rehearsal.core.records import Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
TIMESTAMP = "%Y%m%dT%H%M%SZ"
UNSIGNED, STREAMING = "UNSIGNED-PAYLOAD", f"STREAMING-{ALGORITHM}-PAYLOAD"
STREAMING_TRAILER = f"{STREAMING}-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_HASH = hashlib.sha256().hexdigest()
WEEK_SECONDS = 604_800


class SignatureRefused(Refusal):
    """A refusal whose status depends on the service."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(code, message)
        self.status = status


Answer = tuple[str, int, str]
"""Code, status and message of a refusal."""


class Family(NamedTuple):
    """How services that share a protocol refuse a request for its signature."""

    missing: Answer
    malformed: Answer
    unknown_key: Answer
    wrong_token: Answer
    ended_session: Answer
    mismatch: Answer
    skew: timedelta
    """The difference of the clocks that is accepted."""


INVALID_TOKEN = "The security token included in the request is invalid."
ENDED = "The security token included in the request is expired"
INCOMPLETE = "The request signature does not conform to AWS standards."
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access"
    " Key and signing method. Consult the service documentation for details."
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
S3 = Family(
    missing=("AccessDenied", 403, "Access Denied"),
    malformed=("AuthorizationHeaderMalformed", 400, "The authorization header is malformed"),
    unknown_key=(
        *("InvalidAccessKeyId", 403),
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
    wrong_token=("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
    ended_session=("ExpiredToken", 400, "The provided token has expired."),
    mismatch=(
        *("SignatureDoesNotMatch", 403),
        "The request signature we calculated does not match the signature you provided. Check your key and signing"
        " method.",
    ),
    skew=timedelta(minutes=15),
)
# IAM and STS. https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
# The clock, as clients have met it: https://github.com/aws/aws-cli/issues/6676
QUERY = Family(
    missing=("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
    malformed=("IncompleteSignature", 403, INCOMPLETE),
    unknown_key=("InvalidClientTokenId", 403, INVALID_TOKEN),
    wrong_token=("InvalidClientTokenId", 403, INVALID_TOKEN),
    ended_session=("ExpiredToken", 403, ENDED),
    mismatch=("SignatureDoesNotMatch", 403, MISMATCH),
    skew=timedelta(minutes=15),
)


def _of_json(status: int) -> Family:
    return Family(
        missing=("MissingAuthenticationTokenException", status, "Missing Authentication Token"),
        malformed=("IncompleteSignatureException", status, INCOMPLETE),
        unknown_key=("UnrecognizedClientException", status, INVALID_TOKEN),
        wrong_token=("UnrecognizedClientException", status, INVALID_TOKEN),
        ended_session=("ExpiredTokenException", status, ENDED),
        mismatch=("InvalidSignatureException", status, MISMATCH),
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
        skew=timedelta(minutes=5),
    )


# Codes and status as clients have met them:
JSON = _of_json(400)  # https://github.com/aws/aws-sdk-go/issues/2194
REST_JSON = _of_json(403)  # https://github.com/iann0036/iamlive/issues/58


@dataclass(frozen=True)
class SignedRequest:
    """A request as it was sent, before anything in it is decoded."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes | mmap = field(repr=False)
    """A long one is a file: `rehearsal.core.request_bodies.stored`."""

    @classmethod
    def of(cls, scope: Scope, body: bytes | mmap) -> SignedRequest:
        """Of an ASGI server."""
        return cls(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=tuple((_text(name).lower(), _text(value)) for name, value in scope["headers"]),
            body=body,
        )

    def header(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next((value for each, value in self.headers if each == name), "")

    @property
    def content(self) -> bytes:
        """The body, in memory."""
        return self.body[:]

    def for_server(self) -> dict[str, Any]:
        """What has changed in the scope of an ASGI server when the request is verified."""
        return {
            "query_string": self.query.encode("latin-1"),
            "headers": [(name.encode(), value.encode()) for name, value in self.headers],
        }

    @property
    def parameters(self) -> dict[str, str]:
        """The query, decoded."""
        pairs = (pair.partition("=") for pair in self.query.split("&") if pair)
        return {unquote(name): unquote(value) for name, _, value in pairs}


@dataclass(frozen=True)
class Signature:
    """What a request says of its signature."""

    key: str
    day: str
    region: str
    service: str
    time: datetime
    names: tuple[str, ...]
    """The signed headers."""
    value: str
    token: str
    expires: str | None = None
    """Of a presigned URL only: the seconds for which it is valid."""

    @property
    def timestamp(self) -> str:
        return self.time.strftime(TIMESTAMP)


def signature(request: SignedRequest, family: Family) -> Signature:
    """What the header, or the query of a presigned URL, says of the signature."""
    authorization, parameters = request.header("authorization"), request.parameters
    presigned = "X-Amz-Algorithm" in parameters
    if presigned and authorization:
        raise SignatureRefused("InvalidArgument", 400, "Only one auth mechanism allowed")
    if not presigned and not authorization and "AWSAccessKeyId" not in parameters:
        raise SignatureRefused(*family.missing)
    malformed = family.malformed
    if presigned:
        algorithm = parameters["X-Amz-Algorithm"]
        fields = {name.removeprefix("X-Amz-"): value for name, value in parameters.items()}
        if family is S3:
            malformed = ("AuthorizationQueryParametersError", 400, "Error parsing the parameters")
    else:
        algorithm, _, rest = authorization.partition(" ")
        pairs = (pair.strip().partition("=") for pair in rest.split(","))
        fields = {name: value for name, _, value in pairs}
    if algorithm != ALGORITHM and family is S3:
        text = f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
        raise SignatureRefused("InvalidRequest", 400, text)
    scope = fields.get("Credential", "").split("/")
    names = fields.get("SignedHeaders", "")
    value = fields.get("Signature", "")
    if algorithm != ALGORITHM or len(scope) != 5 or scope[4] != "aws4_request":
        raise SignatureRefused(*malformed)
    if not names or not value:
        raise SignatureRefused(*malformed)
    at = _time(fields.get("Date", "") if presigned else request.header("x-amz-date"))
    if not presigned and at is None:
        at = _http_time(request.header("date"))
    if at is None:
        raise SignatureRefused(*malformed)
    token = fields.get("Security-Token", "")
    key, day, region, service, _ = scope
    return Signature(
        key,
        day,
        region,
        service,
        time=at,
        names=tuple(names.lower().split(";")),
        value=value,
        token=token if presigned else request.header("x-amz-security-token"),
        expires=fields.get("Expires", "") if presigned else None,
    )


def verified(
    request: SignedRequest, signed: Signature, key: AccessKey, family: Family, service: str
) -> SignedRequest:
    """The request as the service reads it: without the signatures in it. Raises `SignatureRefused`."""
    if not hmac.compare_digest(signed.token.encode(), key.token.encode()):
        raise SignatureRefused(*(family.wrong_token if signed.token else family.unknown_key))
    _check_scope(signed, family, service)
    _check_time(signed, family)
    _check_names(request, signed, family)
    signer = _signer(signed, key)
    payload = _s3_payload(request, signed) if family is S3 else _hash(request.body)
    expected = signer.of_request(request, signed, payload)
    if not _same(expected, signed.value):
        raise SignatureRefused(*family.mismatch)
    pairs = request.query.split("&")
    query = "&".join(pair for pair in pairs if pair.partition("=")[0] != "X-Amz-Signature")
    accepted = replace(request, query=query)
    if payload.startswith("STREAMING-"):
        return _without_chunks(accepted, signed, signer, payload)
    if family is S3 and payload not in (UNSIGNED, _hash(request.body)):
        text = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise SignatureRefused("XAmzContentSHA256Mismatch", 400, text)
    return accepted


def _check_scope(signed: Signature, family: Family, service: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html"""
    day, problem = signed.time.strftime("%Y%m%d"), ""
    if signed.day != day:
        problem = (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
            f" '{signed.day}' != '{day}'"
        )
    elif signed.service != service:
        problem = f"Credential should be scoped to correct service: '{service}'."
    if problem:
        code, status, _ = family.malformed if family is S3 else family.mismatch
        raise SignatureRefused(code, status, problem)


def _check_time(signed: Signature, family: Family) -> None:
    clock, skew = now(), family.skew
    # The other services ignore X-Amz-Expires: https://github.com/aws/aws-sdk-go/issues/2167
    if family is S3 and signed.expires is not None:
        if not re.fullmatch(r"\d{1,9}", signed.expires) or int(signed.expires) > WEEK_SECONDS:
            text = f"X-Amz-Expires must be less than a week (in seconds) that is {WEEK_SECONDS}"
            raise SignatureRefused("AuthorizationQueryParametersError", 400, text)
        if clock > signed.time + timedelta(seconds=int(signed.expires)):
            raise SignatureRefused("AccessDenied", 403, "Request has expired")
        if clock < signed.time - skew:
            raise SignatureRefused("AccessDenied", 403, "Request is not yet valid")
        return
    if abs(clock - signed.time) <= skew:
        return
    if family is S3:
        text = "The difference between the request time and the server's time is too large."
        raise SignatureRefused("RequestTimeTooSkewed", 403, text)
    is_late = clock > signed.time
    limit = clock - skew if is_late else clock + skew
    what = "expired" if is_late else "not yet current"
    relation = "now earlier" if is_late else "still later"
    text = (
        f"Signature {what}: {signed.timestamp} is {relation} than {limit.strftime(TIMESTAMP)}"
        f" ({clock.strftime(TIMESTAMP)} {'-' if is_late else '+'} {int(skew.total_seconds() / 60)} min.)"
    )
    raise SignatureRefused(family.mismatch[0], family.mismatch[1], text)


def _check_names(request: SignedRequest, signed: Signature, family: Family) -> None:
    """The host and every header of AWS's own must be signed. For services other than S3 it is believed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    The hash of the body need not be: it is signed by itself (https://github.com/zengularity/benji/pull/309).
    """
    sent = {name for name, _ in request.headers if name.startswith("x-amz-")}
    left = sorted(({"host"} | sent) - {*signed.names, "x-amz-content-sha256"})
    if left and family is S3:
        text = f"There were headers present in the request which were not signed: {', '.join(left)}"
        raise SignatureRefused("AccessDenied", 403, text)
    if left:
        text = f"{', '.join(left)} must be a 'SignedHeader' in the AWS Authorization."
        raise SignatureRefused(family.mismatch[0], family.mismatch[1], text)


def _s3_payload(request: SignedRequest, signed: Signature) -> str:
    """The hash of the body, or the word for one that is not hashed, as the request gives it."""
    given = request.header("x-amz-content-sha256") or request.parameters.get("X-Amz-Content-Sha256")
    if given is None and signed.expires is not None:
        return UNSIGNED
    if not given:
        text = "Missing required header for this request: x-amz-content-sha256"
        raise SignatureRefused("InvalidRequest", 400, text)
    known = (UNSIGNED, STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER)
    if given not in known and not re.fullmatch("[0-9a-f]{64}", given):
        text = f"x-amz-content-sha256 must be {', '.join(known)}, or a valid sha256 value."
        raise SignatureRefused("InvalidArgument", 400, text)
    return given


class Chunk(NamedTuple):
    """A part of a body that is sent as ``aws-chunked``."""

    signature: str
    data: bytes


INCOMPLETE_BODY = ("IncompleteBody", 400, "The request body terminated unexpectedly")
MALFORMED_TRAILER = (
    *("MalformedTrailerError", 400),
    "The request contained trailing data that was not well-formed or did not conform to our published schema.",
)


def _without_chunks(
    request: SignedRequest, signed: Signature, signer: Any, payload: str
) -> SignedRequest:
    """The request with the data of its chunks as its body, and its trailer among the headers."""
    chunks, rest = _chunks(request.body)
    trailer = _trailer(request, rest)
    sealed = trailer.pop("x-amz-trailer-signature", "")
    if payload != STREAMING_UNSIGNED_TRAILER:
        former = signed.value
        for chunk in chunks:
            expected = signer.of_text(f"{former}\n{EMPTY_HASH}\n{_hash(chunk.data)}", "PAYLOAD")
            if not _same(expected, chunk.signature):
                raise SignatureRefused(*S3.mismatch)
            former = expected
        if payload == STREAMING_TRAILER:
            text = "".join(f"{name}:{value}\n" for name, value in sorted(trailer.items()))
            if not _same(signer.of_text(f"{former}\n{_hash(text.encode())}", "TRAILER"), sealed):
                raise SignatureRefused(*S3.mismatch)
    body = b"".join(chunk.data for chunk in chunks)
    length = request.header("x-amz-decoded-content-length")
    if not length:
        text = "You must provide the Content-Length HTTP header."
        raise SignatureRefused("MissingContentLength", 411, text)
    if length != str(len(body)):
        raise SignatureRefused(*INCOMPLETE_BODY)
    encodings = (
        each.strip()
        for name, value in request.headers
        if name == "content-encoding"
        for each in value.split(",")
    )
    encoding = ",".join(each for each in encodings if each and each != "aws-chunked")
    dropped = {
        *("content-encoding", "content-length", "transfer-encoding"),
        *("x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer"),
    }
    headers = [
        *((name, value) for name, value in request.headers if name not in dropped),
        ("content-length", str(len(body))),
        ("x-amz-content-sha256", _hash(body)),
        *trailer.items(),
    ]
    if encoding:
        headers.append(("content-encoding", encoding))
    return replace(request, headers=tuple(headers), body=body)


def _chunks(body: bytes | mmap) -> tuple[list[Chunk], bytes]:
    """The chunks, the last of them empty, and what comes after them."""
    chunks: list[Chunk] = []
    start = 0
    while not chunks or chunks[-1].data:
        end = body.find(b"\r\n", start)
        found = re.fullmatch(
            rb"([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?",
            body[start : max(end, start)],
        )
        if not found:
            raise SignatureRefused(*INCOMPLETE_BODY)
        size, begin = int(found[1], 16), end + 2
        if size and body[begin + size : begin + size + 2] != b"\r\n":
            raise SignatureRefused(*INCOMPLETE_BODY)
        chunks.append(Chunk((found[2] or b"").decode(), body[begin : begin + size]))
        start = begin + size + 2 if size else begin
    return chunks, body[start:]


def _trailer(request: SignedRequest, rest: bytes) -> dict[str, str]:
    """The headers after the last chunk: the ones that the request announces, and their signature."""
    lines = [line.strip().partition(":") for line in _text(rest).split("\n") if line.strip()]
    found = {name.lower(): value.strip() for name, _, value in lines}
    announced = {each.strip() for each in request.header("x-amz-trailer").lower().split(",")} - {""}
    checksums = all(each.startswith("x-amz-checksum-") for each in announced)
    if not checksums or found.keys() - {"x-amz-trailer-signature"} != announced:
        raise SignatureRefused(*MALFORMED_TRAILER)
    return found


def _signer(signed: Signature, key: AccessKey) -> Any:
    return _signers()[signed.service == "s3"](key, signed)


@cache
def _signers() -> tuple[type, type]:
    """What computes the signature of other services' requests, and of S3's.

    botocore is imported with the first request: its modules take 17 MB, and a rehearsal without AWS needs none.
    """
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.compat import HTTPHeaders
    from botocore.credentials import Credentials

    class Signer(SigV4Auth):
        def __init__(self, key: AccessKey, signed: Signature) -> None:
            super().__init__(Credentials(key.id, key.secret), signed.service, signed.region)
            # What botocore reads of a request besides its parts: the time.
            self._timed = AWSRequest()
            self._timed.context["timestamp"] = signed.timestamp

        def headers_to_sign(self, request: Any) -> Any:
            """The headers that the caller has signed: botocore itself would sign others."""
            return request.context["signed"]

        def of_request(self, request: SignedRequest, signed: Signature, payload: str) -> str:
            headers = HTTPHeaders()
            for name in signed.names:
                values = [value for each, value in request.headers if each == name]
                for value in values or [""]:
                    headers.add_header(name, value)
            # A target without a slash in front must not become a part of the host.
            path = "/" + self._sent_path(request.path).removeprefix("/")
            asked = AWSRequest(
                method=request.method,
                url=f"http://aws{path}?{_canonical_query(request.query)}",
                # What is hashed, in place of the body.
                headers={"X-Amz-Content-SHA256": payload},
            )
            asked.context.update(self._timed.context, signed=headers)
            text = self.string_to_sign(asked, self.canonical_request(asked))
            return str(self.signature(text, asked))

        def of_text(self, text: str, kind: str) -> str:
            """The signature of a chunk or of a trailer, whose text begins with the former signature."""
            timed, scope = self._timed, self.credential_scope(self._timed)
            head = f"{ALGORITHM}-{kind}\n{timed.context['timestamp']}\n{scope}"
            return str(self.signature(f"{head}\n{text}", timed))

        def _sent_path(self, path: str) -> str:
            return path

    class S3Signer(Signer, S3SigV4Auth):
        def _sent_path(self, path: str) -> str:
            # S3 signs the path as it is, each byte encoded or not by one rule, whatever the client has sent.
            return quote(unquote_to_bytes(path), safe="/-_.~")

    return Signer, S3Signer


def _canonical_query(query: str) -> str:
    """Each name and value encoded by one rule; a presigned URL's own signature is not signed."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(
        f"{_encoded(name)}={_encoded(value)}"
        for name, _, value in pairs
        if name != "X-Amz-Signature"
    )


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _http_time(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


def _hash(data: bytes | mmap) -> str:
    return hashlib.sha256(data).hexdigest()


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
