"""A state that would run code which is not this program's is refused before Pulumi reads it."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest

from components.stored_providers import STORED_FORMS
from operations.engine.state_contents import foreign_code
from operations.engine.state_file import intact_copies, state_problem
from tests.operations.engine.test_state_file import checkpoint, state  # noqa: F401 - a fixture

URN = "urn:pulumi:dev::triplane::pulumi-python:dynamic/triplane:RandomKey::triplane-key"


class Witness:
    """A provider whose pickle writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def dynamic(provider: object, place: str = "inputs") -> dict[str, Any]:
    token = "pulumi-python:dynamic/triplane:RandomKey"
    return {"urn": URN, "type": token, place: {"__provider": provider}}


def provider(package: str, **inputs: Any) -> dict[str, Any]:
    token = f"pulumi:providers:{package}"
    return {"urn": f"urn:pulumi:dev::triplane::{token}::default", "type": token, "inputs": inputs}


def pickled(value: object) -> str:
    return base64.b64encode(pickle.dumps(value, protocol=4)).decode()


@pytest.mark.parametrize("place", ["inputs", "outputs"])
def test_an_altered_provider_of_a_dynamic_resource_is_refused_and_not_loaded(
    place: str, tmp_path: Path
) -> None:
    altered = pickled(Witness(tmp_path / "witness"))
    found = foreign_code({"resources": [dynamic(altered, place)]})
    assert found
    assert f"triplane-key ({place}.__provider)" in found
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    "altered",
    [
        min(STORED_FORMS) + "AAAA",  # something behind the end
        min(STORED_FORMS)[:-4],
        {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "x"},
        None,
        "",
    ],
)
def test_only_the_very_bytes_that_the_program_writes_are_accepted(altered: object) -> None:
    assert foreign_code({"resources": [dynamic(altered)]})


def test_an_operation_in_progress_is_looked_at_as_well(tmp_path: Path) -> None:
    altered = dynamic(pickled(Witness(tmp_path / "witness")))
    assert foreign_code({"pending_operations": [{"type": "creating", "resource": altered}]})


@pytest.mark.parametrize(
    "resource",
    [
        {
            "urn": "urn:pulumi:dev::triplane::command:local:Command::x",
            "type": "command:local:Command",
        },
        provider("command"),
        provider("aws", pluginDownloadURL="https://example.test/plugins"),
        provider("aws", __internal={"pluginDownloadURL": "https://example.test/plugins"}),
    ],
)
def test_a_plugin_that_the_program_does_not_use_is_refused(resource: dict[str, Any]) -> None:
    assert foreign_code({"resources": [resource]})


def test_what_the_program_writes_is_accepted() -> None:
    resources = [
        *map(dynamic, STORED_FORMS),
        provider("aws", region="eu-west-1", __internal={}),
        provider("pulumi-python"),
        {"urn": "urn:pulumi:dev::triplane::pulumi:pulumi:Stack::s", "type": "pulumi:pulumi:Stack"},
        {
            "urn": "urn:pulumi:dev::triplane::triplane:aws:DataLake::l",
            "type": "triplane:aws:DataLake",
        },
    ]
    assert foreign_code({"resources": resources}) is None
    assert foreign_code({}) is None


def test_an_altered_file_is_a_problem_and_an_altered_copy_is_not_taken(
    state: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    altered = checkpoint(resources=[dynamic(pickled(Witness(tmp_path / "witness")))])
    state.write_text(altered)
    state.with_name(f"{state.name}.bak").write_text(altered)
    problem = state_problem(state, "dev")
    assert problem
    assert "__provider" in problem
    assert list(intact_copies(state, "dev")) == []
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize("place", ["inputs", "outputs"])
@pytest.mark.parametrize("setting", ["pluginDownloadURL", "pluginChecksums", "parameterization"])
def test_each_setting_that_chooses_a_plugin_is_refused_wherever_pulumi_keeps_it(
    setting: str, place: str
) -> None:
    for properties in ({setting: "x"}, {"__internal": {setting: "x"}}):
        altered = {**provider("aws"), "inputs": {}, place: properties}
        assert f"({place}.{setting})" in str(foreign_code({"resources": [altered]}))
    assert foreign_code({"resources": [provider("aws", region="eu-west-1")]}) is None


def test_a_resource_without_a_type_is_refused_by_its_name() -> None:
    found = str(foreign_code({"resources": [{"urn": URN}]}))
    assert "the resource triplane-key of the package (none)" in found
    assert foreign_code({"pending_operations": [{}]})
