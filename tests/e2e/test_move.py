"""`make move` on the real engine: from cloud to cloud, killed once on its way, and back again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.harness import ROOT, run
from operations.crash.checkout import Checkout, kill
from operations.engine.environment import parse_exports
from tests.e2e import clients


@pytest.fixture
def checkout(
    tmp_path: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Checkout]:
    """A platform on Google Cloud, whose clone has a model as that cloud's lake has it: without AWS's archive."""
    created = Checkout("gcp", tmp_path)
    created.create()
    (tmp_path / ".models").unlink()
    store = tmp_path / ".models/flight-delay"
    version = ROOT / ".models/flight-delay" / models[0]
    shutil.copytree(version, store / models[0], ignore=shutil.ignore_patterns("model.tar.gz"))
    (store / "champion").write_text(models[0])
    created.run("operations", "up", "gcp")
    monkeypatch.setenv("KEY", "keep")
    for name, value in parse_exports(created.run("operations", "env")):
        monkeypatch.setenv(name, value)
    yield created
    created.run("rehearsal", "stop")


def outputs(checkout: Checkout, stack: str) -> dict[str, Any]:
    """The outputs of a stack of the checkout, secrets in plain text."""
    words = ["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", stack]
    environment = dict(parse_exports(checkout.run("operations", "env")))
    return dict(
        json.loads(run(words, {**checkout.environment, **environment}, 60, folder=checkout.folder))
    )


def captures(checkout: Checkout, stack: str) -> set[str]:
    return set(clients.of(outputs(checkout, stack)).objects("captures/"))


def files_with(folder: Path, secret: str) -> list[Path]:
    """The files of Pulumi and of the rehearsal that have a text in clear."""
    parts = (each for part in (".pulumi", ".rehearsal") for each in (folder / part).rglob("*"))
    return [each for each in parts if each.is_file() and secret.encode() in each.read_bytes()]


def moved(checkout: Checkout, source: str, target: str) -> str:
    """What a move prints that has succeeded."""
    printed = checkout.run("operations", "move", source, target)
    assert "gives the same prediction as stack" in printed
    assert "the same, callers keep it" in printed
    return printed


def test_a_platform_moves_to_each_other_cloud_and_back_with_data_key_and_prediction(
    checkout: Checkout,
) -> None:
    before = captures(checkout, "dev-gcp")
    assert before, "the prediction of `make up`"
    with checkout.running("operations", "move", "gcp", "aws") as process:
        deadline = time.monotonic() + 120
        while "aws:lambda:Function" not in checkout.output:
            assert process.poll() is None, checkout.output
            assert time.monotonic() < deadline, checkout.output
            time.sleep(0.05)
        kill(process)
    printed = checkout.output
    printed += moved(checkout, "gcp", "aws")
    printed += moved(checkout, "aws", "azure")
    printed += moved(checkout, "azure", "gcp")

    key = outputs(checkout, "dev-gcp")["gateway_key"]
    assert outputs(checkout, "dev-azure")["gateway_key"] == key
    assert key not in printed
    assert files_with(checkout.folder, key) == []
    assert before <= captures(checkout, "dev") & captures(checkout, "dev-azure")
    assert captures(checkout, "dev-gcp") > before, "the captures of the others came back"
