"""Changes that Azure goes on with after its answer, and the platform's own client, over the rehearsal's real wire."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from components.azure import arm
from components.azure.dynamic import endpoint_traffic
from rehearsal.azure import machine_learning, routes
from rehearsal.core import behaviour
from rehearsal.core.records import Record
from rehearsal.provider.context import Context
from tests.unit.rehearsal.azure_subscription import Credential, Subscription, deployed_endpoint

SECONDS = 2


@pytest.fixture
def endpoint(live_context: Context, monkeypatch: pytest.MonkeyPatch) -> Record:
    """An endpoint with two deployments, in a subscription whose operations take their time."""
    monkeypatch.setattr(behaviour, "CLOCK", 60 / SECONDS)
    realistic = behaviour.BEHAVIOURS["realistic"]
    context = replace(live_context, behaviour=realistic)
    made = deployed_endpoint(Subscription(context))
    monkeypatch.setenv("ARM_METADATA_HOSTNAME", routes.resource_manager_host(context))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(context.authority.bundle))
    deployer = Credential(context, context.account.azure_object)
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda: deployer)
    return made


def state(endpoint: Record) -> str:
    found = arm.get(endpoint.id)
    assert found is not None
    return str(found["properties"]["provisioningState"])


def shift(endpoint: Record, deployment: str) -> dict[str, object]:
    return {
        "endpoint_id": endpoint.id,
        "endpoint_tags": {},
        "deployment": deployment,
        "model_version": deployment,
    }


def test_a_shift_of_traffic_is_done_when_azure_has_finished_it(endpoint: Record) -> None:
    endpoint_traffic.EndpointTrafficProvider().create(shift(endpoint, "blue"))
    assert state(endpoint) == "Succeeded"


def test_a_change_while_another_one_runs_is_refused_and_sent_again(
    endpoint: Record, live_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = arm.get(endpoint.id)
    assert found is not None
    operation = arm.put(endpoint.id, endpoint_traffic.traffic_request(found, {"blue": 100}))
    assert operation is not None
    live_context.kv.put(machine_learning.UPDATING, endpoint.id, time.time() + 1000)
    assert state(endpoint) == "Updating"
    assert arm.failure(operation) == ""
    with monkeypatch.context() as impatient:
        impatient.setattr(arm, "BUSY_SECONDS", 0)
        with pytest.raises(
            arm.ResourceManagerError, match="409 Conflict: An operation is already in progress"
        ):
            arm.put(endpoint.id, endpoint_traffic.traffic_request(found, {"green": 100}))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        """The other change ends while the client waits."""
        pauses.append(seconds)
        live_context.kv.delete(machine_learning.UPDATING, endpoint.id)

    monkeypatch.setattr(arm, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
    endpoint_traffic.EndpointTrafficProvider().create(shift(endpoint, "green"))
    assert pauses == [arm.BUSY_PAUSE]
    after = arm.get(endpoint.id)
    assert after is not None
    assert after["properties"]["traffic"] == {"green": 100}
