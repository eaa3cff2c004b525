"""What `make up` works out after a run that was cut short, without an engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from operations.recovery import interrupted_run, physical_ids
from rehearsal.core.assets import SIGNATURE

STACK = "urn:pulumi:dev::triplane::pulumi:pulumi:Stack::triplane-dev"
BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROVIDER = "urn:pulumi:dev::triplane::pulumi:providers:aws::default"


def role(name: str = "r", physical: str = "r-1234567", **more: Any) -> dict[str, Any]:
    return {
        "urn": f"urn:pulumi:dev::triplane::aws:iam/role:Role::{name}",
        "type": "aws:iam/role:Role",
        "custom": True,
        "parent": STACK,
        "provider": f"{PROVIDER}::0",
        "inputs": {"name": physical},
        **more,
    }


def deployment(*resources: dict[str, Any], pending: Any = ()) -> dict[str, Any]:
    stack = {"urn": STACK, "type": "pulumi:pulumi:Stack"}
    operations = [{"resource": each, "type": "creating"} for each in pending]
    return {"resources": [stack, *resources], "pending_operations": operations}


def events(tmp_path: Path, *failed: dict[str, Any], op: str = "create", old: Any = None) -> Path:
    file = tmp_path / "events.json"
    told = [{"op": op, "old": old, "new": each} for each in failed]
    lines = [json.dumps({"resOpFailedEvent": {"metadata": each}}) for each in told]
    began = json.dumps({"timestamp": BEGAN.timestamp(), "preludeEvent": {}})
    file.write_text("\n".join([began, *lines, '{"resOp']))
    return file


def unfinished(found: dict[str, Any], log: Path) -> list[str]:
    """The names of what is to be looked for, with no list of a former recovery's."""
    doubts = interrupted_run.noted(found, log.with_name("doubts.json"))
    lost = interrupted_run.unfinished(interrupted_run.without_looks(found), doubts, log)
    return [each["urn"].rsplit("::", 1)[-1] for each in lost]


def looked(found: dict[str, Any], *there: str) -> dict[str, Any]:
    """What a refresh makes of it: what is not in the cloud goes."""
    kept = [
        each
        for each in found["resources"]
        if not each["urn"].endswith(interrupted_run.LOOKING) or each["id"] in there
    ]
    return {**found, "resources": kept}


def test_a_killed_engine_and_a_lost_answer_are_both_noticed(tmp_path: Path) -> None:
    log = events(tmp_path, role("failed"))
    assert unfinished(deployment(pending=[role("killed")]), log) == ["failed", "killed"]


def test_no_state_gets_the_logs_word_for_a_secret(tmp_path: Path) -> None:
    hidden = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
    log = events(tmp_path, role(inputs={"name": "r", "tags": [{"value": hidden}]}))
    [lost] = interrupted_run.unfinished(deployment(), [], log)
    assert lost["inputs"] == {"name": "r", "tags": [{"value": "[secret]"}]}


def test_a_failed_update_is_no_lost_creation(tmp_path: Path) -> None:
    assert not unfinished(deployment(), events(tmp_path, role(), op="update"))


def test_a_run_that_ended_well_leaves_nothing_to_look_for(tmp_path: Path) -> None:
    assert not unfinished(deployment(role(id="r-1234567")), tmp_path / "none.json")


def test_what_another_run_has_made_since_is_not_looked_for(tmp_path: Path) -> None:
    """Plain Pulumi writes no log of ours: to believe the old one would be to delete what it made."""
    log = events(tmp_path, role(physical="r-1"))
    assert not unfinished(deployment(role(id="r-2")), log)


def test_a_replacement_that_failed_is_looked_for_while_its_predecessor_lives(
    tmp_path: Path,
) -> None:
    log = events(tmp_path, role(physical="r-2"), op="create-replacement", old={"id": "r-1"})
    assert unfinished(deployment(role(id="r-1")), log) == ["r"]
    assert not unfinished(deployment(role(id="r-3")), log), "another run has replaced it"


def test_what_was_made_is_kept_and_what_was_not_is_made_again() -> None:
    before = deployment()
    asked = interrupted_run.look_for(before, [role("made", "m-1"), role("not", "n-1")])
    after, found = interrupted_run.settle(looked(asked, "m-1"))
    assert found == [role("made")["urn"]]
    assert [each.get("id") for each in after["resources"]] == [None, "m-1"]


def test_a_replacement_that_was_made_marks_its_predecessor_for_deletion() -> None:
    asked = interrupted_run.look_for(deployment(role(id="old")), [role(physical="new")])
    after, _ = interrupted_run.settle(looked(asked, "new"))
    assert [(each.get("id"), each.get("delete")) for each in after["resources"][1:]] == [
        ("new", None),
        ("old", True),
    ]


def test_a_predecessor_that_was_deleted_to_make_room_is_gone() -> None:
    old = role(id="old", pendingReplacement=True)
    asked = interrupted_run.look_for(deployment(old), [role(physical="new")])
    after, _ = interrupted_run.settle(looked(asked, "new"))
    assert [each.get("id") for each in after["resources"]] == [None, "new"]


def test_what_the_state_knows_already_is_not_taken_twice() -> None:
    asked = interrupted_run.look_for(deployment(role(id="r-1234567")), [role()])
    after, found = interrupted_run.settle(looked(asked, "r-1234567"))
    assert not found
    assert len(after["resources"]) == 2


def test_a_look_that_was_cut_short_is_taken_again(tmp_path: Path) -> None:
    asked = interrupted_run.look_for(deployment(), [role()])
    assert unfinished(asked, tmp_path / "none.json") == ["r"]
    again = [each["resource"] for each in interrupted_run.noted(asked, tmp_path / "none.json")]
    asked_again = interrupted_run.look_for(asked, again)
    assert len(asked_again["resources"]) == len(asked["resources"])


@pytest.mark.parametrize(("minutes", "ours"), [(-10, False), (-4, True), (1, True)])
def test_what_is_older_than_the_run_is_somebody_elses(minutes: int, ours: bool) -> None:
    made = (BEGAN + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    asked = interrupted_run.look_for(deployment(), [role(physical="r-1")])
    asked["resources"][-1]["outputs"] = {"createTime": made}
    after, found = interrupted_run.settle(asked, BEGAN)
    assert bool(found) is ours
    assert [each.get("id") for each in after["resources"]] == [None, "r-1"][: 1 + ours]


def test_plain_pulumi_would_only_forget_what_is_being_looked_for() -> None:
    asked = interrupted_run.look_for(deployment(), [role(physical="r-1")])
    assert asked["resources"][-1]["retainOnDelete"]
    after, _ = interrupted_run.settle(looked(asked, "r-1"))
    assert "retainOnDelete" not in after["resources"][-1]


def test_what_may_be_written_twice_is_not_looked_for() -> None:
    upsert = role(type="aws:s3/bucketVersioning:BucketVersioning")
    assert (
        interrupted_run.look_for(deployment(), [upsert])["resources"] == deployment()["resources"]
    )


def test_dependencies_that_the_state_does_not_hold_are_dropped() -> None:
    wanted = role(dependencies=[STACK, "gone"], propertyDependencies={"name": ["gone"]})
    asked = interrupted_run.look_for(deployment(), [wanted])
    assert asked["resources"][-1]["dependencies"] == [STACK]
    assert asked["resources"][-1]["propertyDependencies"] == {"name": []}


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("aws:iam/rolePolicy:RolePolicy", {"role": "r", "name": "p"}, "r:p"),
        (
            "gcp:storage/bucket:Bucket",
            {"name": "lake"},
            "lake",
        ),
        (
            "gcp:serviceaccount/account:Account",
            {"accountId": "sa"},
            "projects/acct/serviceAccounts/sa@acct.iam.gserviceaccount.com",
        ),
        (
            "azure-native:keyvault:Vault",
            {"resourceGroupName": "g", "vaultName": "v"},
            "/subscriptions/acct/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v",
        ),
        ("azure-native:keyvault:Vault", {"vaultName": "v"}, None),
    ],
)
def test_the_id_follows_from_the_inputs(
    kind: str, inputs: dict[str, str], expected: str | None
) -> None:
    foundation = {"urn": "f", "type": "triplane:gcp:Foundation", "inputs": {"account": "acct"}}
    assert physical_ids.physical_id(role(type=kind, inputs=inputs), [foundation]) == expected


def test_the_next_version_of_a_secret_is_the_one_to_look_for() -> None:
    kind = "gcp:secretmanager/secretVersion:SecretVersion"
    old = role(type=kind, id="projects/1/secrets/s/versions/3", inputs={"secret": "s"})
    assert (
        physical_ids.physical_id(role(type=kind, inputs={"secret": "s"}), [old]) == "s/versions/4"
    )


class Cut:
    """A stack whose last run was cut short; notes what is done to it, in order."""

    name = "dev"

    def __init__(self, tmp_path: Path, state: dict[str, Any], *there: str) -> None:
        self.events, self.doubts = tmp_path / "events.json", tmp_path / "doubts.json"
        self.fails = False
        self.state, self.there = state, there
        self.done: list[tuple[str, ...]] = []

    def unlock(self) -> None:
        self.done.append(("unlock",))

    def export(self) -> dict[str, Any]:
        return {"deployment": self.state}

    def write(self, state: dict[str, Any]) -> None:
        self.state = state["deployment"]

    def pulumi(self, *words: str, check: bool) -> int:
        self.done.append(words)
        if not self.fails:
            self.state = looked(self.state, *self.there)
        return int(self.fails)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the account's guard says; nothing, unless a test fills it in."""
    refused: list[str] = []
    monkeypatch.setattr(interrupted_run.account, "another", lambda stack, config: refused)
    return refused


def test_only_what_is_in_doubt_is_asked_for(tmp_path: Path, asked: list[str]) -> None:
    changing = role("changing", id="c-1")
    state = deployment(role("stands", "s-1"), changing, pending=[role("killed", "k-1")])
    update = {"resource": changing, "type": "updating"}
    state["pending_operations"].append(update)
    cut = Cut(tmp_path, state, "k-1")
    interrupted_run.recover(cut, None)  # type: ignore[arg-type]
    (_, refresh) = cut.done
    targets = [refresh[at + 1] for at, word in enumerate(refresh) if word == "--target"]
    assert targets == [role("killed")["urn"] + interrupted_run.LOOKING, update["resource"]["urn"]]  # type: ignore[index]
    assert role("killed")["urn"] in [each["urn"] for each in cut.state["resources"]]
    assert not cut.doubts.exists()


def test_a_recovery_that_was_cut_short_begins_again_with_the_same_doubts(
    tmp_path: Path, asked: list[str]
) -> None:
    changing = role("changing", id="c-1")
    state = deployment(changing, pending=[role("killed", "k-1")])
    state["pending_operations"].append({"resource": changing, "type": "updating"})
    cut = Cut(tmp_path, state, "c-1", "k-1")
    cut.fails = True
    with pytest.raises(SystemExit, match=r"changing, killed were .* ALLOW=unseen"):
        interrupted_run.recover(cut, None)  # type: ignore[arg-type]
    del cut.state["pending_operations"]  # as `stack import` does
    cut.fails, cut.done = False, []
    interrupted_run.recover(cut, None)  # type: ignore[arg-type]
    assert [word.rpartition("::")[2] for word in cut.done[1] if word.startswith("urn:")] == [
        "killed" + interrupted_run.LOOKING,
        "changing",
    ]
    assert [each.get("id") for each in cut.state["resources"]] == [None, "c-1", "k-1"]
    assert not cut.doubts.exists()


def test_what_cannot_be_looked_at_can_be_let_go(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW", interrupted_run.UNSEEN)
    looking = interrupted_run.look_for(deployment(), [role("killed", "k-1")])
    cut = Cut(tmp_path, looking | {"pending_operations": []})
    interrupted_run.recover(cut, None)  # type: ignore[arg-type]
    assert cut.done == [("unlock",)]
    assert [each.get("id") for each in cut.state["resources"]] == [None]


def test_nothing_is_believed_of_a_cloud_in_another_account(
    tmp_path: Path, asked: list[str]
) -> None:
    asked.append("the stack was made in 1, but these credentials lead to 2")
    cut = Cut(tmp_path, deployment(pending=[role("killed")]))
    with pytest.raises(SystemExit, match="made in 1"):
        interrupted_run.recover(cut, None)  # type: ignore[arg-type]
    assert cut.done == [("unlock",)]
    assert cut.state["pending_operations"]


def test_after_a_run_that_ended_well_nobody_is_asked(tmp_path: Path, asked: list[str]) -> None:
    asked.append("not asked")
    cut = Cut(tmp_path, deployment(role(id="r-1")))
    interrupted_run.recover(cut, None)  # type: ignore[arg-type]
    assert cut.done == [("unlock",)]
