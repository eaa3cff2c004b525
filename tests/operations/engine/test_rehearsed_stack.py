"""Which stack a command acts on, and the file that the stack gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.stack_file import StackFile
from operations.engine import rehearsed_stack
from operations.engine.rehearsed_stack import RehearsedStack

DEV = "# settings\nconfig:\n  triplane:cloud: aws # one of three\nencryptionsalt: v1:a\n"


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of `dev` in a folder of its own."""
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(DEV)
    monkeypatch.setattr(rehearsed_stack, "SETTINGS", file)
    monkeypatch.setattr(rehearsed_stack, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setattr(rehearsed_stack, "HOME", tmp_path)
    return file


@pytest.mark.parametrize("cloud", ["", "aws"])
def test_without_another_cloud_the_stack_is_dev_with_its_own_file(dev: Path, cloud: str) -> None:
    assert RehearsedStack.for_cloud(cloud) == RehearsedStack("dev", dev)
    assert not (dev.parent / "scratch").exists()


@pytest.mark.parametrize("written", ["triplane:cloud: aws", "triplane:cloud: 'aws'", "cloud: aws"])
def test_another_cloud_gives_a_copy_in_which_only_the_cloud_differs(
    dev: Path, written: str
) -> None:
    text = DEV.replace("triplane:cloud: aws", written)
    dev.write_text(text)
    chosen = RehearsedStack.for_cloud("gcp")
    assert chosen.name == "dev-gcp"
    key = written.partition(" ")[0]
    copied = text.replace(written, f"{key} gcp")
    note = "# Made from Pulumi.dev.yaml by `make`; edit that one.\n"
    assert chosen.file.read_text() == note + copied
    assert StackFile.read(chosen.file).settings == {"triplane:cloud": "gcp"}
    assert dev.read_text() == text, "the tracked file is unchanged"


def write_state(stack: RehearsedStack, *types: str) -> None:
    """A state with resources of these types."""
    resources = [{"type": each, "urn": f"urn:pulumi:dev::triplane::{each}::x"} for each in types]
    latest = {"manifest": {"time": "2026-11-28T04:00:00Z"}, "resources": resources}
    checkpoint = {"stack": f"organization/triplane/{stack.name}", "latest": latest}
    stack.state_file.parent.mkdir(parents=True, exist_ok=True)
    stack.state_file.write_text(json.dumps({"version": 3, "checkpoint": checkpoint}))


LAKE_ON_AWS = "aws:s3/bucket:Bucket"


def test_a_changed_word_builds_beside_dev_which_keeps_its_cloud(
    dev: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_state(RehearsedStack("dev", dev), LAKE_ON_AWS)
    dev.write_text(DEV.replace("aws", "gcp"))
    beside = RehearsedStack.for_cloud("")
    assert beside.name == "dev-gcp"
    assert StackFile.read(beside.file).settings == {"triplane:cloud": "gcp"}
    assert beside.make("up") == "make up CLOUD=gcp"
    assert "stack dev-gcp. Stack dev is on aws, and stays as it is" in capsys.readouterr().err

    first = RehearsedStack.for_cloud("aws")
    assert first.name == "dev"
    assert StackFile.read(first.file).settings == {"triplane:cloud": "aws"}
    assert first.make("destroy") == "make destroy CLOUD=aws", "the file's word is another one"
    dev.write_text(DEV)
    assert RehearsedStack.for_cloud("") == RehearsedStack("dev", dev)


def test_a_stack_beside_dev_stays_the_one_of_its_cloud_when_dev_is_empty(dev: Path) -> None:
    write_state(RehearsedStack("dev", dev))
    write_state(RehearsedStack("dev-gcp", dev), "gcp:storage/bucket:Bucket")
    dev.write_text(DEV.replace("aws", "gcp"))
    assert RehearsedStack.for_cloud("").name == "dev-gcp"


def test_an_empty_dev_takes_any_cloud(dev: Path) -> None:
    write_state(RehearsedStack("dev", dev), "aws:iam/role:Role")
    dev.write_text(DEV.replace("aws", "gcp"))
    assert RehearsedStack.for_cloud("") == RehearsedStack("dev", dev)


def test_a_broken_state_of_dev_counts_by_its_newest_intact_copy(dev: Path) -> None:
    stack = RehearsedStack("dev", dev)
    write_state(stack, LAKE_ON_AWS)
    stack.state_file.rename(stack.state_file.with_name(f"{stack.state_file.name}.bak"))
    stack.state_file.write_text("{")
    dev.write_text(DEV.replace("aws", "gcp"))
    assert RehearsedStack.for_cloud("aws").name == "dev"


def test_a_command_for_the_stack_of_a_delivery_names_it(dev: Path) -> None:
    line = RehearsedStack("staging-gcp", dev).make("repair")
    assert line == '(eval "$(make -s env)"; make repair STACK=staging-gcp)'


def test_a_command_of_pulumi_is_printed_with_the_stack_and_the_rehearsals_environment(
    dev: Path,
) -> None:
    line = RehearsedStack.for_cloud("gcp").pulumi_line("stack output gateway_key --show-secrets")
    inside = "pulumi stack output gateway_key --show-secrets --stack dev-gcp"
    assert line == f'(eval "$(make -s env)"; {inside})'


def test_a_file_without_a_cloud_is_left_to_validation(dev: Path) -> None:
    dev.write_text("config:\n  aws:region: eu-west-1\n")
    assert RehearsedStack.for_cloud("gcp") == RehearsedStack("dev", dev)


def test_a_file_that_is_no_yaml_is_reported_by_its_name(dev: Path) -> None:
    dev.write_text("config:\n  triplane:cloud: [aws\n")
    with pytest.raises(SystemExit, match=r"Pulumi\.dev\.yaml is not valid YAML"):
        RehearsedStack.for_cloud("gcp")
    with pytest.raises(SystemExit, match=r"Pulumi\.dev\.yaml is not valid YAML"):
        RehearsedStack.copy_of_dev("drill-gcp", {"triplane:cloud": "gcp"})


def test_an_unknown_cloud_is_refused_with_the_allowed_ones(dev: Path) -> None:
    with pytest.raises(SystemExit, match=r"CLOUD=gpc: .*aws, gcp, azure.*Did you mean gcp\?"):
        RehearsedStack.for_cloud("gpc")


def test_a_compressed_state_is_set_aside_with_the_broken_one(dev: Path) -> None:
    """Pulumi would read it in place of the adopted state, if its clock is ahead."""
    stack = RehearsedStack("dev", dev)
    write_state(stack)
    compressed = stack.state_file.with_name("dev.json.gz")
    compressed.write_bytes(b"x")
    assert stack.state_problem()
    stack.set_broken_state_aside()
    assert stack.state_problem() is None
    assert (compressed.with_name("dev.json.gz.broken")).read_bytes() == b"x"
    stack.state_file.unlink()
    stack.set_broken_state_aside()
