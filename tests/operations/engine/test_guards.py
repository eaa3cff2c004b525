"""The previews that the guards refuse, and those that they let through."""

from __future__ import annotations

import io
import json
import sys
from itertools import permutations
from typing import Any

import pytest

from components.resource_types import PRECIOUS
from operations.__main__ import main
from operations.engine import guards
from operations.engine.previews import Step

PLATFORM = "urn:pulumi:dev::triplane::triplane:index:Platform"


def step(op: str, token: str, name: str, **more: Any) -> Step:
    return {"op": op, "urn": f"{PLATFORM}${token}::{name}", **more}


def foundation(was: str | None, now: str | None) -> Step:
    def state(account: str | None) -> dict[str, Any]:
        inputs = {"account": account} if account else {}
        return {"type": "triplane:aws:Foundation", "inputs": inputs}

    return step("update", "triplane:aws:Foundation", "f", oldState=state(was), newState=state(now))


def test_credentials_of_another_account_are_refused_naming_both() -> None:
    [reason] = guards.preview_account_refusals([foundation("111111111111", "222222222222")])
    assert "created in 111111111111" in reason
    assert "lead to 222222222222" in reason
    assert "Sign in to 111111111111" in reason
    assert "another stack for 222222222222" in reason


@pytest.mark.parametrize(("was", "now"), [("1", "1"), (None, "1"), ("1", None)])
def test_the_same_account_and_a_stack_without_a_recorded_one_pass(
    was: str | None, now: str | None
) -> None:
    assert guards.preview_account_refusals([foundation(was, now)]) == []


def test_a_new_stack_passes() -> None:
    created = foundation("1", "2")
    del created["oldState"]
    assert guards.preview_account_refusals([created]) == []


@pytest.mark.parametrize(
    ("token", "op"),
    [
        (token, op)
        for token, what in PRECIOUS.items()
        for op in ("delete", "replace", "delete-replaced", "create-replacement")
        if what != "endpoint" or op in ("delete", "replace")
    ],
)
def test_precious_resources_are_replaced_or_deleted_only_by_allow(token: str, op: str) -> None:
    steps = [step(op, token, "it", replaceReasons=["location"])]
    [reason] = guards.update_losses(steps, frozenset())
    assert "ALLOW=it" in reason
    assert "location" in reason
    assert guards.update_losses(steps, {"another"})
    assert guards.update_losses(steps, {"it"}) == []
    assert guards.update_losses(steps, {steps[0]["urn"]}) == []


def test_an_import_that_replaces_a_precious_resource_is_refused() -> None:
    [reason] = guards.update_losses(
        [step("import-replacement", "aws:s3/bucket:Bucket", "it")], frozenset()
    )
    assert "replaces the lake it (aws:s3/bucket:Bucket). If that is meant" in reason


def test_a_step_without_reasons_for_its_replacement_is_explained_by_what_differs() -> None:
    steps = [step("replace", "aws:s3/bucket:Bucket", "it", diffReasons=["region", "tags"])]
    [reason] = guards.update_losses(steps, frozenset())
    assert "because of region, tags" in reason


def test_a_replacement_of_three_steps_is_reported_once() -> None:
    token = "aws:s3/bucket:Bucket"
    steps = [
        step("create-replacement", token, "it", replaceReasons=["bucket"]),
        step("replace", token, "it", replaceReasons=["bucket"]),
        step("delete-replaced", token, "it"),
    ]
    for order in permutations(steps):  # one that is deleted first comes the other way round
        [reason] = guards.update_losses(order, frozenset())
        assert "replaces the lake it" in reason
        assert "because of bucket" in reason, "not every step has the reasons"


ENDPOINTS = [token for token, what in PRECIOUS.items() if what == "endpoint"]


@pytest.mark.parametrize("token", ENDPOINTS)
def test_an_endpoint_is_lost_only_if_it_goes_before_its_successor(token: str) -> None:
    created = [step(op, token, "it") for op in ("create-replacement", "replace")]
    deleted = [step("delete-replaced", token, "it")]
    assert guards.update_losses(created + deleted, frozenset()) == []
    assert guards.update_losses(deleted, frozenset()) == [], "the rest of an interrupted update"
    assert guards.update_losses(deleted + created, frozenset())
    assert guards.update_losses([step("delete", token, "it")], frozenset())


def test_what_an_earlier_run_replaced_is_deleted_only_by_allow() -> None:
    """After a run that was killed between the two, all that is left to do is one step for each."""
    left = [step("delete-replaced", "aws:s3/bucket:Bucket", "it")] * 2
    [reason] = guards.update_losses(left, frozenset())
    assert "deletes the former lake" in reason
    assert "ALLOW=it" in reason
    assert guards.update_losses(left, {"it"}) == []


@pytest.mark.parametrize("op", ["discard", "discard-replaced", "remove-pending-replace"])
def test_steps_that_change_only_the_state_pass(op: str) -> None:
    assert guards.update_losses([step(op, "aws:s3/bucket:Bucket", "it")], frozenset()) == []


def test_a_precious_type_with_an_azure_api_version_is_precious() -> None:
    versioned = step("delete", "azure-native:keyvault/v20230701:Vault", "kv")
    assert guards.update_losses([versioned], frozenset())


@pytest.mark.parametrize("op", ["same", "create", "update", "read", "refresh"])
def test_steps_that_lose_nothing_pass(op: str) -> None:
    assert guards.update_losses([step(op, "aws:s3/bucket:Bucket", "lake")], frozenset()) == []


def test_resources_that_are_not_precious_may_be_replaced() -> None:
    assert guards.update_losses([step("replace", "aws:iam/role:Role", "role")], frozenset()) == []


def refreshed(gone: int, existing: int, token: str = "aws:iam/role:Role") -> list[Step]:
    return [step("delete", token, f"gone-{n}") for n in range(gone)] + [
        step("refresh", "aws:iam/role:Role", f"existing-{n}") for n in range(existing)
    ]


@pytest.mark.parametrize(
    ("gone", "existing", "refused"), [(0, 8, False), (2, 6, False), (3, 5, True), (8, 0, True)]
)
def test_a_refresh_may_drop_a_quarter_of_the_stack_and_no_more(
    gone: int, existing: int, refused: bool
) -> None:
    assert bool(guards.refresh_losses(refreshed(gone, existing), frozenset())) is refused
    assert guards.refresh_losses(refreshed(gone, existing), {guards.ALLOW_VANISHED}) == []


def test_a_missing_lake_is_dropped_only_by_allow() -> None:
    steps = refreshed(1, 99, "gcp:storage/bucket:Bucket")
    assert "gone-0" in guards.refresh_losses(steps, frozenset())[0]
    assert guards.refresh_losses(steps, {"gone-0"}) == []


def test_a_refresh_that_misses_a_lake_names_it_and_otherwise_the_first_five() -> None:
    lake = step("delete", "aws:s3/bucket:Bucket", "lake")
    [reason] = guards.refresh_losses([*refreshed(9, 1), lake], frozenset())
    assert "10 of 11 resources gone, among them lake." in reason
    assert "ALLOW=vanished" in reason, "the word of the documentation"
    [reason] = guards.refresh_losses(refreshed(9, 1), frozenset())
    assert "among them gone-0, gone-1, gone-2, gone-3, gone-4." in reason


def test_components_do_not_count_as_existing_resources() -> None:
    parts = [step("refresh", "triplane:aws:Gateway", f"part-{n}") for n in range(50)]
    assert guards.refresh_losses(refreshed(1, 1) + parts, frozenset())


@pytest.mark.parametrize("text", ["a,b", "a b", " a,  b ", "a\nb"])
def test_names_in_allow_are_separated_by_commas_or_spaces(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW", text)
    assert guards.allowed() == {"a", "b"}


@pytest.mark.parametrize("text", [None, "", " "])
def test_without_allow_nothing_is_allowed(
    text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALLOW", raising=False)
    if text is not None:
        monkeypatch.setenv("ALLOW", text)
    assert not any(guards.allowed())


def preview(**more: Any) -> dict[str, Any]:
    """What `pulumi preview --json` prints of a run that changes nothing."""
    same = step("same", "pulumi:pulumi:Stack", "dev")
    return {"steps": [same], "duration": 1, "changeSummary": {"same": 1}, **more}


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """`… | make -s guard`"""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    main(["guard"])


def test_a_successful_preview_with_warnings_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [{"severity": "warning", "message": "deprecated"}]
    piped(monkeypatch, json.dumps(preview(diagnostics=messages)))


def test_a_failed_preview_is_refused_with_its_first_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pipe has lost Pulumi's exit code, and the steps up to the error look harmless."""
    messages = [
        {"severity": "warning", "message": "deprecated"},
        {"severity": "error", "message": "error: 429 Too Many Requests\n"},
        {"severity": "error", "message": "error: preview failed"},
    ]
    for steps in (preview()["steps"], None):
        text = json.dumps(preview(steps=steps, diagnostics=messages))
        with pytest.raises(SystemExit, match="Refused: the preview failed: error: 429 Too Many"):
            piped(monkeypatch, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(preview())[:-9],
        "[]",
        "{}",
        '{"version": 3}',
        json.dumps({"steps": preview()["steps"]}),
        json.dumps(preview()) + "error: preview failed",
    ],
)
def test_an_incomplete_preview_and_other_text_are_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"Refused: .*What an update would do is unknown"):
        piped(monkeypatch, text)


def test_a_preview_that_deletes_the_lake_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLOW", raising=False)
    costly = preview(steps=[step("delete", "aws:s3/bucket:Bucket", "it")])
    with pytest.raises(SystemExit, match="deletes the lake it"):
        piped(monkeypatch, json.dumps(costly))
