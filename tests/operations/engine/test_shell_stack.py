"""A stack of the shell's environment: its stack file, its backend, and what Pulumi reports about its state."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from components.stack_place import Move
from operations.engine import installation, shell_stack
from operations.engine.environment import backend_url
from operations.engine.shell_stack import ShellStack
from operations.started_processes import ENDS_BY_ITSELF

REMOTE = "s3://states?region=eu-west-1"


class FakePulumi:
    """A stand-in for `pulumi` that prints what a test gives it, by its first words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "pulumi"
        program.write_text(
            "#!/bin/sh\n"
            f'echo "$*" >> {folder}/calls\n'
            'for answer in "$(dirname "$0")/$1-$2" "$(dirname "$0")/$1"; do\n'
            '  [ -e "$answer.error" ] && { cat "$answer.error" >&2; exit 255; }\n'
            '  [ -e "$answer" ] && exec cat "$answer"\n'
            "done\n"
            "exit 0\n"
        )
        program.chmod(0o755)

    def answers(self, command: str, text: str) -> None:
        (self.folder / command).write_text(text)

    def refuses(self, command: str, text: str) -> None:
        (self.folder / f"{command}.error").write_text(text)

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePulumi:
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    monkeypatch.setattr(shell_stack.environment, "pulumi_environment", lambda: path)
    monkeypatch.setenv("PATH", path["PATH"])
    fake = FakePulumi(tmp_path)
    fake.answers("whoami", json.dumps({"url": REMOTE}))
    return fake


@pytest.fixture
def prod(pulumi: FakePulumi, tmp_path: Path) -> ShellStack:
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text("config:\n  triplane:cloud: aws\n")
    return ShellStack("prod", file)


def state(**deployment: object) -> str:
    return json.dumps({"version": 3, "deployment": deployment})


def test_a_stack_without_a_stack_file_is_refused_with_the_name_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shell_stack, "SCRATCH", tmp_path)
    with pytest.raises(SystemExit, match=r"Pulumi\.elsewhere\.yaml"):
        ShellStack.named("elsewhere")


def test_the_stack_of_an_organization_has_the_stack_file_of_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pulumi: FakePulumi
) -> None:
    monkeypatch.setattr(shell_stack, "HOME", tmp_path)
    (tmp_path / "Pulumi.prod.yaml").write_text("")
    stack = ShellStack.named("acme/prod")
    assert (stack.name, stack.file) == ("prod", tmp_path / "Pulumi.prod.yaml")
    assert stack.cli.command("stack", "export")[-1] == "acme/prod"
    assert stack.make("up") == "make up STACK=acme/prod"
    line = "make restore STACK=acme/prod BACKUP=… KEY=keep"
    assert stack.make("restore BACKUP=… KEY=keep") == line


def test_nothing_of_the_rehearsal_is_added_to_the_shells_environment(
    prod: ShellStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", REMOTE)
    added = prod.environment.items() - os.environ.items()
    assert {name for name, _ in added} == {"PULUMI_DEBUG_COMMANDS", ENDS_BY_ITSELF}
    assert prod.environment["PULUMI_BACKEND_URL"] == REMOTE


def test_a_stack_of_another_backend_is_refused_while_the_shell_has_the_rehearsals_endpoints(
    prod: ShellStack, pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {**shell_stack.environment.pulumi_environment(), "PULUMI_BACKEND_URL": "file:///own"}
    monkeypatch.setattr(shell_stack.environment, "pulumi_environment", lambda: own)
    monkeypatch.setenv("TRIPLANE_REHEARSAL_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("PULUMI_BACKEND_URL", REMOTE)
    with pytest.raises(SystemExit, match=r"Nothing was changed\. Open another shell for a real"):
        prod.start()
    assert pulumi.calls == []
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///own")
    ShellStack(prod.name, prod.file).start()


def test_a_stack_that_the_backend_does_not_have_is_named_with_the_backend_and_the_ways_out(
    prod: ShellStack, pulumi: FakePulumi
) -> None:
    pulumi.refuses("stack-export", "error: no stack named 'prod' found")
    assert not prod.exists()
    reason = prod.missing()
    assert reason
    for word in (REMOTE, "make adopt STACK=prod", "pulumi stack init prod", "PULUMI_BACKEND_URL"):
        assert word in reason


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        ('error: read ".pulumi/meta.yaml": dial tcp: no such host', "reachable from here"),
        ("error: error listing stacks: could not list bucket: NoSuchBucket", "does it exist"),
        ("error: could not list bucket: api error ExpiredToken: The token", "aws sso login"),
        ("error: could not list bucket: StatusCode: 403, AccessDenied", "and may not do this"),
        ("error: PULUMI_ACCESS_TOKEN must be set for login during", "pulumi login"),
    ],
)
def test_a_backend_that_does_not_answer_is_explained_before_anything_is_changed(
    prod: ShellStack, pulumi: FakePulumi, error: str, way_out: str
) -> None:
    pulumi.refuses("whoami", error)
    with pytest.raises(SystemExit, match=way_out) as left:
        prod.start()
    assert error in str(left.value)
    assert [call.split()[0] for call in pulumi.calls] == ["whoami"]


def test_a_backend_that_never_answers_is_given_up(
    prod: ShellStack, pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_stack, "ANSWER_SECONDS", 0.2)
    (pulumi.folder / "pulumi").write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(SystemExit, match=r"gave no answer .*PULUMI_BACKEND_URL"):
        prod.exists()


@pytest.mark.parametrize(
    "error",
    [
        "error: failed to load checkpoint: unsupported checkpoint version 99",
        "error: the stack 'prod' uses features that are not supported by this version of the Pulumi CLI: x."
        " Please update your version of the Pulumi CLI",
        "error: the stack 'prod' is newer than what this version of the Pulumi CLI understands",
        "error: state store unsupported: 'meta.yaml' version (7) is not supported by this version of the Pulumi CLI",
    ],
)
def test_a_state_of_a_newer_pulumi_is_refused_with_the_way_out(
    prod: ShellStack, pulumi: FakePulumi, error: str
) -> None:
    pulumi.refuses("stack-export", error)
    with pytest.raises(SystemExit, match="Install a Pulumi that is at least as new"):
        prod.exists()


@pytest.mark.parametrize(
    "printed",
    [
        '{"version": 3, "deployment": null}',
        '{"version": 3, "deployment": {"resources": [1], "resources": []}}',
        "",
    ],
)
def test_a_state_that_cannot_be_read_is_no_empty_stack(
    prod: ShellStack, pulumi: FakePulumi, printed: str
) -> None:
    """Pulumi takes other JSON for a stack without resources, and would create everything again."""
    if printed:
        pulumi.answers("stack-export", printed)
    else:
        half = "error: failed to load checkpoint: place 1: unexpected end of JSON input"
        pulumi.refuses("stack-export", half)
    problem = prod.state_problem()
    assert problem
    assert REMOTE in problem
    with pytest.raises(SystemExit, match=r"versions.*prod\.json.*make adopt STACK=prod"):
        prod.set_broken_state_aside()


def test_the_last_run_of_a_stack_elsewhere_is_not_the_one_of_a_stack_of_this_name_here(
    prod: ShellStack, pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shell_stack, "HOME", tmp_path)
    here = prod.event_log
    pulumi.answers("whoami", json.dumps({"url": "gs://other"}))
    elsewhere = ShellStack(prod.name, prod.file).event_log
    assert here != elsewhere
    assert here.parent.is_dir(), (
        "a recovery writes there, also on a machine that never ran an update"
    )
    assert here.parent.parent == elsewhere.parent.parent
    pulumi.answers("whoami", json.dumps({"url": "s3://states?region=us-east-1"}))
    assert ShellStack(prod.name, prod.file).event_log == here, "the same bucket"


def test_a_lock_in_a_bucket_is_reported_with_the_way_out_and_kept(
    prod: ShellStack, pulumi: FakePulumi, capfd: pytest.CaptureFixture[str]
) -> None:
    pulumi.refuses(
        "up",
        "error: the stack is currently locked by 1 lock(s).\n"
        "  s3://states/x.json: created by ci@gone (pid 7) at 2026-01-01T00:00:00Z\n",
    )
    prod.remove_stale_locks()  # there is no lock that it could see or may remove
    with pytest.raises(SystemExit):
        prod.update("up")
    stderr = capfd.readouterr().err
    assert stderr.count("currently locked by 1 lock(s)") == 1
    assert "s3://states/x.json, created" in stderr
    assert "by process 7 of ci on gone" in stderr
    assert "pulumi cancel --stack prod" in stderr
    assert not [call for call in pulumi.calls if call.startswith("cancel")]


def test_credentials_that_end_in_an_update_are_explained(
    prod: ShellStack,
    pulumi: FakePulumi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A provider's errors are in the event log, and on stdout, which goes to the terminal."""
    monkeypatch.setattr(shell_stack, "HOME", tmp_path)
    expired = {"severity": "error", "message": "error: ExpiredToken: The security token"}
    prod.event_log.write_text(json.dumps({"diagnosticEvent": expired}) + '\n{"half')
    pulumi.refuses("up", "")
    with pytest.raises(SystemExit) as left:
        prod.update("up")
    assert left.value.code == 255
    assert capfd.readouterr().err.count("aws sso login") == 1


def test_stale_locks_are_removed_from_a_backend_in_a_folder_of_this_machine(
    prod: ShellStack, pulumi: FakePulumi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unlocked: list[Path] = []
    monkeypatch.setattr(shell_stack, "remove_stale_locks", lambda locks, _: unlocked.append(locks))
    prod.remove_stale_locks()
    assert unlocked == []
    for folder in (tmp_path / "states", tmp_path / "50% #1?"):
        pulumi.answers("whoami", json.dumps({"url": backend_url(folder)}))
        ShellStack("prod", prod.file).remove_stale_locks()
        assert unlocked.pop() == folder / ".pulumi" / "locks"


def test_a_lost_stack_is_created_with_the_key_that_its_file_names(
    prod: ShellStack, pulumi: FakePulumi
) -> None:
    """Pulumi itself would choose a passphrase."""
    prod.file.write_text("secretsprovider: awskms://alias/states\n")
    pulumi.refuses("stack-export", "error: no stack named 'prod' found")
    prod.init()
    assert "stack init prod --no-select --secrets-provider awskms://alias/states" in pulumi.calls


def test_a_stack_in_another_place_is_created_in_the_same_organization(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_stack, "typed_pulumi", lambda: "pulumi")
    stack = ShellStack("prod", tmp_path / "Pulumi.prod.yaml", "acme")
    assert stack.built_elsewhere([Move("triplane:cloud", "aws", "gcp")]) == (
        "grep -v ^encrypt Pulumi.prod.yaml > Pulumi.prod-gcp.yaml"
        " && pulumi stack init acme/prod-gcp && make up STACK=acme/prod-gcp"
    )


def test_a_command_of_pulumi_is_printed_as_the_shell_can_run_it(
    prod: ShellStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = "stack output gateway_key --show-secrets"
    assert prod.pulumi_line(words) == f"pulumi {words} --stack prod"
    of_acme = ShellStack("prod", prod.file, "acme")
    assert of_acme.pulumi_line(words) == f"pulumi {words} --stack acme/prod"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    own = str(installation.pulumi_bin() / "pulumi")
    assert prod.pulumi_line(words) == f"{own} {words} --stack prod"


def test_a_command_for_a_stack_of_the_rehearsals_shell_works_in_any_shell(
    prod: ShellStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make` prints such a line for another stack itself: the person's own shell has another backend, or none."""
    monkeypatch.setattr(shell_stack, "typed_pulumi", lambda: "pulumi")
    monkeypatch.setenv("TRIPLANE_REHEARSAL_URL", "http://127.0.0.1:1")
    stack = ShellStack("prod", prod.file)
    assert stack.make("key") == '(eval "$(make -s env)"; make key STACK=prod)'
    all_of_it = '(eval "$(make -s env)"; make destroy STACK=prod DATA=destroy)'
    assert stack.make("destroy DATA=destroy") == all_of_it
    assert stack.pulumi_line("stack ls") == '(eval "$(make -s env)"; pulumi stack ls --stack prod)'
    line = stack.built_elsewhere([Move("triplane:cloud", "aws", "gcp")])
    assert line.startswith('(eval "$(make -s env)"; grep ')


def test_a_stack_with_pulumi_clouds_own_key_is_not_adopted_in_a_folder(
    prod: ShellStack, pulumi: FakePulumi
) -> None:
    assert prod.not_adoptable() is None
    pulumi.answers("whoami", json.dumps({"url": "https://app.pulumi.com/acme"}))
    reason = ShellStack("prod", prod.file).not_adoptable()
    assert reason
    assert "stack export --version … --file state.json --stack prod" in reason
    assert "pulumi stack history --stack prod;" in reason
