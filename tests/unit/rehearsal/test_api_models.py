"""The rehearsal refuses at Check what the clouds' request models refuse, of any type whose request is known."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from api_models.rules import problems
from rehearsal.core.schema import Schemas
from rehearsal.core.settings import API_MODELS_VARIABLE
from rehearsal.core.wire import UNKNOWN, encode
from rehearsal.provider.context import Context
from rehearsal.provider.service import Provider
from rehearsal.server import PROFILES
from tests.unit.rehearsal.bad_inputs import BAD, GOOD, NOT_REFUSED, Json, with_value
from tests.unit.rehearsal.test_core_provider import Call

CLOUDS = ["aws", "gcp", "azure-native"]
MILLISECONDS = 2.0
"""What the check of one resource may take."""


class Providers:
    """The rehearsal's providers, with the rules of their types."""

    def __init__(self, context: Context) -> None:
        self.providers = {each.package: Provider(context, each) for each in PROFILES}

    def failures(self, token: str, inputs: Json) -> dict[str, str]:
        request = pb.CheckRequest(
            urn=f"urn:pulumi:s::p::{token}::one", news=encode(inputs), randomSeed=b"seed"
        )
        provider = self.providers[token.split(":")[0]]
        return {each.property: each.reason for each in provider.Check(request, Call()).failures}


@pytest.fixture
def providers(contexts: Callable[[], Context]) -> Providers:
    return Providers(contexts())


def is_of(clouds: list[str], token: str) -> bool:
    return token.split(":")[0] in clouds


def test_good_inputs_are_accepted(providers: Providers) -> None:
    refused = {
        token: found
        for token, inputs in GOOD.items()
        if is_of(CLOUDS, token) and (found := providers.failures(token, inputs))
    }
    assert not refused


def test_bad_inputs_are_refused_at_their_property(providers: Providers) -> None:
    accepted = []
    for token, path, value in BAD:
        if not is_of(CLOUDS, token):
            continue
        found = providers.failures(token, with_value(token, path, value))
        first = path.split(".")[0]
        if not any(each.startswith(first) for each in found):
            accepted.append((token, path))
    assert set(accepted) == {each for each in NOT_REFUSED if is_of(CLOUDS, each[0])}


def failures(token: str, inputs: dict[str, Any]) -> dict[str, str]:
    """What the request model alone refuses."""
    return dict(problems(Schemas(token.split(":")[0]).get(token).rules, inputs))


LAMBDA = "aws:lambda/function:Function"


def test_a_refusal_states_what_was_written_what_is_allowed_and_whose_rule_it_is() -> None:
    reason = failures(LAMBDA, {"runtime": "python9.9"})["runtime"]
    assert '"python9.9"' in reason
    assert "python3.9" in reason
    assert "lambda:CreateFunction" in reason
    assert "botocore" in reason


@pytest.mark.parametrize(
    "inputs",
    [
        {"runtime": UNKNOWN, "role": UNKNOWN, "architectures": [UNKNOWN]},  # a preview
        {"reservedConcurrentExecutions": -1},  # the provider's word for "not reserved"
        {"memorySize": "512", "timeout": 0, "runtime": ""},  # converted, and not set
    ],
)
def test_what_the_provider_converts_or_does_not_send_is_not_checked(inputs: Json) -> None:
    assert not failures(LAMBDA, {"role": UNKNOWN, **inputs})


def test_azure_compares_the_values_of_an_enumeration_in_any_case() -> None:
    token = "azure-native:storage:StorageAccount"
    assert not failures(token, with_value(token, "sku.name", "standard_lrs"))
    assert failures(token, with_value(token, "sku.name", "standard_xrs"))


def test_the_list_of_machine_sizes_on_azure_is_not_taken_for_complete() -> None:
    hardware = {"hardwareProfile": {"vmSize": "Standard_D2s_v9"}}
    assert not failures("azure-native:compute:VirtualMachine", hardware)


def test_the_check_can_be_switched_off(
    providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = with_value(LAMBDA, "runtime", "python9.9")
    assert API_MODELS_VARIABLE in providers.failures(LAMBDA, inputs)["runtime"]
    monkeypatch.setenv(API_MODELS_VARIABLE, "off")
    assert not providers.failures(LAMBDA, inputs)


def test_a_resource_is_checked_in_two_milliseconds() -> None:
    rules = {
        token: Schemas(token.split(":")[0]).get(token).rules
        for token in GOOD
        if is_of(CLOUDS, token)
    }
    for token, each in rules.items():
        list(problems(each, GOOD[token]))  # the patterns are compiled once in a process
    before = time.thread_time()
    for token, each in rules.items():
        list(problems(each, GOOD[token]))
    spent = (time.thread_time() - before) * 1000 / len(rules)
    assert spent < MILLISECONDS


def test_the_resident_process_loads_none_of_the_clouds_packages() -> None:
    code = (
        "import sys; import rehearsal.server, api_models.rules, api_models.compiler;"
        "print(*{'botocore', 'googleapiclient', 'azure', 'pulumi_aws'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split()
