"""How long a prediction is waited for: a cold start, and permissions that are not in force yet."""

from __future__ import annotations

import io
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest

from components import dynamic
from operations.engine import gateway

Answers = Callable[[float], bytes]
REQUEST = urllib.request.Request("https://gateway/predict")


def error(status: int, retry_after: str = "") -> urllib.error.HTTPError:
    headers = Message()
    if retry_after:
        headers["retry-after"] = retry_after
    return urllib.error.HTTPError(REQUEST.full_url, status, "", headers, io.BytesIO(b"{}"))


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], float]:
    """Wait for a prediction of a gateway that answers by the seconds that passed; returns how long it took."""

    def wait(answers: Answers) -> float:
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
        monkeypatch.setattr(gateway, "time", clock)
        monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(answers(now[0])))
        gateway._answer_when_ready(REQUEST, ssl.create_default_context())
        return now[0]

    return wait


def test_a_gateway_whose_permissions_are_late_is_waited_for(
    waited: Callable[[Answers], float], capsys: pytest.CaptureFixture[str]
) -> None:
    def answers(now: float) -> bytes:
        if now < 500:
            raise error(503, "5")
        return b"{}"

    assert 500 <= waited(answers) < 501
    assert capsys.readouterr().out.count("permissions may take 10 minutes") == 1


def test_a_gateway_that_does_not_start_is_given_up_after_a_minute(
    waited: Callable[[Answers], float],
) -> None:
    def answers(now: float) -> bytes:
        assert now < gateway.START_SECONDS + 1
        raise error(503) if now < 30 else ConnectionRefusedError("refused")

    with pytest.raises(SystemExit, match="gave no prediction within 60 s: refused"):
        waited(answers)


def test_a_refused_request_is_not_waited_for(waited: Callable[[Answers], float]) -> None:
    def answers(now: float) -> bytes:
        assert now == 0
        raise error(401)

    with pytest.raises(SystemExit, match="refused: 401"):
        waited(answers)


CONTRACT = {
    "binary": {
        "kind": "binary",
        "name": "late",
        "label": "Arrival",
        "yes": "late",
        "no": "on time",
    },
    "multiclass": {
        "kind": "multiclass",
        "name": "digit",
        "label": "Digit",
        "classes": {"3": "three", "8": "eight"},
    },
    "regression": {"kind": "regression", "name": "delay", "label": "Delay", "unit": "minutes"},
    "tensors": {"kind": "tensors"},
}


@pytest.mark.parametrize(
    ("kind", "prediction", "words"),
    [
        (
            "binary",
            {"probability": 0.834, "late": True},
            "Arrival: late, probability of late 0.83",
        ),
        (
            "binary",
            {"probability": 0.1, "late": False},
            "Arrival: on time, probability of late 0.10",
        ),
        ("multiclass", {"digit": "3", "probability": 0.5}, "Digit: three, probability 0.50"),
        ("regression", {"delay": 12.5}, "Delay: 12.5 minutes"),
        ("tensors", {"y": [[1.0, 2.0]]}, "y: [[1.0, 2.0]]"),
        ("tensors", {"y": list(range(99))}, "y: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …"),
    ],
)
def test_an_answer_is_printed_in_the_words_of_its_contract(
    kind: str, prediction: dict[str, Any], words: str
) -> None:
    assert gateway.in_words(CONTRACT[kind], prediction) == words


def test_each_model_of_a_stack_is_asked_about_its_own_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def answers(request: urllib.request.Request, **_: Any) -> io.BytesIO:
        name = request.selector.split("/")[2]
        if request.data is None:
            contract = {
                "name": name,
                "title": name.title(),
                "question": "How late?",
                "example": {"of": name, "picture": "A" * 1000},
                "answer": CONTRACT["regression"],
            }
            return io.BytesIO(json.dumps(contract).encode())
        assert isinstance(request.data, bytes)
        asked.append((request.selector, json.loads(request.data), request.headers["X-api-key"]))
        answer = {"predictions": [{"delay": 3.0}], "model_version": f"{name:0<64}"}
        return io.BytesIO(json.dumps(answer).encode())

    monkeypatch.setattr(urllib.request, "urlopen", answers)
    stack: Any = SimpleNamespace(name="dev", environment={})
    outputs = {
        "gateway_url": "https://gateway",
        "gateway_key": "key",
        "models": {"two": {"version": "2"}, "one": {"version": "1"}},
    }
    found = gateway.print_predictions(stack, outputs)
    assert list(found) == ["one", "two"]
    example = {"instances": [{"of": "two", "picture": "A" * 1000}]}
    assert asked[1] == ("/models/two/predict", example, "key")
    printed = capsys.readouterr().out
    assert "Delay: 3 minutes, from model two two000000000" in printed
    assert max(map(len, printed.splitlines())) < 150, "an image is shown by its beginning"


def test_a_model_that_the_stack_does_not_serve_is_refused_with_those_that_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = {"models": {"two": {"version": "2"}, "one": {"version": "1"}}}
    monkeypatch.setenv("MODEL", "two")
    assert gateway.chosen_models(outputs) == ["two"]
    monkeypatch.setenv("MODEL", "twoo")
    with pytest.raises(
        SystemExit,
        match=r"MODEL=twoo: .* Did you mean two\? It serves: one, two\. Nothing was asked\.",
    ):
        gateway.chosen_models(outputs)


def test_versions_differ_in_what_is_other_missing_or_new() -> None:
    versions = {"a": "1" * 64, "b": "2" * 64}
    assert gateway.different_versions(versions, dict(versions)) == ""
    assert gateway.different_versions({"a": "1" * 64, "b": "3" * 64}, versions) == (
        "b is 333333333333, not 222222222222"
    )
    assert gateway.different_versions({"a": "1" * 64}, versions) == "b is none, not 222222222222"
    assert gateway.different_versions(versions, {"a": "1" * 64}) == "b is 222222222222, not none"


def test_the_wait_is_that_of_the_components() -> None:
    assert gateway.PERMITTED_SECONDS == dynamic.LONGEST_GRANT_SECONDS
