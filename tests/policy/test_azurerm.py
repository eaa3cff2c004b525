"""The conversion for the azurerm provider leaves nothing out, and what it says reaches the provider whole.

`make judge AZURERM=1` asks the provider itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent import futures
from dataclasses import replace
from typing import Any

import grpc
import msgpack  # type: ignore[import-untyped]
import pytest

from api_models.resource import Plan
from policy import azurerm, azurerm_judge, record
from policy.terraform_plugin import SERVICE, NotASchema, Provider, complete, message
from tests.policy.conftest import Plans

NATIVE = azurerm.NATIVE


def converted(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [azurerm.configuration(each, plan) for each in azurerm.judged(plan)]


@pytest.mark.parametrize("variant", record.VARIANTS)
def test_every_resource_of_a_plan_is_converted_whole_or_named_with_a_reason(
    variant: str, plans: Plans
) -> None:
    plan = plans["azure"][variant]
    assert len(converted(plan)) > 30


def test_an_input_that_the_conversion_does_not_know_is_an_error(plans: Plans) -> None:
    plan = plans["azure"]["as little as possible"]
    account = next(each for each in plan if each.type == f"{NATIVE}storage:StorageAccount")
    more = replace(account, inputs={**account.inputs, "isSftpEnabled": True})
    with pytest.raises(azurerm.NotConverted, match="isSftpEnabled"):
        azurerm.configuration(more, plan)


@pytest.mark.parametrize(
    ("type_", "path"),
    [
        ("storage:ManagementPolicy", "policy.rules.0.definition.actions.snapshot"),
        ("authorization:RoleDefinition", "permissions.0.notActions"),
        ("storage:BlobServiceProperties", "changeFeed"),
    ],
)
def test_a_name_inside_a_list_or_a_part_is_not_left_out_either(
    type_: str, path: str, plans: Plans
) -> None:
    plan = list(plans["azure"]["deployed by GitHub Actions"])
    index = next(i for i, each in enumerate(plan) if each.type == NATIVE + type_)
    inputs = json.loads(json.dumps(dict(plan[index].inputs)))
    holder: Any = inputs
    *parents, last = path.split(".")
    for step in parents:
        holder = holder[int(step)] if step.isdigit() else holder[step]
    holder[last] = {"enabled": True}
    plan[index] = replace(plan[index], inputs=inputs)
    with pytest.raises(azurerm.NotConverted, match=last):
        converted(plan)


def test_a_type_in_no_table_is_an_error(plans: Plans) -> None:
    plan = plans["azure"]["as little as possible"]
    with pytest.raises(azurerm.NotConverted, match="sql:Server"):
        azurerm.judged([*plan, replace(plan[0], type=f"{NATIVE}sql:Server")])


ATTRIBUTES = [("name", '"string"'), ("tags", '["map","string"]'), ("id", '"string"')]
BLOCKS = [("rule", 2, [("days", '"number"')]), ("one", 1, [("on", '"bool"')])]
"""With their nesting modes: a list, and one."""


def schema() -> Any:
    block = message("Block")()
    for name, type_ in ATTRIBUTES:
        block.attributes.add(name=name, type=type_.encode())
    for name, nesting, attributes in BLOCKS:
        nested = block.block_types.add(type_name=name, nesting=nesting)
        for inner, type_ in attributes:
            nested.block.attributes.add(name=inner, type=type_.encode())
    return block


def test_a_configuration_has_every_name_of_the_schema() -> None:
    assert complete(schema(), {"name": "a", "rule": [{"days": 7}]}, "azurerm_thing") == {
        "name": "a",
        "tags": None,
        "id": None,
        "rule": [{"days": 7}],
        "one": None,
    }


@pytest.mark.parametrize("wrong", [{"nmae": "a"}, {"rule": [{"day": 7}]}])
def test_a_name_that_the_schema_does_not_have_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(NotASchema, match=r"azurerm_thing.* has no (nmae|day)"):
        complete(schema(), wrong, "azurerm_thing")


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that refuses what has more than 30 days, over the real protocol."""

    def get_schema(_: Any, __: Any) -> Any:
        answer = message("Schemas")()
        answer.resource_schemas.add(key="azurerm_thing").value.block.CopyFrom(schema())
        return answer

    def validate(request: Any, _: Any) -> Any:
        answer = message("Diagnostics")()
        config = msgpack.unpackb(request.config.msgpack)
        answer.diagnostics.add(severity=2, summary="a warning")
        for each in config["rule"]:
            if each["days"] > 30:
                found = answer.diagnostics.add(severity=1, summary="too many", detail="30 at most")
                found.attribute.steps.add(attribute_name="rule")
                found.attribute.steps.add(attribute_name="days")
        return answer

    def handler(function: Any, request: str) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            function,
            request_deserializer=message(request).FromString,
            response_serializer=lambda each: each.SerializeToString(),
        )

    server = grpc.server(futures.ThreadPoolExecutor(1))
    methods = {
        "GetSchema": handler(get_schema, "Empty"),
        "ValidateResourceTypeConfig": handler(validate, "Validate"),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Provider(channel)
    server.stop(None)


def test_a_providers_refusal_is_a_problem_and_its_warning_is_none(provider: Provider) -> None:
    assert provider.problems("azurerm_thing", {"name": "a", "rule": [{"days": 7}]}) == []
    assert provider.problems("azurerm_thing", {"rule": [{"days": 31}]}) == [
        "rule.days: too many: 30 at most"
    ]
    with pytest.raises(NotASchema, match="no type azurerm_other"):
        provider.problems("azurerm_other", {})


def test_a_finding_names_the_resource_of_the_plan(
    provider: Provider, plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plans["azure"]["as little as possible"]
    group = next(each for each in plan if each.type == f"{NATIVE}resources:ResourceGroup")
    conversion = azurerm.Conversion(
        "azurerm_thing", lambda of: {"name": of.take("location"), "rule": [{"days": 99}]},
        {"tags": "not needed here"},
    )  # fmt: skip
    monkeypatch.setattr(azurerm, "CONVERSIONS", {"resources:ResourceGroup": conversion})
    monkeypatch.setattr(azurerm, "NOT_CONVERTED", {})
    (found,) = azurerm_judge.findings(provider, [group])
    assert found.resource == f"{NATIVE}resources:ResourceGroup.triplane-foundation-group"
    assert "30 at most" in found.message
