"""How the recovery drill measures and signs off, without a platform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from operations.drill import disasters
from operations.drill.disasters import CHANGES_BY_HAND, DISASTERS, other_clouds
from operations.drill.measuring import Baseline, Result, measured
from operations.drill.report import report_facts, report_text

RESULTS = (*DISASTERS, *other_clouds("aws"))
"""A drill has one result of each: the loss of the cloud has one for each other cloud."""


class FakePlatform:
    """A platform after a recovery: what it predicts, holds and reports."""

    def __init__(self, *, captures: Sequence[str] = ("a", "b"), drifted: bool = False) -> None:
        self._captures, self._drifted = captures, drifted

    def predict(self) -> bytes:
        return b"late"

    def captures(self) -> set[str]:
        return set(self._captures)

    def would_change(self) -> bool:
        return False

    def has_drifted(self) -> bool:
        return self._drifted


def recovered(platform: FakePlatform, prediction: bytes = b"late") -> Result:
    result = Result("compute destroyed", "make repair")
    with measured(platform, Baseline(prediction, frozenset("ab")), result):  # type: ignore[arg-type]
        pass
    result.check_no_capture_lost()
    return result


def failed_checks(result: Result) -> list[str]:
    return [name for name, passed in result.checks.items() if not passed]


def test_a_complete_recovery_passes_each_check() -> None:
    assert failed_checks(recovered(FakePlatform())) == []


def test_another_prediction_drift_and_a_lost_capture_fail_a_check_each() -> None:
    assert "identical" in failed_checks(recovered(FakePlatform(), b"on time"))[0]
    assert "drift" in failed_checks(recovered(FakePlatform(drifted=True)))[0]
    lost = recovered(FakePlatform(captures=("a", "new")))
    assert (lost.captures_lost, lost.captures_before) == (1, 2)
    assert failed_checks(lost) == ["no capture lost"]


@pytest.mark.parametrize(
    ("results", "signed_off"),
    [
        ([recovered(FakePlatform()) for _ in RESULTS], True),
        ([recovered(FakePlatform()) for _ in RESULTS[1:]], False),
        ([recovered(FakePlatform()) for _ in DISASTERS], False),
        ([recovered(FakePlatform(drifted=True)) for _ in RESULTS], False),
    ],
    ids=["all passed", "a disaster is missing", "no other cloud", "a check failed"],
)
def test_a_drill_is_signed_off_only_if_each_check_of_each_disaster_passed(
    results: list[Result], signed_off: bool
) -> None:
    facts = report_facts("aws", results, b"late")
    assert facts["signed_off"] is signed_off
    text = report_text(facts, results)
    assert ("NOT signed off" not in text) is signed_off
    assert ("- [ ]" in text) is any(failed_checks(each) for each in results)


def test_two_settings_are_changed_by_hand_on_each_cloud() -> None:
    for changes in CHANGES_BY_HAND.values():
        assert sum(map(len, changes.values())) == 2


@dataclass
class LostPlatform(FakePlatform):
    """A platform whose cloud is lost, and the ones that are restored from its backup."""

    cloud: str = "aws"
    key: str = "key"
    restored_key: str = "key"
    printed: str = "Restored 2 of 2 objects"
    files: list[Path] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    backup: Path = Path("backup")

    def __post_init__(self) -> None:
        super().__init__(captures=("a", "b"))

    @property
    def stack(self) -> SimpleNamespace:
        return SimpleNamespace(outputs=lambda: {"gateway_key": self.key})

    def make(self, target: str, **settings: str) -> str:
        self.made.append(" ".join([target, *(f"{k}={v}" for k, v in sorted(settings.items()))]))
        return self.printed

    def add_captures(self) -> set[str]:
        return {"a", "b", "after the backup"}

    def destroy_resources(self) -> list[str]:
        self.made.append("destroyed")
        return ["lake"]

    def delete_state(self) -> None:
        self.made.append("state deleted")

    def files_with(self, secret: str) -> list[Path]:
        return self.files


def lost(platform: LostPlatform, monkeypatch: pytest.MonkeyPatch) -> list[Result]:
    """The results of the loss of a cloud, on the two others."""

    def successor(cloud: str) -> LostPlatform:
        return LostPlatform(cloud, platform.restored_key, printed=platform.printed)

    monkeypatch.setattr(disasters, "DrillPlatform", successor)
    return list(disasters.cloud_lost(platform, Baseline(b"late", frozenset("ab"))))  # type: ignore[arg-type]


def test_a_lost_cloud_is_recovered_on_each_of_the_others_with_what_was_backed_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platform = LostPlatform()
    results = lost(platform, monkeypatch)
    assert platform.made == ["backup", "destroyed", "state deleted"]
    assert [each.disaster.rpartition(" ")[2] for each in results] == ["gcp", "azure"]
    for each in results:
        assert failed_checks(each) == []
        assert (each.captures_lost, each.captures_before) == (1, 3)
        assert "KEY=keep" in each.way_back


@pytest.mark.parametrize(
    ("platform", "failed"),
    [
        (LostPlatform(restored_key="another"), "callers keep their key"),
        (LostPlatform(printed="the key is key"), "in no file and no output"),
        (LostPlatform(files=[Path("state.json")]), "in no file and no output"),
    ],
    ids=["another key", "a key in the output", "a key in a file"],
)
def test_another_key_or_one_in_clear_fails_a_check(
    platform: LostPlatform, failed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in lost(platform, monkeypatch):
        [check] = failed_checks(each)
        assert failed in check
