"""How the recovery drill measures and signs off, without a platform."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

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
