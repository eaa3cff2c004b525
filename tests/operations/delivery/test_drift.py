"""`make drift`: in whose account it looks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operations.commands import preparation
from operations.delivery import drift
from operations.engine import account
from tests.operations.engine.test_guards import PLATFORM

CREATED_IN = "111111111111"
FOUNDATION = {
    "urn": f"{PLATFORM}::triplane",
    "type": "triplane:aws:Foundation",
    "inputs": {"account": CREATED_IN},
}
BUCKET = f"{PLATFORM}$aws:s3/bucket:Bucket::lake"


@pytest.fixture
def stack() -> Any:
    """A stack for which a refresh finds the bucket gone."""
    # A refresh does not run the program: components are the same, in whatever account it looks.
    steps = [
        {"op": "same", "urn": FOUNDATION["urn"], "oldState": FOUNDATION, "newState": FOUNDATION},
        {"op": "delete", "urn": BUCKET, "oldState": {"type": "aws:s3/bucket:Bucket"}},
    ]
    return SimpleNamespace(
        name="prod",
        environment={},
        start=lambda: None,
        state_problem=lambda: None,
        missing=lambda: None,
        resources=lambda: [FOUNDATION],
        cli=SimpleNamespace(refresh_steps=lambda: steps),
    )


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The files that `make drift` writes."""
    written: dict[str, str] = {}
    monkeypatch.setattr(preparation, "ensure_models", lambda *_: None)
    config: Any = SimpleNamespace(cloud="aws", region="eu-west-1")
    monkeypatch.setattr(preparation, "read_settings", lambda of: config)
    monkeypatch.setattr(
        drift, "write_text", lambda stack, name, text: written.__setitem__(name, text)
    )
    return written


def test_drift_in_another_account_is_refused_and_nothing_is_called_gone(
    monkeypatch: pytest.MonkeyPatch, stack: Any, reports: dict[str, str]
) -> None:
    monkeypatch.setattr(account, "current_account", lambda *_: "222222222222")
    with pytest.raises(SystemExit, match=f"was created in {CREATED_IN}"):
        drift.report_drift(stack)
    assert reports == {}


def test_drift_in_the_stacks_own_account_is_reported(
    monkeypatch: pytest.MonkeyPatch, stack: Any, reports: dict[str, str]
) -> None:
    monkeypatch.setattr(account, "current_account", lambda *_: CREATED_IN)
    with pytest.raises(SystemExit, match="1"):
        drift.report_drift(stack)
    assert reports == {"drift-prod.md": "# Drift of prod: 1 resources\n\n- `lake`: gone\n"}
