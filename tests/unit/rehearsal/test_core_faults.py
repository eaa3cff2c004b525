"""Faults on demand: they happen where they are set, and as often as they are set."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from rehearsal.aws.provider import PROVIDER
from rehearsal.core import faults
from rehearsal.core.faults import AnswerLost, Fault, Faults, Step
from rehearsal.core.records import Refusal
from rehearsal.core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "s.sqlite", Fernet.generate_key())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "BACKOFF", 0)


def step(set_: Faults, token: str = "aws:sqs/queue:Queue", after: bool = False) -> list[str]:
    reported: list[str] = []
    set_.apply(
        Step(token, "jobs", "create", PROVIDER.errors),
        after=after,
        is_awaited=lambda: False,
        report=lambda fault: reported.append(fault.what),
    )
    return reported


def test_a_throttled_step_succeeds_after_enough_attempts(store: Store) -> None:
    set_ = Faults(store)
    set_.set(Fault("throttle", on="aws:sqs/*", times=3))
    assert step(set_) == ["throttle"] * 3
    assert set_.all() == []


def test_a_step_that_stays_throttled_is_refused_in_the_clouds_words(store: Store) -> None:
    set_ = Faults(store)
    set_.set(Fault("throttle", times=0))
    with pytest.raises(Refusal, match="ThrottlingException: Rate exceeded"):
        step(set_)


def test_expired_credentials_are_refused_at_the_first_attempt(store: Store) -> None:
    """No client tries again with the same credentials."""
    set_ = Faults(store)
    set_.set(Fault("expired", times=2))
    with pytest.raises(Refusal, match="ExpiredToken: The security token"):
        step(set_)
    assert set_.all()[0].times == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("unavailable", on="gcp:*"),
        Fault("unavailable", method="delete"),
        Fault("unavailable", name="other"),
        Fault("unavailable", path="/aws/*"),
        Fault("drop", after=True),
    ],
)
def test_a_fault_for_another_step_does_not_happen(store: Store, fault: Fault) -> None:
    set_ = Faults(store)
    set_.set(fault)
    assert step(set_) == []


def test_a_lost_answer_happens_after_the_step(store: Store) -> None:
    set_ = Faults(store)
    set_.set(Fault("drop", after=True))
    with pytest.raises(AnswerLost):
        step(set_, after=True)


def test_a_used_up_fault_stays_used_up_after_a_restart(store: Store) -> None:
    Faults(store).set(Fault("unavailable", times=2))
    assert Faults(store).take(lambda _: True)
    assert [fault.times for fault in Faults(store).all()] == [1]


def test_a_fault_of_the_data_planes_is_selected_by_path(store: Store) -> None:
    set_ = Faults(store)
    set_.set(Fault("unavailable", path="/aws/*/invocations"))
    assert set_.take_for_path("/gcp/x") is None
    assert set_.take_for_path("/aws/endpoints/e/invocations") is not None
    assert set_.take_for_path("/aws/endpoints/e/invocations") is None


@pytest.mark.parametrize("wrong", [{"what": "explode"}, {"what": "slow", "times": -1}])
def test_a_fault_that_does_not_exist_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"there is no fault|cannot be negative"):
        Fault(**wrong)


def test_a_step_that_hangs_ends_when_nobody_waits_for_it_any_more(store: Store) -> None:
    set_ = Faults(store)
    set_.set(Fault("hang"))
    with pytest.raises(AnswerLost, match="does not wait any more"):
        step(set_)
    assert set_.all() == []


def test_one_fault_is_cleared_by_its_id_and_all_without_one(store: Store) -> None:
    set_ = Faults(store)
    first, second = set_.set(Fault("drop")), set_.set(Fault("slow", seconds=0))
    set_.clear(first)
    assert [each.id for each in set_.all()] == [second]
    set_.clear()
    assert set_.all() == []
