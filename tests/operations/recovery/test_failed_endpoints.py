"""A SageMaker endpoint that failed is deleted before an update, and nothing else is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from config.schema import StackConfig
from operations.engine import account
from operations.recovery import failed_endpoints
from operations.recovery.failed_endpoints import (
    DELETION_SECONDS,
    ENDPOINT,
    SERVED_MODEL,
    delete_failed_endpoints,
    unconfirmed_endpoints,
)

Resource = dict[str, Any]


def endpoint(**more: Any) -> Resource:
    return {"type": ENDPOINT, "urn": f"urn::{ENDPOINT}::endpoint", "id": "e", **more}


def served(**more: Any) -> Resource:
    return {"type": SERVED_MODEL, "urn": f"urn::{SERVED_MODEL}::served", "id": "e", **more}


class SageMaker:
    """The service with one endpoint; the deletion takes one further look."""

    class exceptions:  # noqa: N801  # boto3's name
        class ClientError(Exception):
            pass

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.calls: list[str] = []

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        self.calls.append("describe")
        if self.status is None:
            raise self.exceptions.ClientError(f"Could not find endpoint {EndpointName}")
        return {"EndpointStatus": self.status, "FailureReason": "it did not answer /ping"}

    def delete_endpoint(self, EndpointName: str) -> None:  # noqa: N803
        self.calls.append(f"delete {EndpointName}")
        self.status = None


class Stack:
    def __init__(self, *resources: Resource) -> None:
        self.listed = list(resources)
        self.commands: list[tuple[str, ...]] = []

    def resources(self) -> list[Resource]:
        return self.listed

    def pulumi(self, *words: str) -> None:
        self.commands.append(words)


@pytest.fixture
def recovered(monkeypatch: pytest.MonkeyPatch, configured: Any) -> Any:
    """A function that recovers a stack in front of an endpoint with this status."""
    monkeypatch.setattr(account, "account_refusals", lambda *_: [])

    def recover(status: str | None, *resources: Resource, cloud: str = "aws") -> Any:
        sagemaker, stack = SageMaker(status), Stack(*resources)
        config: StackConfig = configured(cloud)

        def client(service: str, region_name: str) -> SageMaker:
            assert (service, region_name) == ("sagemaker", config.region)
            return sagemaker

        monkeypatch.setattr(boto3, "client", client)
        delete_failed_endpoints(stack, config)  # type: ignore[arg-type]
        return sagemaker, stack

    return recover


def test_a_failed_endpoint_is_deleted_and_leaves_the_state(
    recovered: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sagemaker, stack = recovered("Failed", endpoint(initErrors=["it failed"]))
    assert sagemaker.calls == ["describe", "delete e", "describe"]
    ((verb, *_, option, target),) = stack.commands
    assert (verb, option, target) == ("refresh", "--target", f"urn::{ENDPOINT}::endpoint")
    printed = "".join(capsys.readouterr())
    assert "it did not answer /ping" in printed
    assert "created again" in printed


def test_a_deletion_that_does_not_end_is_an_error_with_the_way_out(
    recovered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SageMaker, "delete_endpoint", lambda *_, **__: None)
    seconds = iter([0, DELETION_SECONDS, DELETION_SECONDS + 1])
    clock = SimpleNamespace(monotonic=lambda: next(seconds), sleep=lambda _seconds: None)
    monkeypatch.setattr(failed_endpoints, "time", clock)
    with pytest.raises(SystemExit, match=r"still deleting endpoint e. Run the same command again"):
        recovered("Failed", endpoint(initErrors=["it failed"]))


def test_no_endpoint_of_another_account_is_looked_at(
    recovered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "account_refusals", lambda *_: ["another account"])
    monkeypatch.setattr(SageMaker, "describe_endpoint", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(SystemExit, match="another account"):
        recovered("Failed", endpoint(initErrors=["it failed"]))


@pytest.mark.parametrize("status", ["InService", "Creating", "Updating", "RollingBack", None])
def test_an_endpoint_that_did_not_fail_is_never_deleted(recovered: Any, status: str | None) -> None:
    sagemaker, stack = recovered(status, endpoint(initErrors=["no answer"]))
    assert sagemaker.calls == ["describe"]
    assert not stack.commands


def test_in_a_usual_run_and_on_another_cloud_nothing_is_queried(recovered: Any) -> None:
    assert not recovered("Failed", endpoint(), served())[0].calls
    assert not recovered("Failed", endpoint(initErrors=["x"]), cloud="gcp")[0].calls


def test_an_endpoint_that_was_never_seen_to_serve_may_have_failed() -> None:
    assert unconfirmed_endpoints([endpoint()])
    assert unconfirmed_endpoints([endpoint(), served(initErrors=["it is Failed"])])
    assert unconfirmed_endpoints([endpoint(initErrors=["the last update failed"]), served()])
    assert not unconfirmed_endpoints([endpoint(delete=True), endpoint(id="")])
