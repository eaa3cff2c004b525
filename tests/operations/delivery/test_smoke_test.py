"""The smoke test judges what answers, not what the stack's outputs say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from components import build_context
from operations.delivery import gates
from operations.engine import gateway
from operations.engine.installation import HOME

OLD, NEW = "0" * 64, "1" * 64
CODE = build_context.content_hash(HOME / "lambda" / "gateway")


@pytest.fixture
def smoke_test(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function: the smoke test of a stack whose gateway answers with these codes, and then these models."""
    monkeypatch.setattr(gates, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(gates, "SERVE_SECONDS", 0.2)

    def run(codes: list[str | None], models: list[str], version: str | None = None) -> Any:
        outputs = {"gateway_url": "https://gateway", "models": {"flight-delay": {"version": NEW}}}

        def next_of(values: list[Any]) -> Any:
            return values.pop(0) if len(values) > 1 else values[0]

        monkeypatch.setattr(gateway, "code_version", lambda *_: next_of(codes))
        answers = lambda *_: {"flight-delay": {"model_version": next_of(models)}}  # noqa: E731
        monkeypatch.setattr(gateway, "predictions", answers)
        monkeypatch.setattr(gateway, "print_predictions", answers)
        stack = SimpleNamespace(name="staging", outputs=lambda: outputs)
        return gates.smoke_test(stack, version and {"flight-delay": version})  # type: ignore[arg-type]

    return run


def test_it_waits_until_the_new_code_and_then_the_new_model_answer(smoke_test: Any) -> None:
    codes = [None, "0ld", CODE]
    assert smoke_test(codes, [OLD, NEW])["models"] == {"flight-delay": {"version": NEW}}
    assert codes == [CODE]


def test_a_gateway_that_stays_on_the_old_code_fails_the_gate(smoke_test: Any) -> None:
    with pytest.raises(gates.GateFailed, match=rf"0ld.*{CODE}"):
        smoke_test(["0ld"], [NEW])


def test_a_live_answer_of_another_model_fails_the_gate_whatever_the_outputs_say(
    smoke_test: Any,
) -> None:
    with pytest.raises(
        gates.GateFailed, match=r"answers otherwise .*flight-delay is 0{12}, not 1{12}"
    ):
        smoke_test([CODE], [OLD])


def test_another_version_than_the_tested_one_fails_the_gate(smoke_test: Any) -> None:
    with pytest.raises(
        gates.GateFailed, match=r"does not serve what was tested: flight-delay is 1{12}, not 0{12}"
    ):
        smoke_test([CODE], [NEW], version=OLD)
