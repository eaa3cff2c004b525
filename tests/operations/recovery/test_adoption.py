"""`make adopt` refused, cut short and run again, before a Pulumi that keeps its state in the same files."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations.commands import adopt
from operations.data import lake_locations
from operations.data.folder_lake import FolderLake
from operations.data.state_copy import write_state_copy
from operations.engine import account, environment, guards
from operations.engine import stack as stack_
from operations.recovery import discovery, interrupted_run, trial_stack
from operations.recovery.discovered_resource import DiscoveredResource

PLATFORM = "urn:pulumi:dev::triplane::triplane:index:Platform"
FOUNDATION = {
    "urn": f"{PLATFORM}$triplane:aws:Foundation::f",
    "type": "triplane:aws:Foundation",
    "inputs": {"account": "111111111111"},
}
PULUMI = f"""#!{sys.executable}
# What `make adopt` asks of Pulumi, over the files that it keeps. `world` has the ids that stand and whose they
# are, `killed` is a command in whose middle the one who called it is killed.
import json, os, signal, sys
from pathlib import Path
from urllib.parse import urlparse

words, here = sys.argv[1:], Path(__file__).parent
backend = Path(urlparse(os.environ["PULUMI_BACKEND_URL"]).path) / ".pulumi"
name = stack = words[2] if words[:2] == ["stack", "init"] else words[words.index("--stack") + 1]
file = backend / "stacks" / "triplane" / f"{{name}}.json"
killed = here / "killed"
if killed.exists() and killed.read_text() == words[0]:
    os.kill(os.getppid(), signal.SIGKILL)

def write(latest):
    file.parent.mkdir(parents=True, exist_ok=True)
    owner = f"organization/triplane/{{name}}"
    file.write_text(json.dumps({{"version": 3, "checkpoint": {{"stack": owner, "latest": latest}}}}))

if words[:2] == ["stack", "init"]:
    write({{}})
    (backend / "meta.yaml").write_text("version: 1\\n")
    sys.exit()
latest = json.loads(file.read_text())["checkpoint"]["latest"]
resources = latest.get("resources", [])
world = json.loads((here / "world").read_text())
gone = [each for each in resources if each.get("id") and each["id"] not in world]
if words[:2] == ["stack", "export"]:
    print(json.dumps({{"version": 3, "deployment": latest}}))
elif words[:2] == ["stack", "import"]:
    imported = json.load(sys.stdin)["deployment"]
    imported.pop("pending_operations", None)
    write(imported)
elif "--json" in words:
    steps = [{{"op": "delete" if each in gone else "same", "urn": each["urn"]}} for each in resources]
    if words[0] == "preview":
        # Names are made up anew in each preview, where the state has none.
        program = json.loads((here / "program").read_text())
        named = {{each["urn"].rpartition("::")[2]: each for each in resources if each.get("id")}}
        steps = []
        for name in program:
            urn = f"{PLATFORM}$aws:s3/bucket:Bucket::{{name}}"
            if name in named:
                steps.append({{"op": "same", "urn": urn, "newState": named[name]}})
                continue
            inputs = {{"bucket": f"{{name}}-{{os.urandom(4).hex()[:7]}}", "tags": {{"stack": stack}}}}
            new = {{"urn": urn, "type": "aws:s3/bucket:Bucket", "custom": True, "inputs": inputs,
                   "provider": "urn:pulumi:dev::triplane::pulumi:providers:aws::default::unknown"}}
            steps.append({{"op": "create", "urn": urn, "newState": new}})
        foundation = {FOUNDATION!r}
        if foundation["urn"] not in {{each["urn"] for each in resources}}:
            steps.insert(0, {{"op": "create", "urn": foundation["urn"], "newState": foundation}})
        Path(words[words.index("--event-log") + 1]).write_text("")
    print(json.dumps({{"steps": steps}}))
elif words[0] == "refresh" and "--target" in words:
    for each in resources:
        if each["urn"] in words and each not in gone:
            each["outputs"] = {{"tags": {{"stack": world[each["id"]]}}}}
    gone = [each for each in gone if each["urn"] in words]
    write({{**latest, "resources": [each for each in resources if each not in gone]}})
elif words[0] == "refresh":
    write({{**latest, "resources": [each for each in resources if each not in gone]}})
else:
    sys.exit(f"not played: {{words}}")
"""


def deployment(*names: str, **more: Any) -> dict[str, Any]:
    buckets = [
        {
            "urn": f"{PLATFORM}$aws:s3/bucket:Bucket::{name}",
            "type": "aws:s3/bucket:Bucket",
            "id": name,
            "inputs": {},
        }
        for name in names
    ]
    times = {"manifest": {"time": "2026-11-01T00:00:00Z"}}
    return {**times, "resources": [FOUNDATION, *buckets], **more}


@dataclass
class Clone:
    """A clone with a lake that holds the state's copy, and no state."""

    home: Path
    stack: stack_.Stack
    says: Callable[[], str]

    def stands(self, *ids: str, **others: str) -> None:
        """What is in the cloud: this stack's, and ``others`` with the stack that made them."""
        world = {**dict.fromkeys(ids, "dev"), **{k.replace("_", "-"): v for k, v in others.items()}}
        (self.home / "bin" / "world").write_text(json.dumps(world))

    def listed(self, *_: Any) -> list[DiscoveredResource]:
        """The census: what carries this stack's tags."""
        world = json.loads((self.home / "bin" / "world").read_text())
        return [
            DiscoveredResource("aws:s3/bucket:Bucket", id_) for id_ in world if world[id_] == "dev"
        ]

    def has(self, *names: str) -> None:
        """What the program says that there is, by its own names."""
        (self.home / "bin" / "program").write_text(json.dumps(names))

    def killed_in(self, command: str) -> int | None:
        """The code that `make adopt` leaves with when it is killed there, as by `kill -9`."""
        file = self.home / "bin" / "killed"
        file.write_text(command)
        process = multiprocessing.get_context("fork").Process(
            target=adopt.adopt, args=(self.stack,)
        )
        process.start()
        process.join(30)
        file.unlink()
        return process.exitcode

    def state(self) -> list[str] | None:
        """The ids in the state; None without one."""
        if not self.stack.state.exists():
            return None
        latest = json.loads(self.stack.state.read_text())["checkpoint"]["latest"]
        return [each["id"] for each in latest["resources"] if "id" in each]


@pytest.fixture
def clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Clone:
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(PULUMI)
    program.chmod(0o755)
    backend = tmp_path / ".pulumi" / "backend"
    for module in (stack_, trial_stack):
        monkeypatch.setattr(module, "HOME", tmp_path)
    monkeypatch.setattr(environment, "rehearsal_environment", dict)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)  # where the engine is looked for
    monkeypatch.delenv("ALLOW", raising=False)
    own = {"PULUMI_BACKEND_URL": f"file://{backend}?metadata=skip", "PATH": path}
    monkeypatch.setattr(environment, "pulumi_environment", lambda: own)
    monkeypatch.setenv("PULUMI_BACKEND_URL", "")  # set by it, and put back after the test
    for step in ("start_rehearsal", "train_model"):
        monkeypatch.setattr(adopt, step, lambda: None)
    settings = SimpleNamespace(cloud="aws", environment="dev")
    monkeypatch.setattr(adopt, "read_settings", lambda _: settings)
    monkeypatch.setattr(account, "current_account", lambda *_: "111111111111")
    monkeypatch.setattr(lake_locations, "find_lakes", lambda *_: [str(tmp_path / "lake")])
    made = stack_.Stack("dev", stack_.SETTINGS)
    clone = Clone(tmp_path, made, lambda: capfd.readouterr().out)
    monkeypatch.setattr(discovery, "discovered_resources", clone.listed)
    copy = {"version": 3, "deployment": deployment("lake", "other")}
    write_state_copy(FolderLake(tmp_path / "lake"), "dev", copy)
    clone.stands("lake", "other")
    clone.has("lake", "other")
    return clone


def test_the_copy_is_taken_over(clone: Clone) -> None:
    adopt.adopt(clone.stack)
    assert clone.state() == ["lake", "other"]
    assert "Adopted 3 resources. The program would now create 0, replace 0" in clone.says()
    with pytest.raises(SystemExit, match="nothing to adopt"):
        adopt.adopt(clone.stack)


def test_a_refusal_has_changed_nothing_and_its_own_advice_helps(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.stands("other")
    with pytest.raises(SystemExit, match=r"(?s)Refused: .*Nothing was changed.*ALLOW=vanished"):
        adopt.adopt(clone.stack)
    assert clone.state() is None
    monkeypatch.setenv("ALLOW", guards.ALLOW_VANISHED)
    clone.says()
    adopt.adopt(clone.stack)
    assert clone.state() == ["other"]
    assert "create aws:s3/bucket:Bucket lake: is gone" in clone.says()


def test_what_was_made_after_the_copy_is_found_and_what_was_not_is_told(clone: Clone) -> None:
    clone.has("lake", "other", "newer", "not-made")
    clone.stands("lake", "other", "newer-1234567")
    with pytest.raises(SystemExit, match="may exist all the same"):
        adopt.adopt(clone.stack)
    assert "create aws:s3/bucket:Bucket not-made: was not found" in clone.says()
    assert clone.state() == ["lake", "other", "newer-1234567"]


def test_without_a_copy_what_stands_is_found_by_its_names_and_tags(clone: Clone) -> None:
    shutil.rmtree(clone.home / "lake")
    clone.stands("lake-1234567", "other-1234567", lake_7654321="dev-2", more_1234567="dev-2")
    clone.has("lake", "other", "more")
    with pytest.raises(SystemExit, match="may exist all the same"):
        adopt.adopt(clone.stack)
    said = clone.says()
    assert "Adopted 3 resources. The program would now create 1, replace 0 and change 0" in said
    assert "create aws:s3/bucket:Bucket more: was not found" in said, (
        "another stack's is not this one's"
    )
    assert clone.state() == ["lake-1234567", "other-1234567"]


def test_without_a_copy_nothing_is_guessed_and_nothing_changed(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(clone.home / "lake")
    clone.stands("lake-1234567", "lake-7654321", "other-1234567")
    with pytest.raises(
        SystemExit, match=r"2 resources may be lake .*lake-1234567, lake-7654321.*ALLOW="
    ):
        adopt.adopt(clone.stack)
    assert clone.state() is None
    monkeypatch.setenv("ALLOW", "lake-7654321")
    adopt.adopt(clone.stack)
    assert clone.state() == ["lake-7654321", "other-1234567"]


def test_where_nothing_stands_there_is_nothing_to_adopt(clone: Clone) -> None:
    shutil.rmtree(clone.home / "lake")
    clone.stands(lake_7654321="dev-2")
    with pytest.raises(SystemExit, match=r"no resource exists that carries its tags .*stack=dev\)"):
        adopt.adopt(clone.stack)
    assert clone.state() is None


def test_a_cloud_that_does_not_list_is_not_taken_for_an_empty_one(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> list[DiscoveredResource]:
        raise PermissionError("AccessDenied: tag:GetResources")

    monkeypatch.setattr(discovery, "discovered_resources", refused)
    clone.has("lake", "other", "newer")
    with pytest.raises(SystemExit, match=r"cannot be listed: AccessDenied.*Nothing was changed"):
        adopt.adopt(clone.stack)
    assert clone.state() is None


def test_a_copy_of_another_account_is_refused_before_anything_is_written(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(account, "current_account", lambda *_: "222222222222")
        with pytest.raises(SystemExit, match=r"111111111111.*222222222222.*Nothing was\s+changed"):
            adopt.adopt(clone.stack)
    assert clone.state() is None
    adopt.adopt(clone.stack)
    assert clone.state() == ["lake", "other"]


def test_a_broken_state_stays_where_it_is_until_a_copy_is_good(clone: Clone) -> None:
    clone.stack.state.parent.mkdir(parents=True)
    clone.stack.state.write_text("{half")
    clone.stands()
    with pytest.raises(SystemExit, match="Refused"):
        adopt.adopt(clone.stack)
    assert clone.stack.state.read_text() == "{half"
    assert not clone.stack.state.with_suffix(".broken").exists()
    clone.stands("lake", "other")
    adopt.adopt(clone.stack)
    assert clone.stack.state.with_suffix(".broken").read_text() == "{half"
    assert clone.state() == ["lake", "other"]


@pytest.mark.parametrize("command", ["stack", "refresh", "preview"])
def test_one_that_was_killed_is_run_again_and_ends_well(clone: Clone, command: str) -> None:
    assert clone.killed_in(command) == -signal.SIGKILL
    assert clone.state() is None
    adopt.adopt(clone.stack)
    assert clone.state() == ["lake", "other"]
    assert not list(clone.home.glob(".pulumi/adopting*")), "what the first one left, neither"


def test_what_the_copy_has_as_pending_is_not_forgotten(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make up` copies the state into the lake after an engine that was killed, too."""
    creating = {"type": "creating", "resource": {"urn": "urn:pulumi:dev::t::a:b:C::c"}}
    copy = {"version": 3, "deployment": deployment("lake", pending_operations=[creating])}
    write_state_copy(FolderLake(clone.home / "lake"), "dev", copy)
    clone.has("lake")
    seen: list[Any] = []

    def noticed(stack: stack_.Stack, _: Any) -> None:
        seen.extend(stack.export()["deployment"]["pending_operations"])

    monkeypatch.setattr(interrupted_run, "recover", noticed)
    adopt.adopt(clone.stack)
    assert seen == [creating]


def test_what_a_recovery_still_doubts_goes_with_the_state_that_it_settled(clone: Clone) -> None:
    clone.stack.events.parent.mkdir(exist_ok=True)
    clone.stack.unresolved.write_text("[]")
    failed = {"op": "create", "new": {"urn": "urn:pulumi:dev::t::a:b:C::c", "type": "a:b:C"}}
    log = json.dumps({"resOpFailedEvent": {"metadata": failed}})
    clone.stack.events.write_text(log)
    clone.stands()
    with pytest.raises(SystemExit, match="Refused"):
        adopt.adopt(clone.stack)
    assert clone.stack.events.read_text() == log, "as if it had never been run"
    clone.stands("lake", "other")
    adopt.adopt(clone.stack)
    assert not clone.stack.events.exists()
    assert not clone.stack.unresolved.exists()


def test_a_list_that_the_former_version_left_is_read_and_then_removed(clone: Clone) -> None:
    former = clone.home / ".pulumi" / "doubts-dev.json"
    former.parent.mkdir(exist_ok=True)
    assert clone.stack.unresolved == former.with_name("unresolved-dev.json")
    former.write_text('[{"type": "updating", "resource": {"urn": "u"}}]')
    [operation] = interrupted_run.unresolved_operations({}, clone.stack.unresolved)
    assert operation["resource"]["urn"] == "u"
    adopt.adopt(clone.stack)
    assert not former.exists()
    assert clone.stack.unresolved.name == "unresolved-dev.json"
