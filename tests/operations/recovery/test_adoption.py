"""`make adopt` refused, interrupted and run again, with a stand-in for Pulumi that writes the same state files."""

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
from operations.data.state_copy import state_copy_name, write_state_copy
from operations.engine import account, environment, guards, rehearsed_stack
from operations.engine.rehearsed_stack import RehearsedStack
from operations.engine.stack import Stack
from operations.engine.state_signature import with_signature, without_signature
from operations.recovery import discovery, interrupted_run, trial_stack
from operations.recovery.discovered_resource import DiscoveredResource

PLATFORM = "urn:pulumi:dev::triplane::triplane:index:Platform"
FOUNDATION = {
    "urn": f"{PLATFORM}$triplane:aws:Foundation::f",
    "type": "triplane:aws:Foundation",
    "inputs": {"account": "111111111111"},
}
PULUMI = f"""#!{sys.executable}
# The commands of Pulumi that `make adopt` runs, over Pulumi's own files. Beside this script are files of the test:
# `existing` has the ids in the cloud and the stack that each belongs to, `program` the names that the program gives,
# `kill_in` the command during which `make adopt` is killed.
import json, os, signal, sys
from pathlib import Path
from urllib.parse import urlparse

words, here = sys.argv[1:], Path(__file__).parent
backend = Path(urlparse(os.environ["PULUMI_BACKEND_URL"]).path) / ".pulumi"
name = stack = words[2] if words[:2] == ["stack", "init"] else words[words.index("--stack") + 1]
file = backend / "stacks" / "triplane" / f"{{name}}.json"
kill_in = here / "kill_in"
if kill_in.exists() and kill_in.read_text() == words[0]:
    os.kill(os.getppid(), signal.SIGKILL)

def write(latest):
    file.parent.mkdir(parents=True, exist_ok=True)
    owner = f"organization/triplane/{{name}}"
    file.write_text(json.dumps({{"version": 3, "checkpoint": {{"stack": owner, "latest": latest}}}}))

if words[0] == "config":
    settings = Path(words[words.index("--config-file") + 1])
    document, secret = json.loads(settings.read_text()), os.environ.get("PULUMI_CONFIG_PASSPHRASE", "")
    if words[1] == "set":
        encrypted = f"{{secret}} {{sys.stdin.read().encode().hex()}}"
        settings.write_text(json.dumps({{**document, "config": {{words[3]: {{"secure": encrypted}}}}}}))
        sys.exit()
    key, encrypted = document["config"][words[2]]["secure"].rsplit(" ", 1)
    sys.exit("error: message authentication failed") if key != secret else print(bytes.fromhex(encrypted).decode())
    sys.exit()
if words[:2] == ["stack", "init"]:
    write({{}})
    (backend / "meta.yaml").write_text("version: 1\\n")
    sys.exit()
latest = json.loads(file.read_text())["checkpoint"]["latest"]
resources = latest.get("resources", [])
existing = json.loads((here / "existing").read_text())
gone = [each for each in resources if each.get("id") and each["id"] not in existing]
if words[:2] == ["stack", "export"]:
    print(json.dumps({{"version": 3, "deployment": latest}}))
elif words[:2] == ["stack", "import"]:
    imported = json.load(sys.stdin)["deployment"]
    imported.pop("pending_operations", None)
    write(imported)
elif "--json" in words:
    steps = [{{"op": "delete" if each in gone else "same", "urn": each["urn"]}} for each in resources]
    if words[0] == "preview":
        # Each preview invents new names where the state has none.
        program = json.loads((here / "program").read_text())
        managed = {{each["urn"].rpartition("::")[2]: each for each in resources if each.get("id")}}
        steps = []
        for name in program:
            urn = f"{PLATFORM}$aws:s3/bucket:Bucket::{{name}}"
            if name in managed:
                steps.append({{"op": "same", "urn": urn, "newState": managed[name]}})
                continue
            inputs = {{"bucket": f"{{name}}-{{os.urandom(4).hex()[:7]}}", "tags": {{"stack": stack}}}}
            new = {{"urn": urn, "type": "aws:s3/bucket:Bucket", "custom": True, "inputs": inputs,
                   "provider": "urn:pulumi:dev::triplane::pulumi:providers:aws::default::unknown"}}
            steps.append({{"op": "create", "urn": urn, "newState": new}})
        foundation = {FOUNDATION!r}
        if foundation["urn"] not in {{each["urn"] for each in resources}}:
            steps.insert(0, {{"op": "create", "urn": foundation["urn"], "newState": foundation}})
        events = []
    else:
        events = [{{"resOutputsEvent": {{"metadata": each}}}} for each in steps] + [{{"summaryEvent": {{"done": True}}}}]
    Path(words[words.index("--event-log") + 1]).write_text("".join(json.dumps(each) + "\\n" for each in events))
    print(json.dumps({{"steps": steps}}))
elif words[0] == "refresh" and "--target" in words:
    for each in resources:
        if each["urn"] in words and each not in gone:
            each["outputs"] = {{"tags": {{"stack": existing[each["id"]]}}}}
    gone = [each for each in gone if each["urn"] in words]
    write({{**latest, "resources": [each for each in resources if each not in gone]}})
elif words[0] == "refresh":
    write({{**latest, "resources": [each for each in resources if each not in gone]}})
else:
    sys.exit(f"the stand-in does not have this command: {{words}}")
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
    encrypted = {"secrets_providers": {"type": "passphrase", "state": {"salt": "v1:a"}}}
    return {**times, **encrypted, "resources": [FOUNDATION, *buckets], **more}


@dataclass
class Clone:
    """A clone with a lake that holds the state's copy, and no state."""

    home: Path
    stack: RehearsedStack
    output: Callable[[], str]
    """What was printed since the last call."""

    def set_existing(self, *ids: str, **others: str) -> None:
        """Let the cloud have these resources of this stack, and ``others`` with the stack that they belong to."""
        foreign = {id_.replace("_", "-"): stack for id_, stack in others.items()}
        self._write("existing", {**dict.fromkeys(ids, "dev"), **foreign})

    @property
    def lake(self) -> FolderLake:
        return FolderLake(self.home / "lake")

    def set_copy(self, latest: dict[str, Any]) -> None:
        """Let the lake have a signed copy of this state."""
        state = {"version": 3, "deployment": latest}
        write_state_copy(self.lake, "dev", with_signature(self.stack, state))

    def set_program(self, *names: str) -> None:
        """Let the program have these resources."""
        self._write("program", names)

    def _write(self, name: str, content: Any) -> None:
        (self.home / "bin" / name).write_text(json.dumps(content))

    def discovered_resources(self, *_: Any) -> list[DiscoveredResource]:
        """The resources in the cloud that have this stack's tags."""
        existing = json.loads((self.home / "bin" / "existing").read_text())
        return [
            DiscoveredResource("aws:s3/bucket:Bucket", id_)
            for id_, stack in existing.items()
            if stack == "dev"
        ]

    def exit_code_when_killed_in(self, command: str) -> int | None:
        """The exit code of `make adopt` when it is killed during this command of Pulumi, as by `kill -9`."""
        file = self.home / "bin" / "kill_in"
        file.write_text(command)
        process = multiprocessing.get_context("fork").Process(
            target=adopt.adopt, args=(self.stack,)
        )
        process.start()
        process.join(30)
        file.unlink()
        return process.exitcode

    def ids_in_state(self) -> list[str] | None:
        """The ids in the state; None without one."""
        if not self.stack.state_file.exists():
            return None
        latest = json.loads(self.stack.state_file.read_text())["checkpoint"]["latest"]
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
    for module in (rehearsed_stack, trial_stack):
        monkeypatch.setattr(module, "HOME", tmp_path)
    monkeypatch.setattr(environment, "rehearsal_environment", dict)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)  # where `pulumi` is found
    monkeypatch.delenv("ALLOW", raising=False)
    variables = {"PULUMI_BACKEND_URL": f"file://{backend}?metadata=skip", "PATH": path}
    monkeypatch.setattr(environment, "pulumi_environment", lambda: variables)
    monkeypatch.setenv("PULUMI_BACKEND_URL", "")  # `make adopt` sets it: restored after the test
    monkeypatch.setattr(adopt, "ensure_models", lambda *_: None)
    monkeypatch.setattr(rehearsed_stack, "start_rehearsal", lambda: None)
    settings = SimpleNamespace(cloud="aws", environment="dev")
    monkeypatch.setattr(adopt, "read_settings", lambda _: settings)
    monkeypatch.setattr(account, "current_account", lambda *_: "111111111111")
    monkeypatch.setattr(lake_locations, "find_lakes", lambda *_: [str(tmp_path / "lake")])
    stack = RehearsedStack("dev", rehearsed_stack.SETTINGS)
    clone = Clone(tmp_path, stack, lambda: capfd.readouterr().out)
    monkeypatch.setattr(discovery, "discovered_resources", clone.discovered_resources)
    clone.set_copy(deployment("lake", "other"))
    clone.set_existing("lake", "other")
    clone.set_program("lake", "other")
    return clone


def test_adopt_takes_the_copy_of_the_state(clone: Clone) -> None:
    adopt.adopt(clone.stack)
    assert clone.ids_in_state() == ["lake", "other"]
    assert "Adopted 3 resources. The program would now create 0, replace 0" in clone.output()
    with pytest.raises(SystemExit, match="nothing to adopt"):
        adopt.adopt(clone.stack)


def altered(copy: bytes) -> bytes:
    return copy.replace(b'"other"', b'"otter"')


def unsigned(copy: bytes) -> bytes:
    return json.dumps(without_signature(json.loads(copy))[0]).encode()


def cut_off(copy: bytes) -> bytes:
    return copy[:100]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (altered, "its signature does not fit"),
        (unsigned, "it has no signature.*ALLOW=unsigned-copy"),
        (cut_off, "the copy of the state of stack dev in .* cannot be read"),
    ],
)
def test_a_copy_that_is_not_the_stacks_own_is_refused_and_adopt_goes_on_without_it(
    clone: Clone,
    change: Callable[[bytes], bytes],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = clone.lake.read(state_copy_name("dev"))
    assert copy
    clone.lake.write(state_copy_name("dev"), change(copy))
    monkeypatch.setenv("ALLOW", "" if change is unsigned else "unsigned-copy")
    with pytest.raises(
        SystemExit,
        match=f"(?s)Refused: .*{reason}.*Nothing was changed|{reason}.*ALLOW=without-copy",
    ):
        adopt.adopt(clone.stack)
    assert clone.ids_in_state() is None
    clone.set_existing("lake-1234567", "other-1234567")
    monkeypatch.setenv("ALLOW", "without-copy")
    adopt.adopt(clone.stack)
    assert "looking for existing resources by their names and tags" in clone.output()
    assert clone.ids_in_state() == ["lake-1234567", "other-1234567"]


def test_a_copy_of_a_former_version_is_adopted_if_that_is_allowed(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = clone.lake.read(state_copy_name("dev"))
    assert copy
    clone.lake.write(state_copy_name("dev"), unsigned(copy))
    monkeypatch.setenv("ALLOW", "unsigned-copy")
    adopt.adopt(clone.stack)
    assert "which nobody has signed" in clone.output()
    assert clone.ids_in_state() == ["lake", "other"]


def test_an_older_copy_that_somebody_has_put_back_is_named(clone: Clone) -> None:
    adopt.adopt(clone.stack)
    assert "put an older copy back" not in " ".join(clone.output().split())
    clone.stack.state_file.unlink()
    file = clone.home / "lake" / state_copy_name("dev")
    later = file.stat().st_mtime + 3600
    os.utime(file, (later, later))
    adopt.adopt(clone.stack)
    assert "put an older copy back" in " ".join(clone.output().split())


def test_a_refusal_changes_nothing_and_its_advice_works(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.set_existing("other")
    with pytest.raises(SystemExit, match=r"(?s)Refused: .*Nothing was changed.*ALLOW=vanished"):
        adopt.adopt(clone.stack)
    assert clone.ids_in_state() is None
    monkeypatch.setenv("ALLOW", guards.ALLOW_VANISHED)
    clone.output()
    adopt.adopt(clone.stack)
    assert clone.ids_in_state() == ["other"]
    assert "create aws:s3/bucket:Bucket lake: is gone" in clone.output()


def test_adopt_finds_resources_newer_than_the_copy_and_reports_missing_ones(clone: Clone) -> None:
    clone.set_program("lake", "other", "newer", "missing")
    clone.set_existing("lake", "other", "newer-1234567")
    with pytest.raises(SystemExit, match="may exist all the same"):
        adopt.adopt(clone.stack)
    assert "create aws:s3/bucket:Bucket missing: was not found" in clone.output()
    assert clone.ids_in_state() == ["lake", "other", "newer-1234567"]


def test_without_a_copy_resources_are_found_by_names_and_tags(clone: Clone) -> None:
    shutil.rmtree(clone.home / "lake")
    clone.set_existing("lake-1234567", "other-1234567", lake_7654321="dev-2", more_1234567="dev-2")
    clone.set_program("lake", "other", "more")
    with pytest.raises(SystemExit, match="may exist all the same"):
        adopt.adopt(clone.stack)
    output = clone.output()
    assert "Adopted 3 resources. The program would now create 1, replace 0 and change 0" in output
    assert "create aws:s3/bucket:Bucket more: was not found" in output, (
        "a resource of another stack is not adopted"
    )
    assert clone.ids_in_state() == ["lake-1234567", "other-1234567"]


def test_several_matches_change_nothing_until_allow_names_one(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(clone.home / "lake")
    clone.set_existing("lake-1234567", "lake-7654321", "other-1234567")
    with pytest.raises(
        SystemExit, match=r"2 resources may be lake .*lake-1234567, lake-7654321.*ALLOW="
    ):
        adopt.adopt(clone.stack)
    assert clone.ids_in_state() is None
    monkeypatch.setenv("ALLOW", "lake-7654321")
    adopt.adopt(clone.stack)
    assert clone.ids_in_state() == ["lake-7654321", "other-1234567"]


def test_adopt_refuses_when_no_resource_of_the_stack_exists(clone: Clone) -> None:
    shutil.rmtree(clone.home / "lake")
    clone.set_existing(lake_7654321="dev-2")
    with pytest.raises(SystemExit, match=r"no resource exists that carries its tags .*stack=dev\)"):
        adopt.adopt(clone.stack)
    assert clone.ids_in_state() is None


def test_a_cloud_that_refuses_to_list_does_not_count_as_empty(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> list[DiscoveredResource]:
        raise PermissionError("AccessDenied: tag:GetResources")

    monkeypatch.setattr(discovery, "discovered_resources", refused)
    clone.set_program("lake", "other", "newer")
    with pytest.raises(SystemExit, match=r"cannot be listed: AccessDenied.*Nothing was changed"):
        adopt.adopt(clone.stack)
    assert clone.ids_in_state() is None


def test_a_copy_from_another_account_is_refused_and_nothing_is_written(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(account, "current_account", lambda *_: "222222222222")
        with pytest.raises(SystemExit, match=r"111111111111.*222222222222.*Nothing was\s+changed"):
            adopt.adopt(clone.stack)
    assert clone.ids_in_state() is None
    adopt.adopt(clone.stack)
    assert clone.ids_in_state() == ["lake", "other"]


def test_a_broken_state_stays_in_place_until_adopt_succeeds(clone: Clone) -> None:
    clone.stack.state_file.parent.mkdir(parents=True)
    clone.stack.state_file.write_text("{half")
    clone.set_existing()
    with pytest.raises(SystemExit, match="Refused"):
        adopt.adopt(clone.stack)
    assert clone.stack.state_file.read_text() == "{half"
    assert not clone.stack.state_file.with_suffix(".broken").exists()
    clone.set_existing("lake", "other")
    adopt.adopt(clone.stack)
    assert clone.stack.state_file.with_suffix(".broken").read_text() == "{half"
    assert clone.ids_in_state() == ["lake", "other"]


@pytest.mark.parametrize("command", ["config", "refresh", "preview"])
def test_a_killed_adopt_changes_nothing_and_succeeds_when_run_again(
    clone: Clone, command: str
) -> None:
    assert clone.exit_code_when_killed_in(command) == -signal.SIGKILL
    assert clone.ids_in_state() is None
    adopt.adopt(clone.stack)
    assert clone.ids_in_state() == ["lake", "other"]
    assert not list(clone.home.glob(".pulumi/adopting*")), (
        "the folder of the killed run is removed, too"
    )


@pytest.mark.parametrize("writes", [1, 10**6], ids=["it ends soon", "it does not end"])
def test_adopt_succeeds_while_the_killed_runs_engine_still_writes(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """An engine outlives a killed `make adopt` for a while, and its folder is not empty when it is to be removed."""
    folder = clone.home / ".pulumi" / "adopting.dev.killed"
    (folder / "backend").mkdir(parents=True)
    remove, written = os.rmdir, []

    def rmdir(path: Any, **options: Any) -> None:
        if str(path) == str(folder) and len(written) < writes:
            written.append(folder / "events.json")
            written[-1].write_text("")
        remove(path, **options)

    monkeypatch.setattr(os, "rmdir", rmdir)
    monkeypatch.setattr(trial_stack, "REMOVAL_TIMEOUT", 0.5, raising=False)
    adopt.adopt(clone.stack)
    assert clone.ids_in_state() == ["lake", "other"]
    assert folder.exists() == (writes > 1)
    assert written


def test_pending_operations_of_the_copy_reach_the_recovery(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make up` copies the state into the lake also after the engine was killed."""
    bucket = {"urn": "urn:pulumi:dev::t::aws:s3/bucket:Bucket::c", "type": "aws:s3/bucket:Bucket"}
    creating = {"type": "creating", "resource": bucket}
    clone.set_copy(deployment("lake", pending_operations=[creating]))
    clone.set_program("lake")
    pending: list[Any] = []

    def recover(stack: Stack, _: Any) -> None:
        pending.extend(stack.export()["deployment"]["pending_operations"])

    monkeypatch.setattr(interrupted_run, "recover", recover)
    adopt.adopt(clone.stack)
    assert pending == [creating]


def test_a_lost_creation_in_the_log_of_the_last_run_is_recovered(clone: Clone) -> None:
    lost = {
        "urn": f"{PLATFORM}$aws:s3/bucket:Bucket::lost",
        "type": "aws:s3/bucket:Bucket",
        "inputs": {"bucket": "lost-1234567"},
    }
    event = {"resOpFailedEvent": {"metadata": {"op": "create", "new": lost}}}
    clone.stack.event_log.parent.mkdir(exist_ok=True)
    clone.stack.event_log.write_text(json.dumps(event))
    clone.set_existing("lake", "other", "lost-1234567")
    adopt.adopt(clone.stack)
    assert clone.ids_in_state() == ["lake", "other", "lost-1234567"]


def test_the_log_and_list_of_the_last_run_stay_until_adopt_succeeds(clone: Clone) -> None:
    clone.stack.event_log.parent.mkdir(exist_ok=True)
    clone.stack.unresolved_file.write_text("[]")
    failed = {"op": "create", "new": {"urn": "urn:pulumi:dev::t::a:b:C::c", "type": "a:b:C"}}
    log = json.dumps({"resOpFailedEvent": {"metadata": failed}})
    clone.stack.event_log.write_text(log)
    clone.set_existing()
    with pytest.raises(SystemExit, match="Refused"):
        adopt.adopt(clone.stack)
    assert clone.stack.event_log.read_text() == log, "as before the refused run"
    clone.set_existing("lake", "other")
    adopt.adopt(clone.stack)
    assert not clone.stack.event_log.exists()
    assert not clone.stack.unresolved_file.exists()


def test_a_list_of_the_former_version_is_read_and_then_removed(clone: Clone) -> None:
    former = clone.home / ".pulumi" / "doubts-dev.json"
    former.parent.mkdir(exist_ok=True)
    assert clone.stack.unresolved_file == former.with_name("unresolved-dev.json")
    former.write_text('[{"type": "updating", "resource": {"urn": "u"}}]')
    [operation] = interrupted_run.unresolved_operations({}, clone.stack.unresolved_file)
    assert operation["resource"]["urn"] == "u"
    adopt.adopt(clone.stack)
    assert not former.exists()
    assert clone.stack.unresolved_file.name == "unresolved-dev.json"
