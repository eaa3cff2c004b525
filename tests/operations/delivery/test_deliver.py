"""A delivery goes on while its gates hold, and leaves production alone when one does not."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from config.model_store import Artifact
from config.stack_file import StackFile
from config.validation import config_of_file
from operations.commands import deploy
from operations.delivery import deliver, evidence
from operations.delivery.evidence import Evidence
from operations.delivery.load_gate import Gate, Load, Stopped, measure
from operations.engine import gateway, preflight
from operations.engine import stack as stack_
from operations.recovery import interrupted_run

GATE = Gate(users=1, seconds=1, errors=0.01, p95_ms=100, pause=0.4, timeout=30)
GOOD = Load(requests=1000, failures=10, requests_per_second=9, p50_ms=5, p95_ms=100, p99_ms=200)
TESTED = "a" * 64
MODEL = b"not a model, but a file with a known hash"
SERVES = hashlib.sha256(MODEL).hexdigest()


def entry(**changes: Any) -> dict[str, Any]:
    """What locust prints of one path."""
    return {
        "num_requests": 100,
        "num_failures": 2,
        "response_times": {"10": 50, "20": 44, "90": 5, "400": 1},
        "start_time": 1000.0,
        "last_request_timestamp": 1010.0,
        **changes,
    }


def test_locusts_histogram_gives_the_percentiles() -> None:
    load = Load.read([entry()])
    assert (load.p50_ms, load.p95_ms, load.p99_ms) == (10, 90, 90)
    assert load.requests_per_second == 10
    assert load.errors == 0.02


def test_a_load_at_the_limit_passes() -> None:
    GATE.judge(GOOD)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"failures": 11}, r"11 of 1000 requests failed \(1.1%\); at most 1.0% may"),
        ({"p95_ms": 101.0}, "95 % of requests took up to 101 ms; at most 100 ms"),
        ({"requests": 0, "failures": 0}, "no request was answered"),
        ({"requests": 1, "failures": 0}, "only 1 requests came to an end; 1 callers in 1 s make 2"),
    ],
)
def test_a_load_beyond_it_says_what_was_measured_and_what_is_allowed(
    changes: dict[str, Any], reason: str
) -> None:
    load = Load(**{**asdict(GOOD), **changes})
    with pytest.raises(Stopped, match=reason):
        GATE.judge(load)


def test_nobody_calling_is_no_pass() -> None:
    with pytest.raises(Stopped, match="no request"):
        GATE.judge(Load.read([]))


def test_thresholds_are_settings_that_a_run_can_change() -> None:
    kept = Gate.chosen({"p95_ms": None})
    assert kept.p95_ms > 1
    assert Gate.chosen({"p95_ms": 1.0}) == Gate(**{**asdict(kept), "p95_ms": 1.0})


def test_a_limit_above_the_time_after_which_a_request_fails_is_refused() -> None:
    with pytest.raises(SystemExit, match="P95_MS=30000: a request fails after 30 s"):
        Gate.chosen({"p95_ms": 30_000.0})


class Hanging(ThreadingHTTPServer):
    """A gateway that answers its first requests, and then never again."""

    daemon_threads = True

    def __init__(self, answers: int) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.left = iter(range(answers))
        self.released = Event()
        Thread(target=self.serve_forever, daemon=True).start()


class Answers(BaseHTTPRequestHandler):
    server: Hanging

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if next(self.server.left, None) is None:
            self.server.released.wait()
            return
        body = b'{"predictions": [{"late": false}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing, in the middle of the tests' own output."""


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    server = Hanging(answers=4)  # by number, not by time: a busy machine is late
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def test_a_gateway_that_hangs_for_good_is_not_let_through(hanging: Hanging) -> None:
    url = f"http://127.0.0.1:{hanging.server_port}"
    of = SimpleNamespace(environment=dict(os.environ), outputs=lambda: {"gateway_url": url})
    gate = Gate(users=2, seconds=2, errors=0.01, p95_ms=1000, pause=0.3, timeout=2)
    load = measure(of, gate)  # type: ignore[arg-type]
    assert load.failures >= 2, f"each caller's last request has failed: {load}"
    with pytest.raises(Stopped, match=r"[2-9] of \d+ requests failed"):
        gate.judge(load)


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_a_stage_has_the_settings_of_dev_with_a_name_and_an_identity_of_its_own(
    cloud: str, model_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "SCRATCH", tmp_path)
    monkeypatch.setattr(stack_, "SCRATCH", tmp_path)
    made = deliver.staged("staging", cloud, repository="acme/triplane", environment="staging")
    assert made.name == f"staging-{cloud}"
    config = config_of_file(StackFile.read(made.file), store=model_store)
    assert (config.cloud, config.environment) == (cloud, "staging")
    assert config.delivery.repository == "acme/triplane"
    dev = StackFile.read(stack_.SETTINGS).settings
    ours = StackFile.read(made.file).settings
    assert {key for key in ours if ours[key] != dev.get(key)} <= {
        "triplane:cloud",
        "triplane:environment",
        "triplane:delivery",
    }


class Played:
    """A merge whose stacks are only names: what was done to which, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, load: Load = GOOD) -> None:
        self.done: list[str] = []
        self.load = load
        self.serves = {"staging-aws": TESTED, "production-aws": TESTED}
        for where in (deliver, stack_):
            monkeypatch.setattr(where, "SCRATCH", folder / "stacks")
        monkeypatch.setattr(deliver, "EVIDENCE", folder)
        monkeypatch.setattr(evidence, "EVIDENCE", folder)
        monkeypatch.setattr(deliver, "policies", lambda cloud: "0 violations")
        monkeypatch.setattr(deliver, "preview", lambda of: [])
        monkeypatch.setattr(deliver, "measure", lambda of, gate: self.load)
        monkeypatch.setattr(deliver, "standing", lambda of: f"{self.done.count(of.name)} updates")
        monkeypatch.setattr(deploy, "prepare", lambda of: None)
        monkeypatch.setattr(deploy, "check", lambda of: argparse.Namespace(cloud="aws"))
        monkeypatch.setattr(deploy, "apply", lambda of: self.done.append(of.name))
        monkeypatch.setattr(gateway, "predict", lambda of, outputs: None)
        monkeypatch.setattr(
            stack_.Stack, "outputs", lambda of: {"model_version": self.serves[of.name]}
        )

    def merge(self, **changes: Any) -> dict[str, Any]:
        """Run it; gives its evidence, and notes whether it left as one that failed."""
        plain = {"cloud": "aws", "tests": "none", "p95_ms": None, "errors": None}
        try:
            deliver.merge(argparse.Namespace(**{**plain, **changes}))
        except SystemExit:
            self.done.append("stopped")
        (kept,) = deliver.EVIDENCE.glob("merge-aws.json")
        kept_evidence: dict[str, Any] = json.loads(kept.read_text())
        return kept_evidence

    def release(self, name: str, **changes: Any) -> dict[str, Any]:
        """Deliver to one stack; gives its evidence, and notes whether it left as one that failed."""
        plain = {"stack": name, "version": "", "p95_ms": None, "errors": None}
        try:
            deliver.release_one(argparse.Namespace(**{**plain, **changes}))
        except SystemExit:
            self.done.append("stopped")
        kept = deliver.EVIDENCE / f"release-{name}.json"
        kept_evidence: dict[str, Any] = json.loads(kept.read_text())
        return kept_evidence


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    """Two stacks as CI has them, and a model store with one version, which the settings would have serve."""
    played = Played(monkeypatch, tmp_path)
    directory = tmp_path / "models" / "flight-delay" / SERVES
    directory.mkdir(parents=True)
    (directory / "model.onnx").write_bytes(MODEL)
    artifact = Artifact(name="flight-delay", version=SERVES, directory=directory)
    played.serves = {"staging": SERVES, "production": SERVES}
    monkeypatch.setattr(deliver, "STORE", tmp_path / "models")
    monkeypatch.setattr(deploy, "train", lambda: None)
    monkeypatch.setattr(deploy, "check", lambda of: SimpleNamespace(artifact=artifact))
    monkeypatch.setattr(
        interrupted_run, "recover", lambda of, config: played.done.append(f"recover {of.name}")
    )
    named = classmethod(lambda cls, name: cls(name, tmp_path / f"Pulumi.{name}.yaml"))
    monkeypatch.setattr(deliver.Standing, "named", named)
    return played


def test_staging_comes_before_production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    played = Played(monkeypatch, tmp_path)
    found = played.merge()
    assert played.done == ["staging-aws", "production-aws"]
    assert found["outcome"] == "delivered"
    assert found["production"] == "0 updates; now 1 updates"
    assert len(found["commit"].split()[0]) == 40
    assert [each["step"] for each in found["steps"]] == [
        "policies",
        "preview staging-aws",
        "up staging-aws",
        "smoke test staging-aws",
        "load gate staging-aws",
        "preview production-aws",
        "up production-aws",
        "smoke test production-aws",
    ]
    assert "| load gate staging-aws |" in (tmp_path / "merge-aws.md").read_text()


def test_a_load_that_is_too_much_for_staging_leaves_production_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    played = Played(monkeypatch, tmp_path)
    found = played.merge(p95_ms=1.0)
    assert played.done == ["staging-aws", "stopped"]
    assert found["outcome"].startswith("stopped: load gate: 95 % of requests took up to 100 ms")
    assert found["production"] == "0 updates, as it was"
    assert "load gate" in found["steps"][-1]["failed"]


def test_a_broken_policy_stops_before_staging(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    played = Played(monkeypatch, tmp_path)

    def broken(cloud: str) -> str:
        raise Stopped("policies: a public bucket")

    monkeypatch.setattr(deliver, "policies", broken)
    assert "public bucket" in played.merge()["outcome"]
    assert played.done == ["stopped"]


def test_failing_tests_stop_before_staging(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    played = Played(monkeypatch, tmp_path)
    monkeypatch.setitem(deliver.TESTS, "fast", ["python3", "-c", "raise SystemExit(3)"])
    assert "left with 3" in played.merge(tests="fast")["outcome"]
    assert played.done == ["stopped"]


def test_production_that_serves_another_model_than_was_tested_is_no_delivery(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    played = Played(monkeypatch, tmp_path)
    played.serves["production-aws"] = "b" * 64
    assert "but aaaaaaaaaaaa was tested" in played.merge()["outcome"]


def test_staging_leaves_the_version_that_it_tested_for_production(stages: Played) -> None:
    assert stages.release("staging")["outcome"] == "delivered"
    version = deliver.tested().read_text().strip()
    assert version == SERVES
    found = stages.release("production", version=version)
    assert found["outcome"] == "delivered"
    assert found["steps"][0]["tested"] == SERVES
    assert stages.done == ["recover staging", "staging", "recover production", "production"]


def test_a_version_that_did_not_stand_the_load_is_not_left_as_tested(stages: Played) -> None:
    deliver.tested().write_text("of an earlier release\n")
    assert stages.release("staging", p95_ms=1.0)["outcome"].startswith("stopped: load gate")
    assert not deliver.tested().exists()


def test_production_without_the_version_that_was_tested_is_refused(stages: Played) -> None:
    with pytest.raises(SystemExit, match=r"STACK=production takes VERSION=….* models/tested"):
        deliver.release_one(argparse.Namespace(stack="production", version=""))
    assert stages.done == []


def test_production_is_not_touched_when_another_version_than_was_tested_would_serve(
    stages: Played,
) -> None:
    found = stages.release("production", version=TESTED)
    assert stages.done == ["stopped"]
    assert f"would have model {SERVES} serve, but {TESTED} was tested" in found["outcome"]


def test_production_is_not_touched_when_the_version_has_other_bytes(
    stages: Played, tmp_path: Path
) -> None:
    (tmp_path / "models" / "flight-delay" / SERVES / "model.onnx").write_bytes(b"another")
    found = stages.release("production", version=SERVES)
    assert stages.done == ["stopped"]
    assert hashlib.sha256(b"another").hexdigest() in found["outcome"]


def test_a_release_that_ends_up_with_another_version_says_so(stages: Played) -> None:
    stages.serves["production"] = TESTED
    found = stages.release("production", version=SERVES)
    assert f"serves model {TESTED[:12]}, but {SERVES[:12]} was tested" in found["outcome"]


def test_an_update_that_fails_is_looked_after_while_its_event_log_is_there(
    stages: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(of: stack_.Stack) -> None:
        stages.done.append(of.name)
        raise SystemExit(255)

    monkeypatch.setattr(deploy, "apply", failing)
    assert stages.release("staging")["outcome"] == "failed: 255"
    assert stages.done == ["recover staging", "staging", "recover staging", "stopped"]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> deliver.Standing:
    """A stack whose backend is a bucket, where a run of long ago has left its lock."""
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(
        "#!/bin/sh\n"
        "echo 'error: the stack is currently locked by 1 lock(s).' >&2\n"
        "echo '  s3://states/x.json: created by ci@gone (pid 7) at 2026-01-01T00:00:00Z' >&2\n"
        "exit 255\n"
    )
    pulumi.chmod(0o755)
    monkeypatch.setattr(
        deliver.environment, "own", lambda: {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    return deliver.Standing("staging", tmp_path / "Pulumi.staging.yaml")


def test_a_lock_in_a_backend_elsewhere_is_told_with_the_way_out_and_left(
    elsewhere: deliver.Standing, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere.unlock()  # nothing that it could see or may take away
    with pytest.raises(SystemExit):
        elsewhere.update("up")
    told = capfd.readouterr().err
    assert told.count("currently locked by 1 lock(s)") == 1
    assert "s3://states/x.json, made" in told
    assert "by process 7 of ci on gone" in told
    assert "pulumi cancel --stack staging" in told


def test_only_the_locks_of_this_clones_own_backend_are_looked_at(
    elsewhere: deliver.Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(preflight, "unlock", lambda locks, name: looked.append(name))
    elsewhere.unlock()
    assert looked == []
    own = f"file://{stack_.HOME}/.pulumi/backend?metadata=skip"
    monkeypatch.setenv("PULUMI_BACKEND_URL", own)
    deliver.Standing("staging", elsewhere.file).unlock()
    assert looked == ["staging"]


def test_a_run_that_is_killed_has_left_its_evidence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evidence, "EVIDENCE", tmp_path)
    record = Evidence("merge-aws", "c" * 40)
    with pytest.raises(KeyboardInterrupt), record.step("up staging-aws"):
        raise KeyboardInterrupt
    kept = json.loads((tmp_path / "merge-aws.json").read_text())
    assert kept["outcome"] == "unfinished"
    assert kept["steps"][0]["failed"] == "KeyboardInterrupt"


@pytest.fixture
def no_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A source without .git, as CodePipeline hands it over."""
    monkeypatch.setattr(evidence, "HOME", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in evidence.TOLD:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", evidence.TOLD)
def test_without_a_checkout_the_service_says_which_commit_it_is(
    no_checkout: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "d" * 40)
    assert evidence.commit() == f"{'d' * 40} by {name}, in no git checkout"


def test_a_delivery_of_no_known_commit_does_not_begin(no_checkout: None) -> None:
    with pytest.raises(SystemExit, match="CODEBUILD_RESOLVED_SOURCE_VERSION and COMMIT_SHA are"):
        evidence.commit()


def test_a_machine_without_git_is_no_traceback(
    no_checkout: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="or there is no git"):
        evidence.commit()


def test_a_stack_without_settings_is_told_where_they_belong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(deliver, "SCRATCH", tmp_path)
    with pytest.raises(SystemExit, match=r"Pulumi\.elsewhere\.yaml"):
        deliver.Standing.named("elsewhere")
