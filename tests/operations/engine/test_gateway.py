"""How long a prediction is waited for: a cold start, and permissions that are not in force yet."""

from __future__ import annotations

import io
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from types import SimpleNamespace

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


def test_the_wait_is_that_of_the_components() -> None:
    assert gateway.PERMITTED_SECONDS == dynamic.LONGEST_GRANT_SECONDS
