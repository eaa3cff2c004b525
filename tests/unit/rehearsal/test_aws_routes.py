"""Each operation below ``/aws`` is one of AWS's, found as botocore's model of its service says."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session
import pytest

from rehearsal.aws import query_protocol, routes
from rehearsal.runtime.sigv4 import JSON, QUERY, REST_JSON, S3, SignedRequest
from tests.unit.rehearsal.known_shapes import AWS_NAMES

REST = {
    # service and operation, the name in the address, and what the rehearsal is given of it
    ("sagemaker-runtime", "InvokeEndpoint"): ("sagemaker", "EndpointName"),
    ("lambda", "Invoke"): ("lambda", "FunctionName"),
    ("lambda", "GetAccountSettings"): ("lambda", ""),
    ("account", "ListRegions"): ("account", ""),
}


@cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(AWS_NAMES.get(service, service))


@pytest.mark.parametrize("target", routes.TARGETS)
def test_a_target_is_an_operation_of_the_service_that_signs_it(target: str) -> None:
    prefix, _, operation = target.partition(".")
    service = model(routes.SERVICES[prefix])
    assert operation in service.operation_names
    assert service.metadata["targetPrefix"] == prefix
    assert service.signing_name == routes.SERVICES[prefix]


def test_every_service_with_a_target_is_listed() -> None:
    assert {each.partition(".")[0] for each in routes.TARGETS} == set(routes.SERVICES)


@pytest.mark.parametrize("query", routes.QUERIES)
def test_a_query_is_an_operation_of_a_service_of_the_query_protocol(query: str) -> None:
    service, _, operation = query.partition(":")
    assert operation in model(service).operation_names
    assert model(service).metadata["protocol"] == "query"
    assert query_protocol.NAMESPACES[service] == model(service).metadata["xmlNamespace"]


@pytest.mark.parametrize(("operation", "expected"), REST.items())
def test_an_address_is_that_of_its_operation(
    operation: tuple[str, str], expected: tuple[str, str]
) -> None:
    service, name = expected
    http = model(operation[0]).operation_model(operation[1]).http
    path = re.sub(r"\{\w+\}", "thing", http["requestUri"])
    found = [
        (of, matched[1])
        for of, pattern, _ in routes.PATHS
        if (matched := re.fullmatch(pattern, path))
    ]
    assert [of for of, _ in found] == [service]
    if name:
        assert found[0][1] == "thing"


def sent(method: str = "POST", path: str = "/", **headers: str) -> SignedRequest:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return SignedRequest(method, path, "", named, b"")


def scope(service: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/{service}/aws4_request, Signature=x"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (sent(x_amz_target="SageMaker.DescribeEndpoint"), ("sagemaker", JSON)),
        (sent(x_amz_target="DynamoDB.X", authorization=scope("dynamodb")), ("dynamodb", JSON)),
        (sent("PUT", "/b/k", authorization=scope("s3")), ("s3", S3)),
        # An object of S3 may have the address of another service's operation.
        (sent("GET", "/listRegions", authorization=scope("s3")), ("s3", S3)),
        (sent(path="/listRegions", authorization=scope("account")), ("account", REST_JSON)),
        (sent(path="/listRegions"), ("account", REST_JSON)),
        (sent(path="/endpoints/e/invocations"), ("sagemaker", REST_JSON)),
        (sent(authorization=scope("iam")), ("iam", QUERY)),
        (sent(content_type="application/x-www-form-urlencoded"), ("sts", QUERY)),
        (sent("PUT", content_type="application/x-www-form-urlencoded"), ("s3", S3)),
        (sent("GET", "/b", authorization=scope("lambda")), ("lambda", REST_JSON)),
        (sent("GET", "/b"), ("s3", S3)),
    ],
)
def test_a_request_is_for_the_service_that_its_header_address_or_signature_names(
    request_: SignedRequest, expected: tuple[str, Any]
) -> None:
    assert routes._service(request_, request_.path) == expected
