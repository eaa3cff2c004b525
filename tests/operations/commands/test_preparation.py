"""Which models a command trains before it acts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config import model_store
from operations.commands import preparation


@pytest.mark.parametrize(
    ("models", "trained"),
    [
        ("{one: champion, two: }", ["one", "two"]),
        ("{one: abcdabcd, two: {endpoint: own}}", ["two"]),
        ("{one: champion, kept: champion}", ["one"]),
        ("{one: champion, empty: champion}", []),
        ("{one: champion, absent: champion}", []),
        ("{one: champion, two: {endpont: own}}", []),
    ],
)
def test_nothing_is_trained_while_a_model_is_wrong(
    models: str, trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "empty"):
        (tmp_path / "models" / name).mkdir(parents=True)
    for name in ("one", "two"):
        (tmp_path / "models" / name / "model.toml").touch()
    (tmp_path / "store" / "kept").mkdir(parents=True)
    (tmp_path / "store" / "kept" / "champion").touch()
    monkeypatch.setattr(model_store, "MODELS", tmp_path / "models")
    monkeypatch.setattr(preparation, "STORE", tmp_path / "store")
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(
        f"config: {{triplane:cloud: aws, aws:region: eu-west-1, triplane:models: {models}}}\n"
    )
    stack: Any = SimpleNamespace(file=file, edited=file)
    assert preparation.models_without_champion(stack) == trained
