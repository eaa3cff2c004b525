"""The model is checked before anything is built: in a process with limits, once for each version."""

from __future__ import annotations

import gzip
import runpy
import subprocess
import tarfile
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from components import clouds, stack_place
from config import model_check, validation
from config.model_check import refuse_unfit_models
from tests.onnx_models import (
    flight_contract,
    model,
    stored,
    with_external_weights,
    with_large_table,
)


def refusal(artifact: Any, *limits: str) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        refuse_unfit_models([artifact], *limits)
    message = str(refused.value)
    assert message.startswith(f"{artifact.directory}/model.onnx is no model that this platform")
    assert "Nothing was created or changed." in message
    assert f"make train MODEL={artifact.name}." in message
    return message


def test_a_fit_model_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = stored(model().SerializeToString(), tmp_path)
    checks = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: checks.append(a) or run(*a, **k))
    refuse_unfit_models([artifact])
    refuse_unfit_models([artifact])
    assert len(checks) == 1
    assert sorted(each.name for each in artifact.directory.iterdir()) == [
        "card.json",
        "contract.json",
        "model.onnx",
        "model.tar.gz",
        "version.txt",
    ], "the folder is uploaded as it is: no verdict is in it"


def test_a_model_of_ten_classes_is_refused_each_time_with_the_file_and_the_rule(
    tmp_path: Path,
) -> None:
    artifact = stored(model(classes=10).SerializeToString(), tmp_path)
    assert refusal(artifact) == refusal(artifact)
    assert "outputs: probabilities: tensor(float) [None, 10]\n      Wanted: " in refusal(artifact)


def test_weights_in_another_file_are_refused_wherever_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(14 * 2 * 4))
    monkeypatch.chdir(tmp_path)
    artifact = stored(with_external_weights("weights.bin").SerializeToString(), tmp_path)
    assert "one file: " in refusal(artifact)


def test_a_model_that_needs_gigabytes_is_stopped_by_the_memory_limit(tmp_path: Path) -> None:
    artifact = stored(with_large_table(750_000_000).SerializeToString(), tmp_path)
    assert "Wanted: an answer within the memory of an instance" in refusal(artifact)


def test_all_models_are_checked_in_one_process_and_all_unfit_ones_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those after one that ends the process."""
    builds = {
        "fit-one": model(),
        "fit-two": model(),
        "ten-classes": model(classes=10),
        "too-long": with_large_table(300_000_000),
        "without-end": model().SerializeToString()[:200],
    }
    artifacts = {
        name: stored(
            each if isinstance(each, bytes) else each.SerializeToString(),
            tmp_path,
            flight_contract().replace(b'"flight-delay"', f'"{name}"'.encode()),
            name=name,
        )
        for name, each in builds.items()
    }
    checks = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: checks.append(a) or run(*a, **k))
    refuse_unfit_models([artifacts["fit-one"], artifacts["fit-two"]])
    assert len(checks) == 1
    with pytest.raises(pulumi.RunError) as refused:
        refuse_unfit_models(artifacts.values(), "--cpu-seconds", "1")
    assert len(checks) == 3
    found = str(refused.value)
    for name, reason in (
        ("ten-classes", "outputs: "),
        ("too-long", "the check ended"),
        ("without-end", "format: "),
    ):
        file = artifacts[name].directory / "model.onnx"
        assert f"{file} is no model that this platform can serve. Nothing was" in found
        assert reason in found.partition(str(file))[2].partition("Serve another")[0]
    assert "fit-one" not in found


def test_a_model_that_calculates_for_too_long_is_stopped(tmp_path: Path) -> None:
    artifact = stored(with_large_table(300_000_000).SerializeToString(), tmp_path)
    assert "the check ended with status -" in refusal(artifact, "--cpu-seconds", "1")


def test_the_program_refuses_the_model_before_the_first_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain `pulumi preview` and `pulumi up` run nothing else of this repository."""
    artifact = stored(model(classes=10).SerializeToString(), tmp_path)
    config = SimpleNamespace(cloud="aws", artifacts=[artifact])
    monkeypatch.setattr(validation, "config_of_running_stack", lambda: config)
    monkeypatch.setattr(stack_place, "refuse_another_place", lambda _: None)
    monkeypatch.setattr(clouds, "load", lambda _: pytest.fail("the platform is built"))
    debug = pulumi.log.debug
    with pytest.raises(pulumi.RunError, match="no model that this platform can serve"):
        runpy.run_path(str(model_check.LAMBDA.parent / "__main__.py"))
    pulumi.log.debug = debug


def test_a_damaged_file_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    artifact = stored(model().SerializeToString(), tmp_path)
    file = artifact.directory / "model.onnx"
    file.write_bytes(file.read_bytes()[:100])
    assert "It or the contract beside it is damaged, or of another model" in refusal(artifact)


def test_a_version_text_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    artifact = stored(model().SerializeToString(), tmp_path)
    (artifact.directory / "version.txt").write_text("garbage")
    assert "version.txt beside it is damaged, or of another model" in refusal(artifact)


def test_a_contract_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    artifact = stored(model().SerializeToString(), tmp_path)
    file = artifact.directory / "contract.json"
    file.write_bytes(file.read_bytes().replace(b"Newark", b"Neward"))
    assert "It or the contract beside it is damaged, or of another model" in refusal(artifact)


def test_a_version_that_belongs_to_another_model_is_refused_with_both_names(
    tmp_path: Path,
) -> None:
    artifact = stored(model().SerializeToString(), tmp_path, name="churn")
    assert "It is a version of flight-delay, not of churn, by the contract" in refusal(artifact)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "contract.json: "),
        (b"[]", "contract.json: no contract"),
        (b'{"name": "flight-delay", "fields": []}', "contract.json: "),
        (flight_contract().replace(b'"category"', b'"categroy"'), "Did you mean category?"),
        (flight_contract().replace(b'"NaN"', b"NaN").replace(b"57.02", b"NaN"), "contract.json: "),
    ],
)
def test_a_contract_that_is_none_is_refused_with_the_place(
    tmp_path: Path, document: bytes, reason: str
) -> None:
    artifact = stored(model().SerializeToString(), tmp_path, document)
    assert reason in refusal(artifact)


@pytest.mark.parametrize("archive", [b"", b"\x1f\x8b\x08\x00", None])
def test_the_archive_that_sagemaker_serves_must_hold_the_same_model(
    tmp_path: Path, archive: bytes | None
) -> None:
    other = stored(model(classes=3).SerializeToString(), tmp_path)
    archived = (other.directory / "model.tar.gz").read_bytes() if archive is None else archive
    artifact = stored(model().SerializeToString(), tmp_path, archived=archived)
    assert "model.tar.gz beside it does not hold it and its contract.json alone" in refusal(
        artifact
    )


def test_an_archive_that_unpacks_to_gigabytes_is_refused_at_its_first_entry(
    tmp_path: Path,
) -> None:
    """Written without its content: the header alone promises it."""
    entry = tarfile.TarInfo("model.onnx")
    entry.size = 2**40
    bomb = gzip.compress(entry.tobuf() + bytes(10 * 2**20))
    artifact = stored(model().SerializeToString(), tmp_path, archived=bomb)
    tracemalloc.start()
    assert "model.tar.gz beside it does not hold" in refusal(artifact)
    assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
    tracemalloc.stop()


def test_a_model_out_of_a_lake_without_archives_is_fit(tmp_path: Path) -> None:
    artifact = stored(model().SerializeToString(), tmp_path)
    (artifact.directory / "model.tar.gz").unlink()
    refuse_unfit_models([artifact])


def test_without_the_runtime_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_check, "find_spec", lambda _: None)
    artifact = stored(model().SerializeToString(), tmp_path)
    assert "pip install -r lambda/model_server/requirements.txt" in refusal(artifact)


def test_a_store_that_cannot_be_written_to_is_checked_each_time(tmp_path: Path) -> None:
    (tmp_path / model_check.CHECKED).write_text("a file is in the way")
    artifact = stored(model().SerializeToString(), tmp_path)
    refuse_unfit_models([artifact])
    refuse_unfit_models([artifact])
