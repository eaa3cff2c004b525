"""What a preview must say for the guards to refuse, and what they let through."""

from __future__ import annotations

import io
import json
import sys
from itertools import permutations
from typing import Any

import pytest

from components.resource_types import PRECIOUS
from operations.engine import guards

PLATFORM = "urn:pulumi:dev::triplane::triplane:index:Platform"


def step(op: str, token: str, name: str, **more: Any) -> guards.Step:
    return {"op": op, "urn": f"{PLATFORM}${token}::{name}", **more}


def foundation(was: str | None, now: str | None) -> guards.Step:
    def state(account: str | None) -> dict[str, Any]:
        inputs = {"account": account} if account else {}
        return {"type": "triplane:aws:Foundation", "inputs": inputs}

    return step("update", "triplane:aws:Foundation", "f", oldState=state(was), newState=state(now))


def test_credentials_of_another_account_are_refused_naming_both() -> None:
    [reason] = guards.account([foundation("111111111111", "222222222222")])
    assert "111111111111" in reason
    assert "222222222222" in reason


@pytest.mark.parametrize(("was", "now"), [("1", "1"), (None, "1"), ("1", None)])
def test_the_same_account_and_a_stack_that_has_none_on_record_pass(
    was: str | None, now: str | None
) -> None:
    assert guards.account([foundation(was, now)]) == []


def test_a_new_stack_passes() -> None:
    created = foundation("1", "2")
    del created["oldState"]
    assert guards.account([created]) == []


@pytest.mark.parametrize("token", PRECIOUS)
@pytest.mark.parametrize("op", ["delete", "replace", "delete-replaced"])
def test_nothing_precious_is_replaced_or_deleted_unless_it_is_named(token: str, op: str) -> None:
    steps = [step(op, token, "it", replaceReasons=["location"])]
    [reason] = guards.losses(steps, frozenset())
    assert "ALLOW=it" in reason
    assert "location" in reason
    assert guards.losses(steps, {"another"})
    assert guards.losses(steps, {"it"}) == []
    assert guards.losses(steps, {steps[0]["urn"]}) == []


def test_one_replacement_is_told_once_though_it_is_three_steps() -> None:
    token = "aws:s3/bucket:Bucket"
    steps = [
        step("create-replacement", token, "it", replaceReasons=["bucket"]),
        step("replace", token, "it", replaceReasons=["bucket"]),
        step("delete-replaced", token, "it"),
    ]
    for order in permutations(steps):  # one that is deleted first comes the other way round
        [reason] = guards.losses(order, frozenset())
        assert "replaces the lake it" in reason
        assert "because of bucket" in reason, "not every step says why"


def test_what_an_earlier_run_replaced_is_not_deleted_unless_it_is_named() -> None:
    """After a run that was killed between the two, all that is left to do is one step for each."""
    left = [step("delete-replaced", "aws:s3/bucket:Bucket", "it")] * 2
    [reason] = guards.losses(left, frozenset())
    assert "deletes the former lake" in reason
    assert "ALLOW=it" in reason
    assert guards.losses(left, {"it"}) == []


@pytest.mark.parametrize("op", ["discard", "discard-replaced", "remove-pending-replace"])
def test_what_leaves_the_state_and_not_the_cloud_passes(op: str) -> None:
    assert guards.losses([step(op, "aws:s3/bucket:Bucket", "it")], frozenset()) == []


def test_a_type_with_azures_api_version_is_as_precious_as_without() -> None:
    versioned = step("delete", "azure-native:keyvault/v20230701:Vault", "kv")
    assert guards.losses([versioned], frozenset())


@pytest.mark.parametrize("op", ["same", "create", "update", "read", "refresh"])
def test_what_costs_nothing_passes(op: str) -> None:
    assert guards.losses([step(op, "aws:s3/bucket:Bucket", "lake")], frozenset()) == []


def test_what_can_be_made_again_may_be_replaced() -> None:
    assert guards.losses([step("replace", "aws:iam/role:Role", "role")], frozenset()) == []


def refreshed(gone: int, stand: int, token: str = "aws:iam/role:Role") -> list[guards.Step]:
    return [step("delete", token, f"gone-{n}") for n in range(gone)] + [
        step("refresh", "aws:iam/role:Role", f"stands-{n}") for n in range(stand)
    ]


@pytest.mark.parametrize(
    ("gone", "stand", "refused"), [(0, 8, False), (2, 6, False), (3, 5, True), (8, 0, True)]
)
def test_a_refresh_may_drop_a_quarter_of_the_stack_and_no_more(
    gone: int, stand: int, refused: bool
) -> None:
    assert bool(guards.vanished(refreshed(gone, stand), frozenset())) is refused
    assert guards.vanished(refreshed(gone, stand), {guards.VANISHED}) == []


def test_a_lake_that_vanished_is_never_dropped_quietly() -> None:
    steps = refreshed(1, 99, "gcp:storage/bucket:Bucket")
    assert "gone-0" in guards.vanished(steps, frozenset())[0]
    assert guards.vanished(steps, {"gone-0"}) == []


def test_components_do_not_count_as_what_still_stands() -> None:
    parts = [step("refresh", "triplane:aws:Gateway", f"part-{n}") for n in range(50)]
    assert guards.vanished(refreshed(1, 1) + parts, frozenset())


def test_drift_is_named_by_resource_and_property() -> None:
    changed = step(
        "refresh",
        "aws:lambda/function:Function",
        "f",
        oldState={"inputs": {"timeout": 30}, "outputs": {"timeout": 30, "etag": "1"}},
        newState={"inputs": {"timeout": 3}, "outputs": {"timeout": 3, "etag": "2"}},
    )
    same = step("refresh", "aws:iam/role:Role", "r", oldState={"inputs": {}}, newState={})
    gone = step("delete", "aws:iam/role:Role", "gone")
    found = guards.drift([changed, same, gone])
    assert found == {changed["urn"]: ["timeout"], gone["urn"]: ["gone"]}


def test_what_is_kept_keeps_what_it_stands_on() -> None:
    group = f"{PLATFORM}$triplane:azure:Foundation$azure-native:resources:ResourceGroup::g"
    lake = f"{PLATFORM}$triplane:azure:DataLake$azure-native:storage:StorageAccount::lake"
    web = f"{PLATFORM}$triplane:azure:Gateway$azure-native:web:WebApp::web"
    provider = "urn:pulumi:dev::triplane::pulumi:providers:azure-native::default"
    resources: list[dict[str, Any]] = [
        {"urn": provider},
        {"urn": group, "provider": f"{provider}::id"},
        {"urn": lake, "dependencies": [group], "provider": f"{provider}::id"},
        {"urn": web, "dependencies": [lake, group]},
    ]
    assert set(guards.kept(resources, ["DataLake"])) == {lake, group, provider}


@pytest.mark.parametrize("text", ["a,b", "a b", " a,  b ", "a\nb"])
def test_names_are_allowed_in_any_spelling(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW", text)
    assert guards.allowed() == {"a", "b"}


def preview(**more: Any) -> dict[str, Any]:
    """What `pulumi preview --json` prints of a run that changes nothing."""
    same = step("same", "pulumi:pulumi:Stack", "dev")
    return {"steps": [same], "duration": 1, "changeSummary": {"same": 1}, **more}


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """`… | make -s guard`"""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    guards.main()


def test_a_good_preview_passes_with_its_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [{"severity": "warning", "message": "deprecated"}]
    piped(monkeypatch, json.dumps(preview(diagnostics=told)))


def test_a_failed_preview_is_refused_with_the_first_of_its_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pipe has lost Pulumi's exit code, and the steps up to the error look harmless."""
    told = [
        {"severity": "warning", "message": "deprecated"},
        {"severity": "error", "message": "error: 429 Too Many Requests\n"},
        {"severity": "error", "message": "error: preview failed"},
    ]
    for steps in (preview()["steps"], None):
        text = json.dumps(preview(steps=steps, diagnostics=told))
        with pytest.raises(SystemExit, match="Refused: the preview failed: error: 429 Too Many"):
            piped(monkeypatch, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(preview())[:-9],
        "[]",
        "{}",
        json.dumps({"steps": preview()["steps"]}),
        json.dumps(preview()) + "error: preview failed",
    ],
)
def test_a_preview_that_was_cut_off_and_what_is_none_are_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=r"Refused: .*nobody knows"):
        piped(monkeypatch, text)


def test_a_preview_that_costs_the_lake_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLOW", raising=False)
    costly = preview(steps=[step("delete", "aws:s3/bucket:Bucket", "it")])
    with pytest.raises(SystemExit, match="deletes the lake it"):
        piped(monkeypatch, json.dumps(costly))
