"""What `make up` does after an interrupted run, without an engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from operations.engine.wire import SIGNATURE
from operations.recovery import interrupted_run
from operations.recovery.probes import PROBE_SUFFIX, with_probes
from operations.recovery.refusals import ALLOW_UNRESOLVED
from tests.operations.recovery.states import deployment, refreshed, role

RUN_START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def event_log(tmp_path: Path, *failed: dict[str, Any], op: str = "create", old: Any = None) -> Path:
    """The event log of a run that was killed after these resources had failed."""
    file = tmp_path / "events.json"
    steps = [{"op": op, "old": old, "new": each} for each in failed]
    lines = [json.dumps({"resOpFailedEvent": {"metadata": each}}) for each in steps]
    began = json.dumps({"timestamp": RUN_START.timestamp(), "preludeEvent": {}})
    file.write_text("\n".join([began, *lines, '{"resOp']))
    return file


def lost_creations(state: dict[str, Any], log: Path) -> list[str]:
    """The names of the lost creations, without a file of an interrupted recovery."""
    unresolved = interrupted_run.unresolved_operations(state, log.with_name("unresolved.json"))
    lost = interrupted_run.lost_creations(state, unresolved, log)
    return [each["urn"].rsplit("::", 1)[-1] for each in lost]


def test_pending_and_failed_creations_are_both_lost_creations(tmp_path: Path) -> None:
    log = event_log(tmp_path, role("failed"))
    assert lost_creations(deployment(pending=[role("killed")]), log) == ["failed", "killed"]


def test_the_log_and_the_run_start_survive_an_incomplete_last_line(tmp_path: Path) -> None:
    assert interrupted_run.run_start(event_log(tmp_path)) == RUN_START
    assert interrupted_run.run_start(tmp_path / "none.json") is None
    for incomplete in ("", '{"times', "{}\n"):
        (tmp_path / "empty.json").write_text(incomplete)
        assert interrupted_run.run_start(tmp_path / "empty.json") is None


def test_a_hidden_secret_of_the_log_does_not_enter_the_state(tmp_path: Path) -> None:
    hidden = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
    log = event_log(tmp_path, role(inputs={"name": "r", "tags": [{"value": hidden}]}))
    [lost] = interrupted_run.lost_creations(deployment(), [], log)
    assert lost["inputs"] == {"name": "r", "tags": [{"value": "[secret]"}]}


def test_a_failed_update_is_no_lost_creation(tmp_path: Path) -> None:
    assert not lost_creations(deployment(), event_log(tmp_path, role(), op="update"))


def test_a_complete_run_has_no_lost_creations(tmp_path: Path) -> None:
    assert not lost_creations(deployment(role(id="r-1234567")), tmp_path / "none.json")


def test_a_resource_that_another_run_has_created_is_not_lost(tmp_path: Path) -> None:
    """Plain Pulumi writes no log of ours: to trust the old one would delete what plain Pulumi has created."""
    log = event_log(tmp_path, role(physical="r-1"))
    assert not lost_creations(deployment(role(id="r-2")), log)


def test_a_resource_that_is_about_to_be_deleted_is_not_the_one_that_was_lost(
    tmp_path: Path,
) -> None:
    log = event_log(tmp_path, role(physical="r-2"))
    assert lost_creations(deployment(role(id="r-1", delete=True)), log) == ["r"]


def test_a_failed_replacement_is_lost_while_its_predecessor_exists(tmp_path: Path) -> None:
    log = event_log(tmp_path, role(physical="r-2"), op="create-replacement", old={"id": "r-1"})
    assert lost_creations(deployment(role(id="r-1")), log) == ["r"]
    assert not lost_creations(deployment(role(id="r-3")), log), "another run has replaced it"


def test_probes_of_an_interrupted_recovery_are_probed_again(tmp_path: Path) -> None:
    probed, none = with_probes(deployment(), [role()]), tmp_path / "none.json"
    assert lost_creations(probed, none) == ["r"]
    again = [each["resource"] for each in interrupted_run.unresolved_operations(probed, none)]
    assert len(with_probes(probed, again)["resources"]) == len(probed["resources"])


class InterruptedStack:
    """A stack whose last run was interrupted, before a cloud that has these ids; records all commands."""

    name = "dev"

    def __init__(self, tmp_path: Path, state: dict[str, Any], *existing: str) -> None:
        self.event_log, self.unresolved_file = (
            tmp_path / "events.json",
            tmp_path / "unresolved.json",
        )
        self.refresh_fails = False
        self.state, self.existing = state, existing
        self.commands: list[tuple[str, ...]] = []

    def remove_stale_locks(self) -> None:
        self.commands.append(("unlock",))

    def export(self) -> dict[str, Any]:
        return {"deployment": self.state}

    def import_state(self, state: dict[str, Any]) -> None:
        self.state = state["deployment"]

    def pulumi(self, *words: str, check: bool) -> int:
        self.commands.append(words)
        if not self.refresh_fails:
            self.state = refreshed(self.state, *self.existing)
        return int(self.refresh_fails)


@pytest.fixture
def account_refusals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the check of the account returns; nothing, unless a test adds a refusal."""
    refusals: list[str] = []
    monkeypatch.setattr(interrupted_run.account, "account_refusals", lambda stack, config: refusals)
    return refusals


@pytest.mark.usefixtures("account_refusals")
def test_recovery_reads_only_the_unresolved_resources(tmp_path: Path) -> None:
    changing = role("changing", id="c-1")
    state = deployment(role("unchanged", "s-1"), changing, pending=[role("killed", "k-1")])
    update = {"resource": changing, "type": "updating"}
    state["pending_operations"].append(update)
    stack = InterruptedStack(tmp_path, state, "k-1")
    interrupted_run.recover(stack, None)  # type: ignore[arg-type]
    (_, refresh) = stack.commands
    targets = [refresh[at + 1] for at, word in enumerate(refresh) if word == "--target"]
    assert targets == [role("killed")["urn"] + PROBE_SUFFIX, changing["urn"]]
    assert role("killed")["urn"] in [each["urn"] for each in stack.state["resources"]]
    assert not stack.unresolved_file.exists()


@pytest.mark.usefixtures("account_refusals")
def test_recovery_does_not_take_a_resource_older_than_the_run(tmp_path: Path) -> None:
    event_log(tmp_path, role("older", "o-1"), role("newer", "n-1"))

    class Cloud(InterruptedStack):
        def pulumi(self, *words: str, check: bool) -> int:
            for each in self.state["resources"]:
                hours = -1 if each.get("id") == "o-1" else 1
                created = (RUN_START + timedelta(hours=hours)).isoformat()
                each["outputs"] = {"createTime": created}
            return super().pulumi(*words, check=check)

    stack = Cloud(tmp_path, deployment(), "o-1", "n-1")
    interrupted_run.recover(stack, None)  # type: ignore[arg-type]
    assert [each.get("id") for each in stack.state["resources"]] == [None, "n-1"]


@pytest.mark.usefixtures("account_refusals")
def test_an_interrupted_recovery_begins_again_with_the_same_list(tmp_path: Path) -> None:
    changing = role("changing", id="c-1")
    state = deployment(changing, pending=[role("killed", "k-1")])
    state["pending_operations"].append({"resource": changing, "type": "updating"})
    stack = InterruptedStack(tmp_path, state, "c-1", "k-1")
    stack.refresh_fails = True
    with pytest.raises(SystemExit, match=r"changed changing, killed; .* ALLOW=unseen"):
        interrupted_run.recover(stack, None)  # type: ignore[arg-type]
    del stack.state["pending_operations"]  # as `stack import` does
    stack.refresh_fails, stack.commands = False, []
    interrupted_run.recover(stack, None)  # type: ignore[arg-type]
    assert [word.rpartition("::")[2] for word in stack.commands[1] if word.startswith("urn:")] == [
        "killed" + PROBE_SUFFIX,
        "changing",
    ]
    assert [each.get("id") for each in stack.state["resources"]] == [None, "c-1", "k-1"]
    assert not stack.unresolved_file.exists()


@pytest.mark.usefixtures("account_refusals")
def test_allow_unseen_forgets_what_the_cloud_does_not_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW", ALLOW_UNRESOLVED)
    probed = with_probes(deployment(), [role("killed", "k-1")])
    stack = InterruptedStack(tmp_path, probed | {"pending_operations": []})
    interrupted_run.recover(stack, None)  # type: ignore[arg-type]
    assert stack.commands == [("unlock",)]
    assert [each.get("id") for each in stack.state["resources"]] == [None]


def test_recovery_refuses_the_credentials_of_another_account(
    tmp_path: Path, account_refusals: list[str]
) -> None:
    account_refusals.append("the stack was created in 1, but these credentials lead to 2")
    stack = InterruptedStack(tmp_path, deployment(pending=[role("killed")]))
    with pytest.raises(SystemExit, match="created in 1"):
        interrupted_run.recover(stack, None)  # type: ignore[arg-type]
    assert stack.commands == [("unlock",)]
    assert stack.state["pending_operations"]


def test_after_a_complete_run_recovery_reads_nothing_from_the_cloud(
    tmp_path: Path, account_refusals: list[str]
) -> None:
    account_refusals.append("not called")
    stack = InterruptedStack(tmp_path, deployment(role(id="r-1")))
    interrupted_run.recover(stack, None)  # type: ignore[arg-type]
    assert stack.commands == [("unlock",)]
