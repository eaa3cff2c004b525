"""A delivery goes on while its gates pass, and leaves production unchanged when one fails."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.made_artifacts import archive
from config.model_contract import version_of, version_text
from config.model_store import Artifact
from config.stack_file import StackFile
from config.validation import config_of_file
from operations.commands import preparation, update
from operations.delivery import drift, evidence, gates, merge, release, rollout, tested_versions
from operations.delivery.gates import GateFailed
from operations.delivery.load_gate import Load
from operations.delivery.stage_stack import stage_stack
from operations.engine import gateway, rehearsed_stack
from operations.engine.chosen_stack import shell_stack
from operations.engine.shell_stack import ShellStack
from operations.engine.stack import Stack
from operations.recovery import copy_search, failed_endpoints, interrupted_run

GOOD_LOAD = Load(
    requests=1000, failures=10, requests_per_second=9, p50_ms=5, p95_ms=100, p99_ms=200
)
TESTED = "a" * 64
OTHER_WORD = f"flight-delay={TESTED}"
MODEL, CONTRACT = b"not a model, but a file with a known hash", b"{}"
SERVES = version_of(version_text(CONTRACT, MODEL))
WORD = f"flight-delay={SERVES}"
"""The tested versions, as one release hands them to the next."""
PREPARE = preparation.prepare


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_a_stage_has_the_settings_of_dev_with_its_own_name_and_identity(
    cloud: str, model_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsed_stack, "SCRATCH", tmp_path)
    stack = stage_stack("staging", cloud, repository="acme/triplane", environment="staging")
    assert stack.name == f"staging-{cloud}"
    config = config_of_file(StackFile.read(stack.file), store=model_store)
    assert (config.cloud, config.environment) == (cloud, "staging")
    assert config.delivery.repository == "acme/triplane"
    dev = StackFile.read(rehearsed_stack.SETTINGS).settings
    settings = StackFile.read(stack.file).settings
    assert {key for key in settings if settings[key] != dev.get(key)} <= {
        "triplane:cloud",
        "triplane:environment",
        "triplane:delivery",
    }


class FakeDeliveries:
    """Deliveries whose stacks are only names; records what is done to which stack, in order."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, load: Load = GOOD_LOAD
    ) -> None:
        self.done: list[str] = []
        self.load = load
        self.serves = {"staging-aws": TESTED, "production-aws": TESTED}
        self.key = "Zx3f-QmD_9aP7vLk2"
        monkeypatch.setattr(rehearsed_stack, "SCRATCH", folder / "stacks")
        monkeypatch.setattr(evidence, "DELIVERY_FOLDER", folder)
        monkeypatch.setattr(evidence, "secrets_of", lambda stack: self.secrets_of(stack))
        monkeypatch.setattr(gates, "policy_report", lambda cloud: "0 violations")
        monkeypatch.setattr(rollout, "preview_steps", lambda stack: [])
        monkeypatch.setattr(rollout, "measure", lambda stack, gate: self.load)
        monkeypatch.setattr(
            merge, "last_update", lambda stack: f"{self.done.count(stack.name)} updates"
        )
        monkeypatch.setattr(preparation, "prepare", lambda stack: None)
        monkeypatch.setattr(
            preparation, "read_settings", lambda stack: SimpleNamespace(cloud="aws")
        )
        monkeypatch.setattr(update, "bring_up", lambda stack: self.done.append(stack.name))
        monkeypatch.setattr(gateway, "print_predictions", lambda stack, outputs: outputs)
        monkeypatch.setattr(gates, "await_gateway", lambda stack, outputs: None)
        monkeypatch.setattr(
            Stack,
            "outputs",
            lambda stack: {"models": {"flight-delay": {"version": self.serves[stack.name]}}},
        )

    def secrets_of(self, stack: Stack) -> set[str]:
        """The key of its gateway, once an update has made it."""
        return {self.key} if stack.name in self.done else set()

    def merge(self, **changes: Any) -> dict[str, Any]:
        """Deliver a merge; returns its evidence, and records whether it exited as failed."""
        try:
            merge.deliver_merge("aws", **{"tests": "none", **changes})
        except SystemExit:
            self.done.append("stopped")
        (file,) = evidence.DELIVERY_FOLDER.glob("merge-aws.json")
        written: dict[str, Any] = json.loads(file.read_text())
        return written

    def release(self, name: str, **changes: Any) -> dict[str, Any]:
        """Release one stack; returns its evidence, and records whether it exited as failed."""
        try:
            release.release_stack(shell_stack("", name), **changes)
        except SystemExit:
            self.done.append("stopped")
        file = evidence.DELIVERY_FOLDER / f"release-{name}.json"
        written: dict[str, Any] = json.loads(file.read_text())
        return written


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeDeliveries:
    """Two stacks as CI has them, and a model store with one version, which the settings select."""
    deliveries = FakeDeliveries(monkeypatch, tmp_path)
    directory = tmp_path / "models" / "flight-delay" / SERVES
    directory.mkdir(parents=True)
    (directory / "model.onnx").write_bytes(MODEL)
    (directory / "contract.json").write_bytes(CONTRACT)
    (directory / "version.txt").write_text(version_text(CONTRACT, MODEL))
    files = {"contract.json": CONTRACT, "model.onnx": MODEL}
    (directory / "model.tar.gz").write_bytes(archive(files))
    artifact = Artifact(name="flight-delay", version=SERVES, directory=directory)
    deliveries.serves = dict.fromkeys(("staging", "trial", "production"), SERVES)
    monkeypatch.setattr(release, "STORE", tmp_path / "models")
    monkeypatch.setattr(preparation, "ensure_models", lambda _: None)
    monkeypatch.setattr(preparation, "refuse_models", lambda _: None)
    environments = {"trial": "staging", "staging": "stage"}
    monkeypatch.setattr(
        preparation,
        "read_settings",
        lambda stack: SimpleNamespace(
            artifacts=[artifact], cloud="aws", environment=environments.get(stack.name, "prod")
        ),
    )
    monkeypatch.setattr(preparation, "prepare", PREPARE)
    monkeypatch.setattr(
        interrupted_run,
        "recover",
        lambda stack, config: deliveries.done.append(f"recover {stack.name}"),
    )
    monkeypatch.setattr(failed_endpoints, "delete_failed_endpoints", lambda stack, config: None)
    named = classmethod(lambda cls, name: cls(name, tmp_path / f"Pulumi.{name}.yaml"))
    monkeypatch.setattr(ShellStack, "named", named)
    monkeypatch.setattr(ShellStack, "start", lambda _: None)
    # What a command sets for the clouds' clients is gone after the test.
    monkeypatch.setattr(ShellStack, "environment", {})
    for answer, value in {
        "state_problem": None,
        "written": None,
        "missing": None,
        "exists": True,
        "is_empty": False,
        "recorded_state": {},
    }.items():
        monkeypatch.setattr(ShellStack, answer, lambda _, value=value: value)
    return deliveries


def test_staging_comes_before_production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deliveries = FakeDeliveries(monkeypatch, tmp_path)
    found = deliveries.merge()
    assert deliveries.done == ["staging-aws", "production-aws"]
    assert found["outcome"] == "delivered"
    assert found["production"] == "0 updates; now 1 updates"
    assert len(found["commit"].split()[0]) == 40
    assert [each["step"] for each in found["steps"]] == [
        "policies",
        "preview staging-aws",
        "up staging-aws",
        "smoke test staging-aws",
        "load test staging-aws",
        "preview production-aws",
        "up production-aws",
        "smoke test production-aws",
    ]
    assert "| load test staging-aws |" in (tmp_path / "merge-aws.md").read_text()


def test_a_load_above_the_limit_in_staging_leaves_production_unchanged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deliveries = FakeDeliveries(monkeypatch, tmp_path)
    found = deliveries.merge(p95_ms=1.0)
    assert deliveries.done == ["staging-aws", "stopped"]
    assert found["outcome"].startswith("stopped: load test: 95 % of requests took up to 100 ms")
    assert found["production"] == "0 updates, unchanged"
    assert "load test" in found["steps"][-1]["failed"]


@pytest.mark.parametrize("failure", [GateFailed, SystemExit])
def test_a_failed_delivery_shows_no_secret_of_the_stack_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    failure: type[BaseException],
) -> None:
    """CI uploads its evidence and keeps its log, and whoever may read the repository may read both."""
    deliveries = FakeDeliveries(monkeypatch, tmp_path)
    passphrase, unknown = 'of "two" | words', "sv=2026&sig=OpaqueEF%2B12"
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", passphrase)

    def refused(stack: Stack, outputs: dict[str, Any]) -> None:
        raise failure(f"503: key {deliveries.key} of [{passphrase}] from https://a/b?{unknown}")

    monkeypatch.setattr(gates, "await_gateway", refused)
    with pytest.raises(SystemExit) as left:
        merge.deliver_merge("aws", tests="none")
    assert deliveries.done == ["staging-aws"]
    texts = {file: (tmp_path / file).read_text() for file in ("merge-aws.json", "merge-aws.md")}
    assert all("smoke test staging-aws" in text for text in texts.values())
    texts["the job's log"] = capsys.readouterr().out + str(left.value.code)
    for place, text in texts.items():
        assert "[secret]" in text
        for secret in (deliveries.key, "two", "words", "OpaqueEF"):
            assert secret not in text, place


def test_a_preview_and_a_drift_report_are_written_without_the_secrets_of_the_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deliveries = FakeDeliveries(monkeypatch, tmp_path)
    stack: Any = SimpleNamespace(name="prod", cli=SimpleNamespace(refresh_steps=list))
    deliveries.done.append("prod")
    said = f"the engine warns of {deliveries.key}"
    monkeypatch.setattr(rollout.comment, "render", lambda *_: said)
    rollout.write_preview(stack, [], "Preview")
    assert (tmp_path / "preview-prod.md").read_text() == "the engine warns of [secret]"
    monkeypatch.setattr(preparation, "read_ready", lambda _: None)
    monkeypatch.setattr(preparation, "refuse_missing", lambda _: None)
    monkeypatch.setattr(drift.account, "account_refusals", lambda *_: [])
    monkeypatch.setattr(drift.previews, "drift", lambda _: {"urn::lake": [deliveries.key]})
    with pytest.raises(SystemExit, match="1"):
        drift.report_drift(stack)
    assert "- `lake`: [secret]" in (tmp_path / "drift-prod.md").read_text()


def test_a_violated_policy_stops_the_delivery_before_staging(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deliveries = FakeDeliveries(monkeypatch, tmp_path)

    def violated(cloud: str) -> str:
        raise GateFailed("policies: a public bucket")

    monkeypatch.setattr(gates, "policy_report", violated)
    assert "public bucket" in deliveries.merge()["outcome"]
    assert deliveries.done == ["stopped"]


def test_failing_tests_stop_the_delivery_before_staging(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deliveries = FakeDeliveries(monkeypatch, tmp_path)
    monkeypatch.setitem(gates.TESTS, "fast", ["python3", "-c", "raise SystemExit(3)"])
    assert "exited with 3" in deliveries.merge(tests="fast")["outcome"]
    assert deliveries.done == ["stopped"]


def test_a_delivery_fails_if_production_serves_another_model_than_was_tested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deliveries = FakeDeliveries(monkeypatch, tmp_path)
    deliveries.serves["production-aws"] = "b" * 64
    assert "flight-delay is bbbbbbbbbbbb, not aaaaaaaaaaaa" in deliveries.merge()["outcome"]


def test_production_gets_the_model_version_that_staging_tested(stages: FakeDeliveries) -> None:
    assert stages.release("staging")["outcome"] == "delivered"
    version = release.tested_version_file().read_text().strip()
    assert version == WORD
    found = stages.release("production", version=version)
    assert found["outcome"] == "delivered"
    assert found["steps"][0]["tested"] == {"flight-delay": SERVES}
    assert stages.done == ["recover staging", "staging", "recover production", "production"]


def test_a_version_that_fails_the_load_gate_is_not_recorded_as_tested(
    stages: FakeDeliveries,
) -> None:
    release.tested_version_file().write_text("of an earlier release\n")
    assert stages.release("staging", p95_ms=1.0)["outcome"].startswith("stopped: load test")
    assert not release.tested_version_file().exists()


@pytest.mark.parametrize("name", ["production", "prod", "staging-2", "stagings"])
def test_every_stack_but_staging_needs_a_tested_version(stages: FakeDeliveries, name: str) -> None:
    with pytest.raises(SystemExit, match=f"STACK={name} needs VERSION=….* models/tested"):
        release.release_stack(shell_stack("", name), "")
    assert stages.done == []


@pytest.mark.parametrize("name", ["staging", "trial"])
def test_staging_is_named_so_or_has_that_environment(stages: FakeDeliveries, name: str) -> None:
    assert stages.release(name)["outcome"] == "delivered"
    assert release.tested_version_file().read_text().strip() == WORD


def test_a_release_of_a_stack_that_does_not_exist_has_the_ways_out(
    stages: FakeDeliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShellStack, "exists", lambda _: False)
    monkeypatch.setattr(ShellStack, "missing", lambda _: "There is no stack staging. make adopt")
    assert "There is no stack staging. make adopt" in stages.release("staging")["outcome"]
    assert stages.done == ["stopped"]


def test_a_release_builds_no_second_platform_beside_one_whose_state_is_lost(
    stages: FakeDeliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShellStack, "is_empty", lambda _: True)
    monkeypatch.setattr(
        copy_search, "reasons_not_to_create", lambda *_: ["s3://lake belongs to staging"]
    )
    assert "s3://lake belongs to staging" in stages.release("staging")["outcome"]
    assert stages.done == ["stopped"]


def test_a_release_with_a_clock_behind_the_state_is_refused(
    stages: FakeDeliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShellStack, "written", lambda _: datetime(2999, 1, 1, tzinfo=UTC))
    assert "this machine's clock" in stages.release("staging")["outcome"]
    assert stages.done == ["stopped"]


def test_production_is_unchanged_if_another_version_than_was_tested_would_serve(
    stages: FakeDeliveries,
) -> None:
    found = stages.release("production", version=OTHER_WORD)
    assert stages.done == ["stopped"]
    assert (
        f"other models than were tested: flight-delay is {SERVES[:12]}, not {TESTED[:12]}"
        in found["outcome"]
    )


def test_production_is_unchanged_if_the_version_has_other_bytes(
    stages: FakeDeliveries, tmp_path: Path
) -> None:
    (tmp_path / "models" / "flight-delay" / SERVES / "model.onnx").write_bytes(b"another")
    found = stages.release("production", version=WORD)
    assert stages.done == ["stopped"]
    assert version_of(version_text(CONTRACT, b"another")) in found["outcome"]
    assert f"{SERVES} was tested. A file was changed after training" in found["outcome"]


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("version.txt", "version.txt is not the text of this version"),
        ("model.tar.gz", "model.tar.gz does not hold contract.json and model.onnx alone"),
    ],
)
def test_production_is_unchanged_if_a_file_beside_the_model_has_other_bytes(
    stages: FakeDeliveries, tmp_path: Path, file: str, reason: str
) -> None:
    (tmp_path / "models" / "flight-delay" / SERVES / file).write_bytes(b"another")
    found = stages.release("production", version=WORD)
    assert stages.done == ["stopped"]
    assert reason in found["outcome"]


def test_production_is_unchanged_if_a_file_of_the_model_is_missing(
    stages: FakeDeliveries, tmp_path: Path
) -> None:
    (tmp_path / "models" / "flight-delay" / SERVES / "model.onnx").unlink()
    found = stages.release("production", version=WORD)
    assert stages.done == ["stopped"]
    assert "model.onnx cannot be read (No such file or directory)" in found["outcome"]


def test_a_release_that_serves_another_version_than_was_tested_fails(
    stages: FakeDeliveries,
) -> None:
    stages.serves["production"] = TESTED
    found = stages.release("production", version=WORD)
    assert f"flight-delay is {TESTED[:12]}, not {SERVES[:12]}" in found["outcome"]


@pytest.mark.parametrize(
    "word",
    [
        *("abc", SERVES, "flight-delay", f"flight-delay={SERVES[:12]}", f"Flight={SERVES}"),
        *(f"{WORD},", f"{WORD},{WORD}", f"{WORD} {WORD}", "$(id)", f"a/../b={SERVES}"),
    ],
)
def test_a_word_that_is_no_list_of_versions_is_refused(stages: FakeDeliveries, word: str) -> None:
    with pytest.raises(
        SystemExit, match=r"VERSION=.*is not the version of a model.*\.models/tested"
    ):
        release.release_stack(shell_stack("", "production"), word)
    assert stages.done == []


def test_the_word_of_the_tested_versions_is_read_as_it_is_written() -> None:
    versions = {"flight-delay": "a" * 64, "digits": "0" * 64}
    word = tested_versions.text(versions)
    assert word == f"digits={'0' * 64},flight-delay={'a' * 64}"
    assert tested_versions.parse(f"{word}\n") == versions


def test_recovery_follows_a_failed_update_while_its_event_log_exists(
    stages: FakeDeliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(stack: Stack) -> None:
        stages.done.append(stack.name)
        raise SystemExit(255)

    monkeypatch.setattr(update, "bring_up", failing)
    assert stages.release("staging")["outcome"] == "failed: 255"
    assert stages.done == ["recover staging", "staging", "recover staging", "stopped"]


def test_a_state_with_foreign_code_is_not_released(
    stages: FakeDeliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ShellStack, "state_problem", lambda _: "the state has a provider of its own"
    )
    with pytest.raises(SystemExit, match="a provider of its own"):
        release.release_stack(shell_stack("", "staging"))
    assert stages.done == []
