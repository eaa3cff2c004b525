"""What all dynamic providers share: waiting for a grant that is not in force yet."""

from __future__ import annotations

import base64
import pickle
import socket
import subprocess
import sys
from typing import Any

import pytest

from components import dynamic
from components.aws.dynamic import built_image as aws_image
from components.aws.dynamic.built_image import BuiltImageProvider as AwsImage
from components.azure import arm
from components.azure.dynamic import built_image as azure_image
from components.built_image import BuildFailed, ImageProvider
from components.dynamic import Props, once_granted
from components.gcp import rest
from components.gcp.dynamic import built_image as google_image
from components.gcp.dynamic.built_image import BuiltImageProvider as GoogleImage
from components.stored_providers import STORED_FORMS
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


PROVIDER = "import sys, time; from components.random_key import RandomKeyProvider as P; P().configure(None); time.sleep(60)"


def test_a_provider_process_ends_when_its_engine_was_killed() -> None:
    """Pulumi's own main function waits for an interrupt, which a killed engine sends to nobody."""
    with socket.create_server(("127.0.0.1", 0)) as engine:
        engine.settimeout(30)
        address = f"127.0.0.1:{engine.getsockname()[1]}"
        process = subprocess.Popen([sys.executable, "-c", PROVIDER, address], cwd=HOME)
        connection, _ = engine.accept()
        connection.close()  # as gRPC does with one that asks nothing
        connection, _ = engine.accept()
    try:
        assert process.poll() is None, "it has ended although its engine listened"
        connection.close()
        assert process.wait(20) == 0
    finally:
        process.kill()


@pytest.mark.parametrize("arguments", [["ADDRESS"], ["no address"], []])
def test_a_provider_process_ends_with_who_read_its_output_whoever_listens_now(
    arguments: list[str],
) -> None:
    """The engine reads a plugin's output, and another program may have taken the port of one that was killed."""
    with socket.create_server(("127.0.0.1", 0)) as another:
        address = f"127.0.0.1:{another.getsockname()[1]}"
        given = [each.replace("ADDRESS", address) for each in arguments]
        process = subprocess.Popen(
            [sys.executable, "-c", PROVIDER, *given], cwd=HOME, stdout=subprocess.PIPE
        )
        try:
            assert process.stdout
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
            process.stdout.close()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


REPLACED = {
    "components.aws.dynamic.built_image": ["repository", "tag"],
    "components.aws.dynamic.scaling_deregistration": ["endpoint", "region", "variant"],
    "components.aws.dynamic.served_model": ["endpoint"],
    "components.azure.dynamic.app_settings": ["app"],
    "components.azure.dynamic.blob_folder": ["account_url", "container", "prefix"],
    "components.azure.dynamic.built_image": ["registry", "repository", "tag"],
    "components.azure.dynamic.endpoint_traffic": ["endpoint_id"],
    "components.azure.dynamic.grants_in_force": ["principal"],
    "components.gcp.dynamic.built_image": ["project", "region", "repository", "tag"],
    "components.gcp.dynamic.vertex_deployment": [
        "endpoint",
        "machine",
        "model",
        "region",
        "service_account",
    ],
    "components.gcp.dynamic.vertex_model": ["artifact_uri", "image", "project", "region"],
    "components.gcp.dynamic.vertex_traffic": ["endpoint", "region"],
    "components.random_key": ["rotation"],
}


def test_only_what_is_another_thing_in_the_cloud_is_replaced() -> None:
    """Everything else is changed in place: a replacement of an endpoint's part is an outage."""
    providers = {type(pickle.loads(base64.b64decode(each))) for each in STORED_FORMS}
    found = {each.__module__: sorted(each.replace_on) for each in providers}
    assert found == REPLACED
    for each in providers:
        olds = dict.fromkeys((*each.replace_on, "other"), "old")
        assert each().diff("id", olds, {**olds, "other": "new"}).replaces == []
        for name in each.replace_on:
            assert each().diff("id", olds, {**olds, name: "new"}).replaces == [name]
        assert not each.serialize_as_secret_always, (
            "a secret would hide the whole entry of the state"
        )


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [
        (aws_image.BUILD_MINUTES * 60, aws_image.WAIT_SECONDS),
        (azure_image.BUILD_SECONDS, azure_image.WAIT_SECONDS),
        (google_image.BUILD_SECONDS, google_image.WAIT_SECONDS),
    ],
)
def test_a_build_has_twenty_minutes_and_is_waited_for_five_more(seconds: int, wait: int) -> None:
    """So the cloud's own reason for the end of a build that takes too long is shown, and not our time-out."""
    assert (seconds, wait) == (20 * 60, 25 * 60)


class Exited(BaseException):
    """The process has ended."""


def test_a_provider_process_asks_again_until_several_times_no_engine_listens(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = socket.socket()
    refused = [ConnectionRefusedError()] * dynamic.REFUSALS
    engines = [*refused[1:], engine, ConnectionResetError(), *refused]
    asked: list[object] = []

    def connect(address: object) -> socket.socket:
        asked.append(address)
        found = engines.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def leave(code: int) -> None:
        raise Exited(code)

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr("os._exit", leave)
    with pytest.raises(Exited, match="0"):
        dynamic._wait_until_refused("127.0.0.1:4000")
    assert asked == [("127.0.0.1", 4000)] * (2 * dynamic.REFUSALS + 1)
    assert sum(clock.pauses[-dynamic.REFUSALS :]) >= 3
    assert engine.fileno() == -1, "closed"


@pytest.mark.parametrize(
    ("session", "connections", "passing"),
    [
        (lambda: rest._session("https://x/projects/p"), None, (429, 500, 502, 503, 504)),
        (arm.session, 3, (408, 429, 500, 502, 503, 504)),
    ],
)
def test_every_request_is_sent_up_to_six_times_more_while_the_service_is_busy(
    session: Any,
    connections: int | None,
    passing: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rest, "_credentials", lambda _project: None)
    for scheme in ("https://x", "http://x"):
        retry = session().get_adapter(scheme).max_retries
        assert (retry.total, retry.connect, retry.backoff_factor) == (6, connections, 0.5)
        assert retry.status_forcelist == passing
        assert retry.allowed_methods is None, "a POST, too"
        assert not retry.raise_on_status, "the last answer has the reason"
