"""The one command line of the operations, as `make` calls it."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from operations.__main__ import STACK_COMMANDS, _parser, main
from operations.commands import move
from operations.commands.registry import COMMANDS
from operations.delivery import gates
from operations.engine import chosen_stack, federated_token
from operations.engine.installation import HOME
from tests.processes import becomes

MAKEFILE = (HOME / "Makefile").read_text()
VARIABLES = {
    "": ["CLOUD=gcp", "STACK=staging"],
    "no cloud": ["STACK=staging"],
    "all variables": [
        *("CLOUD=gcp", "STACK=staging", "VERSION=abc", "BASE=HEAD", "TESTS=none", "P95_MS=1"),
        *("ERRORS=0.5", "ONLY=aws/create/kill-*", "SAMPLE=4", "SEED=7"),
    ],
}


@pytest.mark.parametrize("variables", VARIABLES.values(), ids=VARIABLES)
def test_each_command_of_the_makefile_is_parsed(variables: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):.*\n\t@.* -m operations ", MAKEFILE, re.M)
    assert {"up", "deliver", "release", "drift", "review", "drill", "crash"} <= set(targets)
    takes_stack = re.findall(r"^takes_stack := (.*)", MAKEFILE, re.M)[0].split()
    assert set(takes_stack) == set(
        re.findall(r"^([a-z-]+):.*\n.*\$\((?:of|named)_stack\)", MAKEFILE, re.M)
    )
    for target in targets:
        given = [word for word in variables if target in takes_stack or "STACK=" not in word]
        recipe = subprocess.run(
            ["make", "--dry-run", target, *given],
            cwd=HOME, check=True, capture_output=True, text=True, timeout=60,
        ).stdout.splitlines()  # fmt: skip
        (command,) = (line for line in recipe if " -m operations " in line)
        words = shlex.split(command.partition(" -m operations ")[2])
        assert _parser().parse_args(words).run


@pytest.mark.parametrize("selection", [*gates.TESTS, "none"])
def test_each_selection_of_tests_can_be_chosen_for_a_delivery(selection: str) -> None:
    assert _parser().parse_args(["deliver", "--tests", selection]).tests == selection


def test_every_command_on_a_stack_has_a_function_and_a_help_text() -> None:
    assert list(COMMANDS) == list(STACK_COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("cloud", ["", "gcp"])
def test_a_command_runs_on_the_stack_of_its_cloud(
    command: str, cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, str]] = []
    monkeypatch.setitem(COMMANDS, command, lambda stack: ran.append((command, stack)))
    monkeypatch.setattr(chosen_stack.RehearsedStack, "for_cloud", lambda name: name)
    main([command, cloud] if cloud else [command])
    assert ran == [(command, cloud)]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_on_the_stack_of_the_shell_that_is_named(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setitem(COMMANDS, command, ran.append)
    monkeypatch.setattr(chosen_stack.ShellStack, "named", lambda name: f"shell {name}")
    main([command, "--stack", "prod"])
    assert ran == ["shell prod"]


def test_a_command_on_a_stack_of_the_shell_signs_in_by_the_pipelines_token_and_no_other_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed_in: list[str] = []

    @contextmanager
    def renewed() -> Iterator[None]:
        signed_in.append("in")
        yield
        signed_in.append("out")

    monkeypatch.setattr(federated_token, "renewed", renewed)
    monkeypatch.setitem(COMMANDS, "up", lambda stack: signed_in.append(str(stack)))
    monkeypatch.setattr(chosen_stack.RehearsedStack, "for_cloud", lambda name: name)
    monkeypatch.setattr(chosen_stack.ShellStack, "named", lambda name: name)
    main(["up", "aws"])
    assert signed_in == ["aws"]
    main(["up", "--stack", "prod"])
    assert signed_in == ["aws", "in", "prod", "out"]


def test_a_cloud_together_with_a_stack_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"CLOUD=gcp and STACK=prod: .*Leave one of them out"):
        main(["up", "gcp", "--stack", "prod"])


@pytest.mark.parametrize("command", ["up", "drift", "evidence", "release", "guard"])
def test_an_empty_name_of_a_stack_is_not_the_rehearsal(command: str) -> None:
    """A pipeline's variable that is not set: the rehearsal would report no drift in its place."""
    with pytest.raises(SystemExit, match="STACK= is empty"):
        main([command, "--stack", ""])


def test_a_release_without_a_stack_is_refused() -> None:
    with pytest.raises(SystemExit, match="STACK is missing"):
        main(["release"])


@pytest.mark.parametrize("target", ["up", "destroy", "drift", "guard", "release"])
def test_a_stack_in_the_environment_is_not_acted_upon_unasked(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target],
        cwd=HOME, env={**os.environ, "STACK": "prod"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode
    assert "STACK=prod comes from the environment. Write it after the target" in done.stderr


@pytest.mark.parametrize(
    ("target", "word"),
    [
        *((target, "ALLOW") for target in ("up", "preview", "repair", "adopt", "guard", "move")),
        *((target, "ALLOW") for target in ("deliver", "release", "restore")),
        ("destroy", "DATA"),
        *(("backup", "BACKUP"), ("restore", "BACKUP")),
        *(("restore", "KEY"), ("move", "KEY")),
        ("release", "VERSION"),
    ],
)
def test_a_word_in_the_environment_overrules_nothing(target: str, word: str) -> None:
    """`DATA=destroy`, left by an `export`, destroyed the data of the next stack that was taken down."""
    environment = {**os.environ, word: "secret"}
    arguments = ["make", "--dry-run", target]
    run = partial(subprocess.run, cwd=HOME, capture_output=True, text=True, timeout=60)
    left = run(arguments, env=environment)
    assert left.returncode
    assert f"{word} comes from the environment, where it may have been left" in left.stderr
    assert "secret" not in left.stderr
    assert run([*arguments, f"{word}=chosen"], env=environment).returncode == 0
    assert run(arguments, env={**environment, word: ""}).returncode == 0


@pytest.mark.parametrize("target", ["deliver", "review", "drill", "crash", "policy", "move"])
def test_a_command_that_does_not_act_on_a_stack_of_the_shell_refuses_its_name(target: str) -> None:
    run = partial(subprocess.run, cwd=HOME, capture_output=True, text=True, timeout=60)
    refused = run(["make", "--dry-run", target, "STACK=prod"])
    assert refused.returncode
    assert f"STACK=prod: make {target} does not act on it" in refused.stderr
    # A pipeline's job may have a variable of that name.
    assert run(["make", "--dry-run", target], env={**os.environ, "STACK": "prod"}).returncode == 0
    assert run(["make", "--dry-run", target, "release", "STACK=prod"]).returncode == 0


@pytest.mark.parametrize(
    ("target", "word", "value"),
    [
        ("review", "BASE", "origin/x;>{made}"),
        ("review", "BASE", "origin/`>{made}`"),
        ("review", "BASE", "$(shell >{made})"),
        ("release", "VERSION", "x;>{made}"),
        ("release", "VERSION", '";>{made};"'),
        ("release", "VERSION", "$(shell >{made})"),
    ],
)
def test_neither_make_nor_its_shell_runs_what_is_in_the_name_of_a_branch_or_in_an_artifact(
    target: str, word: str, value: str, tmp_path: Path
) -> None:
    """CI passes them on: https://docs.github.com/actions/concepts/security/script-injections"""
    made = tmp_path / "made"
    subprocess.run(
        [
            *("make", target, f"{word}={value.format(made=made)}", "python=echo"),
            *("system_python=true", *(["STACK=prod"] if target == "release" else [])),
        ],
        cwd=HOME,
        timeout=60,
    )
    assert not made.exists()


@pytest.mark.parametrize("words", [["FROM=aws", "TO=gcp"], []])
def test_a_move_is_between_what_the_command_line_names(words: list[str]) -> None:
    environment = {**os.environ, "FROM": "prod-aws", "TO": "prod-gcp"}
    done = subprocess.run(
        ["make", "--dry-run", "move", *words],
        cwd=HOME, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    expected = 'move "aws" "gcp"' if words else 'move "" ""'
    assert expected in done.stdout


@pytest.mark.parametrize(("stack", "signed_in"), [("aws", []), ("prod", ["in"])])
def test_a_move_between_stacks_of_the_shell_signs_in_by_the_pipelines_token(
    stack: str, signed_in: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    @contextmanager
    def renewed() -> Iterator[None]:
        done.append("in")
        yield

    one = (
        move.ShellStack(stack, HOME / "x") if signed_in else move.RehearsedStack(stack, HOME / "x")
    )
    monkeypatch.setattr(federated_token, "renewed", renewed)
    monkeypatch.setattr(move, "stacks_of_move", lambda *_: (one, one))
    monkeypatch.setattr(move, "move", lambda *_: None)
    main(["move", stack, "other"])
    assert done == signed_in


def test_ctrl_c_ends_a_command_in_one_line_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "up", interrupted)
    monkeypatch.setattr(chosen_stack.ShellStack, "named", lambda name: name)
    with pytest.raises(SystemExit) as left:
        main(["up", "--stack", "prod"])
    assert left.value.code == 130
    stderr = capsys.readouterr().err
    assert "run the same command again" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("text", ["", "error: no stack selected", "[]", '{"steps": [', '{"a": 1}'])
def test_a_comment_about_what_is_no_preview_is_refused_without_a_traceback(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(SystemExit, match="No comment: the preview is not, or not completely"):
        main(["comment"])


def test_a_comment_about_a_failed_preview_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {"diagnostics": [{"severity": "error", "message": "no such region"}]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(failed)))
    main(["comment", "staging"])
    printed = capsys.readouterr().out
    assert printed.startswith("### staging")
    assert "no such region" in printed


def test_an_unknown_command_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["upp"])
    assert left.value.code == 2
    assert "restore" in capsys.readouterr().err


def test_make_runs_the_operations_by_this_command_line_only() -> None:
    assert "-m operations up" in MAKEFILE
    assert not re.findall(r"-m operations\.", MAKEFILE)


def test_what_a_command_starts_takes_interrupts_also_in_the_background_of_a_script() -> None:
    code = (
        "import subprocess, sys\n"
        "from operations.__main__ import main\n"
        "try: main(['no-such-command'])\n"
        "except SystemExit: pass\n"
        "shown = 'import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)'\n"
        "subprocess.run([sys.executable, '-c', shown])\n"
    )
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, code],
        cwd=HOME,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "operations", "env"],
        ["-m", "rehearsal", "status"],
        ["-m", "tools.interruptible", "tools.secret_scan"],
        ["tools/bootstrap.py"],
    ],
    ids=lambda words: words[-1],
)
def test_ctrl_c_while_a_program_imports_its_modules_gives_no_traceback(
    command: list[str], tmp_path: Path
) -> None:
    """Each imports one that takes long, and is interrupted in it."""
    slow = (
        "import pathlib, time\npathlib.Path(__file__).with_name('begun').touch()\ntime.sleep(30)\n"
    )
    for module in ("fcntl", "detect_secrets", "hashlib", "shlex"):
        (tmp_path / f"{module}.py").write_text(slow)
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=HOME,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(HOME)])},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert becomes((tmp_path / "begun").exists, 30)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in printed


def test_make_runs_each_program_in_a_way_that_ctrl_c_ends_without_a_traceback() -> None:
    """These take signals themselves; any other is run by tools.interruptible."""
    programs = set(re.findall(r"\$\(python\) -m ([\w.]+)", MAKEFILE))
    assert programs == {"operations", "rehearsal", "training", "tools.interruptible", "pytest"}
