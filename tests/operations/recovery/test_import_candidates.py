"""Which existing resources may be those that a preview would create, without an engine and without a cloud."""

from __future__ import annotations

import pytest

from operations.recovery.discovered_resource import DiscoveredResource
from operations.recovery.import_candidates import import_candidates
from tests.operations.recovery.previews import (
    BUCKET,
    EXISTING_LAKE,
    LAKE,
    POLICY,
    PROVIDER,
    TAGS,
    UNKNOWN,
    deployment,
    missing,
)


def test_a_candidate_has_the_discovered_name_and_only_known_inputs() -> None:
    secret = missing(
        BUCKET, "fixed", inputs={"bucket": "fixed", "a": {"b": "[secret]"}, "c": [UNKNOWN]}
    )
    (lake, fixed) = import_candidates([LAKE, secret], [EXISTING_LAKE], deployment())
    assert (lake["id"], lake["inputs"]) == (
        "lake-1234567",
        {"bucket": "lake-1234567", "tags": TAGS},
    )
    assert lake["provider"] == f"{PROVIDER}::1"
    assert fixed["inputs"] == {"bucket": "fixed"}


def test_a_resource_waits_while_its_inputs_have_an_invented_name() -> None:
    policy = missing(POLICY, "p", inputs={"bucket": "lake-0000001"})
    candidates = import_candidates([LAKE, policy], [EXISTING_LAKE], deployment())
    assert [each["type"] for each in candidates] == [BUCKET]
    known = missing(POLICY, "p", inputs={"bucket": "lake-1234567"})
    candidates = import_candidates([known], [EXISTING_LAKE], deployment())
    assert [each["id"] for each in candidates] == ["lake-1234567"]


def test_a_resource_that_does_not_exist_is_no_candidate() -> None:
    assert import_candidates([LAKE], [], deployment()) == []


def test_a_resource_that_the_state_has_already_is_no_candidate() -> None:
    managed = {**LAKE, "id": "lake-1234567", "inputs": {"bucket": "lake-1234567"}}
    state = deployment({**managed, "urn": "another"})
    assert import_candidates([LAKE], [EXISTING_LAKE], state) == []


def test_several_matches_are_all_named_and_none_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [EXISTING_LAKE, DiscoveredResource(BUCKET, "lake-7654321")]
    monkeypatch.delenv("ALLOW", raising=False)
    with pytest.raises(SystemExit, match=r"Refused: 2 .*lake-1234567, lake-7654321.*ALLOW=lake-1"):
        import_candidates([LAKE], two, deployment())
    monkeypatch.setenv("ALLOW", "lake-7654321")
    assert [each["id"] for each in import_candidates([LAKE], two, deployment())] == ["lake-7654321"]


def test_a_dynamic_resource_is_a_candidate_once_all_its_inputs_are_known() -> None:
    type_ = "pulumi-python:dynamic/triplane:AwsBuiltImage"
    inputs = {"repository": "r", "tag": "t", "project": UNKNOWN, "__provider": "x"}
    assert import_candidates([missing(type_, "i", inputs=inputs)], [], deployment()) == []
    complete = {**inputs, "project": "p"}
    (found,) = import_candidates([missing(type_, "i", inputs=complete)], [], deployment())
    assert (found["id"], found["inputs"]) == ("r:t", complete)
