"""The policy pack has the findings of `make policy`, although it receives secrets in plain text."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api_models.resource import Plan, Resource
from components.resource_type import RANDOM_KEY
from policy import mock_values, record, secrecy
from policy.enforcement import violations
from policy.pack_rules import PackRules
from policy.plain import SECRET, SECRET_SIGNATURE, SIGNATURE, plain
from policy.rules import RULES
from tests.policy.changes import BASE, mutated, put
from tests.policy.conftest import Plans
from tests.policy.mutations import APP, FUNCTION, MUTATIONS, RUN

KEY = mock_values.COMPUTED[RANDOM_KEY]["value"]
INNOCENT = {
    "aws": (FUNCTION, "environment.variables.GREETING"),
    "gcp": (RUN, "labels.note"),
    "azure": (APP, "tags.note"),
}
"""On each cloud, an input whose name does not suggest a key."""


def urn(resource: Resource) -> str:
    return f"urn:pulumi:dev::triplane::{resource.type}::{resource.name}"


def received(value: Any) -> Any:
    """Recorded inputs as pulumi_policy passes them: numbers are protobuf's, no secret is marked.

    `deserialize_properties(json_format.MessageToDict(request.properties))`:
    https://github.com/pulumi/pulumi-policy/blob/main/sdk/python/lib/pulumi_policy/deserialize.py
    """
    if isinstance(value, dict):
        return {name: received(item) for name, item in value.items()}
    if isinstance(value, list):
        return [received(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value.replace(SECRET, KEY) if isinstance(value, str) else value


def outputs(resource: Resource) -> dict[str, Any]:
    """The outputs that a stack policy receives: the id, and the key of the resource that makes it."""
    return {"id": resource.id, **({"value": KEY} if resource.type == RANDOM_KEY else {})}


def findings(plan: Plan) -> dict[str, list[str]]:
    """What the pack's callables report, by rule. They receive the inputs one by one, and then all outputs."""
    pack_rules = PackRules()
    for each in plan:
        given = SimpleNamespace(urn=urn(each), props=received(each.inputs))
        pack_rules.remember(given, lambda *_: None)
    # A recorded plan has only resources of a cloud.
    others = [
        SimpleNamespace(resource_type=type_, name=type_, urn=type_, props={})
        for type_ in ("pulumi:pulumi:Stack", "pulumi:providers:aws", "triplane:aws:DataLake")
    ]
    resources = [
        SimpleNamespace(resource_type=each.type, name=each.name, urn=urn(each), props=outputs(each))
        for each in plan
    ]
    everything = SimpleNamespace(resources=[*others, *resources])
    found: dict[str, list[str]] = {}
    for rule in RULES:

        def report(message: str, _urn: str | None, name: str = rule.name) -> None:
            found.setdefault(name, []).append(message)

        pack_rules.validation(rule)(everything, report)
    return found


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_pack_reports_what_the_offline_rules_report(cloud: str, plans: Plans) -> None:
    plan = plans[cloud][BASE]
    assert findings(plan) == {}
    for mutation in (each for each in MUTATIONS if each.cloud == cloud):
        broken = mutated(plan, mutation)
        wanted = {
            rule.name: [each.message for each in violations(rule, broken)]
            for rule in RULES
            if violations(rule, broken)
        }
        assert findings(broken) == wanted, str(mutation)


@pytest.mark.parametrize("source", ["only the store", "only the key's resource"])
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_a_key_under_an_innocent_name_is_found_by_its_value(
    cloud: str, source: str, plans: Plans
) -> None:
    """The inputs of the secret store, or the outputs of the key's resource: one of the two is enough."""
    plan = put(*INNOCENT[cloud], f"Bearer {SECRET}")(list(plans[cloud][BASE]))
    left = [
        each
        for each in plan
        if each.type not in secrecy.STORES
        or (each.type == RANDOM_KEY) is (source == "only the key's resource")
    ]
    (message,) = findings(left)["secrets-by-reference"]
    assert message.endswith("holds a secret")


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_a_value_derived_from_a_secret_is_found_in_a_state_but_not_by_the_pack(
    cloud: str, plans: Plans
) -> None:
    """docs/reference/policies.md says so: the engine marks the value, and the pack does not receive the mark."""
    encoded = base64.b64encode(KEY.encode()).decode()
    unmarked = put(*INNOCENT[cloud], encoded)(list(plans[cloud][BASE]))
    assert findings(unmarked) == {}
    marked = {SIGNATURE: SECRET_SIGNATURE, "ciphertext": encoded}
    existing = [
        Resource(each.type, each.name, each.id, plain(each.inputs))
        for each in put(*INNOCENT[cloud], marked)(list(plans[cloud][BASE]))
    ]
    (found,) = (each for rule in RULES for each in violations(rule, existing))
    assert found.message.endswith("holds a secret")


def test_a_text_too_short_for_a_secret_is_not_searched_for() -> None:
    version = "aws:secretsmanager/secretVersion:SecretVersion"
    assert list(secrecy.secret_values(version, {"secretString": "aws"})) == []
    assert list(secrecy.secret_values(version, {"secretString": KEY})) == [KEY]


def test_the_rules_import_only_what_the_packs_own_environment_has() -> None:
    """`pulumi install` installs policy/pack/requirements.txt there, and nothing else: no pydantic, no cloud's SDK."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['pydantic', 'pydantic_core', 'pulumi_aws',"
        " 'pulumi_gcp', 'pulumi_azure_native', 'boto3'])); from policy import enforcement, pack_rules, rules"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
