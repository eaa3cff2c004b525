"""Pulumi's command line on one stack: what it runs, and what it returns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from operations import machine_errors
from operations.engine.installation import HOME
from operations.engine.pulumi_cli import PulumiCli, run_watched
from tests.operations.engine.test_disk_space import free_space


@pytest.fixture
def pulumi(tmp_path: Path) -> PulumiCli:
    """The driver, with a stand-in for pulumi: `stand_in` writes it."""
    return PulumiCli("dev", Path("Pulumi.dev.yaml"), {"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def stand_in(tmp_path: Path, script: str) -> None:
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_command_names_its_stack_and_its_stack_file(pulumi: PulumiCli) -> None:
    command = pulumi.command("up", "--yes")
    assert command == [
        *("pulumi", "up", "--yes"),
        *("--stack", "dev", "--config-file", "Pulumi.dev.yaml"),
    ]


def test_commands_on_the_state_take_no_stack_file(pulumi: PulumiCli) -> None:
    assert pulumi.command("stack", "export") == ["pulumi", "stack", "export", "--stack", "dev"]
    assert pulumi.command("cancel", "--yes") == ["pulumi", "cancel", "--yes", "--stack", "dev"]


def test_json_of_a_command_is_parsed_and_no_output_is_an_empty_answer(
    pulumi: PulumiCli, tmp_path: Path
) -> None:
    stand_in(tmp_path, """echo '{"steps": []}'""")
    assert pulumi.json("preview", "--json") == {"steps": []}
    stand_in(tmp_path, "exit 0")
    assert pulumi.json("preview", "--json") == {}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            """echo '{"diagnostics": [{"message": "quota"}]}'; echo noise >&2; exit 255""",
            "^quota$",
        ),
        ("echo half; echo 'no such stack' >&2; exit 255", "^no such stack$"),
        ("echo only this; exit 255", "^only this$"),
        ("echo incorrect passphrase >&2; exit 255", "PULUMI_CONFIG_PASSPHRASE"),
    ],
)
def test_a_failed_command_ends_the_run_with_the_reason_of_pulumi(
    pulumi: PulumiCli, tmp_path: Path, script: str, reason: str
) -> None:
    stand_in(tmp_path, script)
    with pytest.raises(SystemExit, match=reason):
        pulumi.json("preview", "--json")


def test_text_for_stdin_reaches_the_command(pulumi: PulumiCli, tmp_path: Path) -> None:
    stand_in(tmp_path, "cat")
    assert pulumi.output("stack", "import", stdin="a state") == "a state"


def test_a_stack_is_created_in_its_folder_and_selected_only_on_request(
    pulumi: PulumiCli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path, 'echo "$(pwd) $*"')
    pulumi.create_stack(tmp_path)
    pulumi.create_stack(tmp_path, select=True)
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path} stack init dev --no-select",
        f"{tmp_path} stack init dev",
    ]


def test_the_engine_is_stopped_before_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(7))\n"
        "time.sleep(60)"
    )
    free_space(monkeypatch, 15)
    assert run_watched([sys.executable, "-c", ends], dict(os.environ)) == 7
    text = capsys.readouterr().out
    assert "stopping the engine" in text
    assert "15.0 MiB free" in text


def test_an_engine_with_enough_disk_space_is_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    free_space(monkeypatch, 17)
    command = [sys.executable, "-c", "import time; time.sleep(1.2)"]
    assert run_watched(command, dict(os.environ)) == 0


def test_stderr_of_the_engine_is_shown_and_collected(
    capfd: pytest.CaptureFixture[str],
) -> None:
    lines: list[str] = []
    assert (
        run_watched(
            ["sh", "-c", "echo out; echo no >&2; exit 3"], dict(os.environ), stderr_lines=lines
        )
        == 3
    )
    assert lines == ["no\n"]
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("out\n", "no\n")


def test_a_missing_pulumi_is_an_error_of_this_machine_also_where_it_runs_in_the_terminal() -> None:
    """A shell starts it there, whose own reason was `sh: exec: pulumi: not found`."""
    cli = PulumiCli("dev", Path("Pulumi.dev.yaml"), {"PATH": "/nonexistent"})
    with pytest.raises(FileNotFoundError) as missing:
        cli.stream("up")
    assert "pulumi: there is no such program" in str(machine_errors.explanation(missing.value))


def test_a_reader_that_leaves_does_not_end_the_engine_and_ends_the_command_without_a_word(
    tmp_path: Path,
) -> None:
    """`make up | head -1`: the engine's own write into the pipe ended it in the middle of its operations."""
    engine = "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; touch done"
    code = (
        "import os, pathlib\n"
        "from operations.engine.pulumi_cli import run_watched\n"
        "from operations.terminal import end_with_reader, say\n"
        "with end_with_reader():\n"
        f"    code = run_watched(['sh', '-c', {engine!r}], os.environ, pathlib.Path({str(tmp_path)!r}))\n"
        "    say(f'the engine has left with {code}')\n"
    )
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | head -1; echo "${PIPESTATUS[0]}"', sys.executable, code],
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["line 1", "141"]
    assert done.stderr == ""
    assert (tmp_path / "done").exists()
