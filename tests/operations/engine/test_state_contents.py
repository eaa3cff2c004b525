"""A state that would run code which is not this program's is refused before Pulumi reads it."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest

from components.stored_providers import STORED_FORMS
from operations.engine.state_contents import DEPLOYMENT, RESOURCE, foreign_code, parsed_state
from operations.engine.state_file import intact_copies, state_problem
from tests.operations.engine.test_state_file import checkpoint, state  # noqa: F401 - a fixture

URN = "urn:pulumi:dev::triplane::pulumi-python:dynamic/triplane:RandomKey::triplane-key"

ENCRYPTED = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    "ciphertext": "x",
}


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


def exported(*resources: Any, **more: Any) -> dict[str, Any]:
    """A state as `pulumi stack export` prints it."""
    return {"version": 3, "deployment": {"resources": list(resources), **more}}


def pickled(value: object) -> str:
    return base64.b64encode(pickle.dumps(value, protocol=4)).decode()


@pytest.mark.parametrize("place", ["inputs", "outputs"])
def test_an_altered_provider_of_a_dynamic_resource_is_refused_and_not_loaded(
    place: str, tmp_path: Path
) -> None:
    altered = pickled(Witness(tmp_path / "witness"))
    found = foreign_code(exported(dynamic(altered, place)))
    assert found
    assert f"triplane-key ({place}.__provider)" in found
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    "altered",
    [
        min(STORED_FORMS) + "AAAA",  # something behind the end
        min(STORED_FORMS)[:-4],
        ENCRYPTED,
        None,
        "",
    ],
)
def test_only_the_very_bytes_that_the_program_writes_are_accepted(altered: object) -> None:
    assert foreign_code(exported(dynamic(altered)))


def test_an_operation_in_progress_is_looked_at_as_well(tmp_path: Path) -> None:
    altered = dynamic(pickled(Witness(tmp_path / "witness")))
    assert foreign_code(exported(pending_operations=[{"type": "creating", "resource": altered}]))


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
        provider("aws", __internal=ENCRYPTED),
        {**provider("aws"), "urn": provider("command")["urn"]},
        {**provider("command"), "urn": provider("aws")["urn"]},
        {**provider("aws"), "urn": "aws"},
    ],
)
def test_a_plugin_that_the_program_does_not_use_is_refused(resource: dict[str, Any]) -> None:
    assert foreign_code(exported(resource))


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
    assert foreign_code(exported(*resources)) is None
    assert foreign_code({}) is None
    assert foreign_code({"version": 0, "checkpoint": {"stack": "dev"}}) is None, "a new stack"


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
@pytest.mark.parametrize(
    "setting", ["pluginDownloadURL", "pluginChecksums", "parameterization", "envVarMappings"]
)
def test_each_setting_that_chooses_a_plugin_is_refused_wherever_pulumi_keeps_it(
    setting: str, place: str
) -> None:
    for properties in ({setting: "x"}, {"__internal": {setting: "x"}}):
        altered = {**provider("aws"), "inputs": {}, place: properties}
        assert f"({place}.{setting})" in str(foreign_code(exported(altered)))
    assert foreign_code(exported(provider("aws", region="eu-west-1"))) is None


def test_a_resource_without_a_type_is_refused_by_its_name() -> None:
    found = str(foreign_code(exported({"urn": URN})))
    assert "the resource triplane-key of the package (none)" in found
    assert foreign_code(exported(pending_operations=[{}]))


OWN = dynamic(min(STORED_FORMS))
STRANGER = {"__provider": "gASVAAAA"}


@pytest.mark.parametrize(
    ("altered", "named"),
    [
        (exported({**OWN, "Inputs": STRANGER}), "'Inputs' at deployment.resources[0]"),
        (exported({**OWN, "OUTPUT\u017f": STRANGER}), "'OUTPUT\u017f' at"),  # Go folds it to s
        (exported({**OWN, "Type": "command:local:Command"}), "'Type'"),
        (exported({**OWN, "URN": provider("command")["urn"]}), "'URN'"),
        (exported(OWN, Resources=[{"inputs": STRANGER}]), "'Resources' at deployment"),
        (exported(OWN, Pending_Operations=[{"resource": OWN}]), "'Pending_Operations'"),
        (exported(pending_operations=[{"Resource": OWN}]), "'Resource' at deployment.pending"),
        (exported(pending_operations=[{"resource": {**OWN, "Inputs": STRANGER}}]), "'Inputs'"),
        ({**exported(OWN), "Deployment": exported(OWN)["deployment"]}, "'Deployment' at its top"),
        ({**exported(OWN), "Version": 1}, "'Version'"),
        ({**exported(OWN), "checkpoint": {}}, "'deployment' at its top"),
        ({"version": 3, "checkpoint": {"Latest": {}}}, "'Latest' at checkpoint"),
        # What the engine reads of a file of version 0: https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/resource/stack/checkpoint.go
        ({"checkpoint": {"stack": "dev"}, "latest": {"resources": [OWN]}}, "'latest' at its top"),
        ({**exported(OWN), "version": 1}, "version 1"),
        ({**exported(OWN), "version": True}, "version True"),
        ({"deployment": exported(OWN)["deployment"]}, "version None"),
        # Code, which the engine runs on every update, and a plugin's parameter.
        (exported(OWN, snippets=[{"code": "x"}]), "'snippets'"),
        (exported(OWN, extensions={}), "'extensions'"),
        (exported({**OWN, "extensionRef": "x"}), "'extensionRef'"),
        (exported(OWN, secrets_providers={"type": "cloud", "state": {"URL": "x"}}), "'URL'"),
        (exported({**OWN, "inputs": [STRANGER]}), "no object as inputs of triplane-key"),
        (exported(None), "an empty element in deployment.resources"),
        (exported([]), "no object at deployment.resources[0]"),
        ({"version": 3, "deployment": {"resources": {}}}, "no list at deployment.resources"),
    ],
)
def test_a_key_that_pulumi_does_not_write_is_refused_because_go_may_read_it(
    altered: dict[str, Any], named: str
) -> None:
    """https://pkg.go.dev/encoding/json#Unmarshal: "preferring exact matches but also accepting" others."""
    assert named in str(foreign_code(altered))


def test_a_state_with_every_known_key_is_accepted() -> None:
    """One of them is written only by some commands, as `pulumi state taint`."""
    resource = {**dict.fromkeys(RESOURCE), **OWN, "stackTrace": [{"sourcePosition": "x"}]}
    whole = {**dict.fromkeys(DEPLOYMENT), "resources": [resource], "metadata": {}}
    latest = {"version": 4, "features": ["taint"], "deployment": whole}
    assert foreign_code(latest) is None
    file = {"version": 4, "features": [], "checkpoint": {"stack": "dev", "latest": whole}}
    assert foreign_code(file) is None


@pytest.mark.parametrize(
    "content",
    [
        b'{"inputs": {"__provider": "x"}, "inputs": {}}',  # Go merges the two, Python takes the last
        b'{"inputs": {"__provider": "x", "\\u005f_provider": "y"}}',
        b'[{"a": [{"b": 1, "b": 1}]}]',
        b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a": 1}',
        b"[" * 100_000,
    ],
)
def test_json_that_go_reads_otherwise_is_no_state(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011, each has words of its own
        parsed_state(content)


def test_a_file_with_a_key_twice_is_a_problem_and_no_copy(state: Path) -> None:  # noqa: F811
    for place in ("inputs", "outputs"):
        twice = checkpoint(resources=[OWN]).replace(
            '"inputs": {', f'"{place}": {{"__provider": "x"}}, "inputs": {{'
        )
        text = twice if place == "inputs" else twice.replace('"type"', '"outputs": {}, "type"')
        state.write_text(text)
        state.with_name(f"{state.name}.bak").write_text(text)
        assert f"the key '{place}' is there twice" in str(state_problem(state, "dev"))
        assert list(intact_copies(state, "dev")) == []


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_state_is_a_problem_because_pulumi_reads_the_newest(
    suffix: str,
    state: Path,  # noqa: F811
) -> None:
    compressed = state.with_name(f"{state.name}{suffix}")
    compressed.write_bytes(b"")
    assert compressed.name in str(state_problem(state, "dev")), "also alone"
    state.write_text(checkpoint())
    assert compressed.name in str(state_problem(state, "dev"))
    compressed.unlink()
    assert state_problem(state, "dev") is None
