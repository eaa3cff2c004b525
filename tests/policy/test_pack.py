"""The policy pack gives the verdicts of `make policy`, though it is handed secrets in plain text."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from policy import mock_engine, pack_rules, record, rules, secrecy
from policy.record import SECRET, SECRET_SIGNATURE, SIGNATURE
from tests.policy.changes import BASE, mutated, put
from tests.policy.conftest import Plans
from tests.policy.mutations import APP, FUNCTION, MUTATIONS, RUN

KEY_MAKER = "pulumi-python:dynamic/triplane:RandomKey"
KEY = mock_engine.COMPUTED[KEY_MAKER]["value"]
INNOCENT = {
    "aws": (FUNCTION, "environment.variables.GREETING"),
    "gcp": (RUN, "template.containers.0.args.0"),
    "azure": (APP, "tags.note"),
}
"""On each cloud, an input with a name under which nobody looks for a key."""


def urn(resource: record.Resource) -> str:
    return f"urn:pulumi:dev::triplane::{resource.type}::{resource.name}"


def handed(value: Any) -> Any:
    """Recorded inputs as pulumi_policy hands them over: numbers are protobuf's, no secret is marked.

    `deserialize_properties(json_format.MessageToDict(request.properties))`:
    https://github.com/pulumi/pulumi-policy/blob/main/sdk/python/lib/pulumi_policy/deserialize.py
    """
    if isinstance(value, dict):
        return {name: handed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [handed(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value.replace(SECRET, KEY) if isinstance(value, str) else value


def outputs(resource: record.Resource) -> dict[str, Any]:
    """What a stack policy is handed of a resource: its id, among the outputs; and the key of who makes it."""
    return {"id": resource.id, **({"value": KEY} if resource.type == KEY_MAKER else {})}


def verdicts(plan: record.Plan) -> dict[str, list[str]]:
    """What the pack's callables report, by rule: handed the inputs one by one, and then outputs."""
    pack_rules.INPUTS.clear()
    for each in plan:
        given = SimpleNamespace(urn=urn(each), props=handed(each.inputs))
        pack_rules.remember(given, lambda *_: None)
    # Not in a record: what is no resource of a cloud.
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
    for rule in rules.RULES:
        pack_rules.validation(rule)(
            everything, lambda says, _urn, name=rule.name: found.setdefault(name, []).append(says)
        )
    return found


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_the_pack_says_what_the_offline_rules_say(cloud: str, plans: Plans) -> None:
    plan = plans[cloud][BASE]
    assert verdicts(plan) == {}
    for mutation in (each for each in MUTATIONS if each.cloud == cloud):
        broken = mutated(plan, mutation)
        wanted = {
            rule.name: [each.says for each in rules.violations(rule, broken)]
            for rule in rules.RULES
            if rules.violations(rule, broken)
        }
        assert verdicts(broken) == wanted, str(mutation)


@pytest.mark.parametrize("store", ["the store only", "who makes it only"])
@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_a_key_under_an_innocent_name_is_known_by_its_value(
    cloud: str, store: str, plans: Plans
) -> None:
    """From the secret store's inputs or from the outputs of what made it: one of the two is enough."""
    plan = put(*INNOCENT[cloud], f"Bearer {SECRET}")(list(plans[cloud][BASE]))
    left = [
        each
        for each in plan
        if each.type not in secrecy.STORES
        or (each.type == KEY_MAKER) is (store == "who makes it only")
    ]
    (says,) = verdicts(left)["secrets-by-reference"]
    assert says.endswith("holds a secret")


@pytest.mark.parametrize("cloud", record.CLOUDS)
def test_what_is_made_of_a_secret_is_seen_in_a_state_and_not_by_the_pack(
    cloud: str, plans: Plans
) -> None:
    """docs/reference/policies.md says so: the engine marks it, and the pack is not handed the mark."""
    encoded = base64.b64encode(KEY.encode()).decode()
    told = put(*INNOCENT[cloud], encoded)(list(plans[cloud][BASE]))
    assert verdicts(told) == {}
    marked = {SIGNATURE: SECRET_SIGNATURE, "ciphertext": encoded}
    stands = [
        record.Resource(each.type, each.name, each.id, record.plain(each.inputs))
        for each in put(*INNOCENT[cloud], marked)(list(plans[cloud][BASE]))
    ]
    (found,) = (v for rule in rules.RULES for v in rules.violations(rule, stands))
    assert found.says.endswith("holds a secret")


def test_a_text_too_short_for_a_secret_is_not_looked_for() -> None:
    version = "aws:secretsmanager/secretVersion:SecretVersion"
    assert list(secrecy.values(version, {"secretString": "aws"})) == []
    assert list(secrecy.values(version, {"secretString": KEY})) == [KEY]


def test_the_rules_import_only_what_the_packs_own_environment_has() -> None:
    """`pulumi install` puts policy/pack/requirements.txt there and nothing else: no pydantic, no cloud's SDK."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['pydantic', 'pydantic_core', 'pulumi_aws',"
        " 'pulumi_gcp', 'pulumi_azure_native', 'boto3'])); from policy import aws, azure, gcp, pack_rules, rules"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
