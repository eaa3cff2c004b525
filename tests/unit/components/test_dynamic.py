"""What all dynamic providers share: waiting for a grant that is not in force yet."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from components import dynamic
from components.aws.dynamic.built_image import BuiltImageProvider as AwsImage
from components.built_image import BuildFailed, ImageProvider
from components.dynamic import Props, once_granted
from components.gcp.dynamic.built_image import BuiltImageProvider as GoogleImage
from operations.engine.installation import HOME
from rehearsal.core.behaviour import GRANT_DELAYS


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(dynamic, "time", clock)
    return clock


def test_work_that_is_denied_is_done_again_until_it_is_allowed(clock: Clock) -> None:
    def work() -> str:
        if clock.now < 200:
            raise PermissionError
        return "done"

    assert once_granted(work, denied=lambda error: isinstance(error, PermissionError)) == "done"
    assert clock.pauses[0] == 1, "the first attempts follow each other quickly"
    assert max(clock.pauses) == dynamic.GRANT_PAUSE
    assert 200 <= clock.now < 200 + dynamic.GRANT_PAUSE


def test_a_grant_that_never_comes_ends_with_the_clouds_own_refusal(clock: Clock) -> None:
    def work() -> None:
        raise PermissionError("not authorized to perform: s3:GetObject")

    with pytest.raises(PermissionError, match="s3:GetObject"):
        once_granted(work, denied=lambda error: True)
    assert (
        dynamic.LONGEST_GRANT_SECONDS - dynamic.GRANT_PAUSE
        <= clock.now
        <= dynamic.LONGEST_GRANT_SECONDS
    )


def test_any_other_failure_is_raised_at_once(clock: Clock) -> None:
    def work() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        once_granted(work, denied=lambda error: isinstance(error, PermissionError))
    assert clock.pauses == []


def test_the_wait_is_as_long_as_the_latest_grant_of_any_cloud() -> None:
    assert max(GRANT_DELAYS.values()) <= dynamic.LONGEST_GRANT_SECONDS


@pytest.mark.parametrize("provider", [AwsImage, GoogleImage])
def test_only_a_build_that_was_denied_something_is_started_again(
    provider: type[ImageProvider], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [BuildFailed("denied", denied=True), BuildFailed("exit status 1")]

    def build(_self: ImageProvider, _props: Props) -> str:
        raise failures.pop(0)

    monkeypatch.setattr(provider, "digest", lambda *_: None)
    monkeypatch.setattr(provider, "build", build)
    with pytest.raises(BuildFailed, match="exit status 1"):
        provider().create({"repository": "r", "tag": "t"})
    assert failures == []


def test_a_provider_process_ends_when_its_engine_was_killed() -> None:
    """Pulumi's own main function waits for an interrupt, which a killed engine sends to nobody."""
    code = "import sys, time; from components.random_key import RandomKeyProvider as P; P().configure(None); time.sleep(60)"
    with socket.create_server(("127.0.0.1", 0)) as engine:
        address = f"127.0.0.1:{engine.getsockname()[1]}"
        process = subprocess.Popen([sys.executable, "-c", code, address], cwd=HOME)
        connection, _ = engine.accept()
        connection.close()  # as gRPC does with one that asks nothing
        connection, _ = engine.accept()
    try:
        assert process.poll() is None, "it has ended although its engine listened"
        connection.close()
        assert process.wait(20) == 0
    finally:
        process.kill()
