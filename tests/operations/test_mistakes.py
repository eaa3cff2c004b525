"""A mistake in the stack file, in a variable of `make` or in the environment: the place, the rule, the way out, no traceback."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operations import __main__, machine_errors
from operations.commands import preparation
from operations.commands.registry import COMMANDS
from operations.data import lake_locations
from operations.delivery import review
from operations.delivery.load_gate import LoadGate
from operations.engine import guards, rehearsed_stack
from operations.engine.installation import HOME
from operations.engine.rehearsed_stack import RehearsedStack

EXAMPLE = rehearsed_stack.SETTINGS.read_bytes()
# What can stand in an argument or in the environment: no NUL.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
FEW_SECONDS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["upp"], "COMMAND=upp: not possible. Allowed: up, "),
        (["upp"], "Did you mean up?"),
        ([], "the command is missing. `make help` lists them."),
        (["up", "aws", "gcp"], "gcp: more than this command takes. A variable has one word"),
        (["deliver", "--tests", "fsat"], "make deliver: TESTS=fsat: not possible. Allowed: fast,"),
        (["deliver", "--p95-ms", "soon"], "make deliver: P95_MS=soon: a number is needed."),
        (["crash", "--sample", "few"], "make crash: SAMPLE=few: a whole number is needed."),
    ],
)
def test_a_mistake_on_the_command_line_is_a_sentence_and_no_usage(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        __main__.main(words)
    printed = capsys.readouterr().err
    assert left.value.code == 2
    assert message in printed
    assert printed.endswith("Nothing was done.\n")
    assert "usage:" not in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tests.soak", "few"], "make soak: FILES=few: a whole number above 0 is needed."),
        (["tests.soak", "0"], "make soak: FILES=0: a whole number above 0 is needed."),
        (["bench.serving", "--rounds", "0"], "ROUNDS=0: a whole number above 0 is needed."),
        (["bench.platform", "asw"], "CLOUD=asw: no such cloud. Allowed: aws, gcp, azure."),
        (["bench.first_prediction", "x"], "x: there are only installed and built."),
        (["tools.mutation", "--sample", "x"], "make mutate: SAMPLE=x: a whole number above 0"),
        (
            ["policy", "asw"],
            "CLOUD=asw: not possible. Allowed: aws, gcp, azure. Did you mean aws?",
        ),
        (["operations.drill.command", "upp", "aws"], "TARGET=upp: not possible. Allowed: up,"),
        (["training", "trian"], "trian: not possible. Allowed: train"),
        (["bench.gateway", "--rounds", "0"], "ROUNDS=0: a whole number above 0 is needed."),
        (["rehearsal", "strat"], "python -m rehearsal: argument command"),
    ],
)
def test_a_mistake_on_any_other_command_line_is_a_sentence_and_no_usage(
    words: list[str], message: str
) -> None:
    path = {"PYTHONPATH": os.pathsep.join([str(HOME), str(HOME / "lambda")])}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=HOME, env={**os.environ, **path}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "usage:" not in done.stderr
    assert "Traceback" not in done.stderr


def test_every_program_of_the_platform_has_the_one_command_line() -> None:
    """argparse's own prints its usage in place of a sentence. The rehearsal and what runs in a cloud import nothing of the rest."""
    folders = ("bench", "components", "config", "operations", "policy", "tests/soak", "tools")
    own = [
        str(file.relative_to(HOME))
        for folder in folders
        for file in sorted((HOME / folder).rglob("*.py"))
        if re.search(r"\bargparse\.ArgumentParser\(", file.read_text())
    ]
    assert own == []


def test_a_shell_of_any_locale_runs_the_programs_in_utf_8() -> None:
    """In a locale of Latin-1 the `•` of a line of progress ended `make up` with a traceback."""
    shown = (
        "import sys, locale; print(sys.stdout.encoding, locale.getpreferredencoding(), '\\u2022')"
    )
    done = subprocess.run(
        ["make", "-s", "env", f'python={sys.executable} -c "{shown}" #'],
        cwd=HOME,
        env={**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=60,
    )
    assert done.stdout.decode() == "utf-8 utf-8 •\n", done.stderr


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"p95_ms": float("nan")}, "P95_MS=nan: milliseconds above 0 are needed"),
        ({"p95_ms": -1.0}, "P95_MS=-1: milliseconds above 0 are needed"),
        ({"errors": 2.0}, "ERRORS=2: a share from 0 to 1 is needed"),
        ({"errors": float("nan")}, "ERRORS=nan: a share from 0 to 1 is needed"),
    ],
)
def test_a_limit_that_nothing_can_meet_is_refused(given_: dict[str, float], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        LoadGate.from_settings(given_)


def test_a_base_that_is_no_commit_is_refused_with_gits_reason_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(review.preparation, "prepare", lambda _: pytest.fail("it was prepared"))
    with pytest.raises(SystemExit, match=r"BASE=nonsense: fatal: .*Nothing was done"):
        review.review_changes("", "nonsense")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of `dev` in a clone that has no state; no command changes anything."""
    monkeypatch.setattr(rehearsed_stack, "SETTINGS", tmp_path / "Pulumi.dev.yaml")
    monkeypatch.setattr(rehearsed_stack, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setattr(rehearsed_stack, "HOME", tmp_path)
    for name in COMMANDS:
        monkeypatch.setitem(COMMANDS, name, lambda _: None)
    for name in ("_deliver", "_release", "_drift", "_evidence", "_review", "_drill", "_crash"):
        monkeypatch.setattr(__main__, name, lambda _: None)
    return tmp_path


def damaged(cuts: list[tuple[int, int, bytes]]) -> bytes:
    """The worked example with pieces of it replaced."""
    text = EXAMPLE
    for start, length, piece in cuts:
        at = start % (len(text) + 1)
        text = text[:at] + piece + text[at + length :]
    return text


PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([b"\t", b": ", b"- ", b"{", b"[", b"&a *a ", b"!!set ", b"no", b"1e999", b"'"]),
)
CUTS = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 60), PIECES), min_size=1, max_size=4)


@given(cuts=CUTS, cloud=st.sampled_from(["", "gcp"]))
@FEW_SECONDS
def test_a_damaged_stack_file_is_valid_or_gives_a_message_that_names_it(
    cuts: list[tuple[int, int, bytes]], cloud: str, clone: Path
) -> None:
    (clone / "Pulumi.dev.yaml").write_bytes(damaged(cuts))
    try:
        preparation.read_settings(RehearsedStack.for_cloud(cloud))
    except SystemExit as left:
        assert str(left).startswith("Pulumi.dev.yaml"), left  # noqa: PT017  # not raising is fine too


@given(
    command=st.sampled_from(["up", "destroy", "deliver", "release", "crash", "drill", "guard"]),
    option=st.sampled_from(["", "--stack", "--tests", "--p95-ms", "--seed", "--version"]),
    value=TEXTS,
)
@FEW_SECONDS
def test_any_word_in_a_variable_of_make_is_accepted_or_answered_in_a_sentence(
    command: str, option: str, value: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "Pulumi.dev.yaml").write_bytes(EXAMPLE)
    words = [command, option, value] if option else [command, value]
    if value in ("-h", "--help") or (command == "guard" and option != "--stack"):
        return  # the help, and a preview on stdin
    try:
        __main__.main(words)
    except SystemExit as left:
        printed = f"{left.code}{capsys.readouterr().err}"
        assert len(printed) > 20  # not raising is fine too
        assert "Traceback" not in printed
        assert "usage:" not in printed


@given(value=TEXTS)
@FEW_SECONDS
def test_any_text_in_the_environment_is_accepted_or_answered_in_a_sentence(value: str) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ALLOW", value)
        assert isinstance(guards.allowed(), frozenset)
    for backup in (value, f"~{value}", f"https:{value}"):
        try:
            lake_locations.open_lake(backup)
        except ValueError as error:
            assert len(str(error)) > 20  # noqa: PT017  # not raising is fine too


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (OSError(errno.ENOSPC, "", "/disk/x"), ["/disk/x: No space left", "Make room"]),
        (OSError(errno.EROFS, "", "/ro/x"), ["/ro/x: Read-only file system", "written to"]),
        (OSError(errno.EACCES, "", "/r/x"), ["/r/x: Permission denied", "Let this user"]),
        (FileNotFoundError(errno.ENOENT, "", "pulumi"), ["pulumi: there is no such program"]),
        (
            subprocess.CalledProcessError(128, ["git", "log"], stderr="fatal: not a repository"),
            ["fatal: not a repository", "the answer of: git log"],
        ),
    ],
)
def test_an_error_of_the_machine_is_its_reason_and_the_way_out(
    error: Exception, parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise error

    monkeypatch.setattr(__main__, "_drill", failing)
    with pytest.raises(SystemExit) as left:
        __main__.main(["drill"])
    for part in parts:
        assert part in str(left.value)
    assert "run the same command again" in str(left.value) or "make install" in str(left.value)


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    assert machine_errors.explanation(KeyError("x")) is None


@pytest.mark.parametrize("command", [["-m", "rehearsal", "start"], ["tools/bootstrap.py"]])
def test_a_home_that_cannot_be_written_to_is_one_sentence_with_the_way_out(
    command: list[str], tmp_path: Path
) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.26.0 linux/amd64\n")
    go.chmod(0o755)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=HOME,
        env={
            **os.environ,
            "PATH": f"{tmp_path}:/usr/bin:/bin",  # without an installed Pulumi, which would need no folder
            "PYTHONPATH": str(HOME),
            "XDG_CACHE_HOME": "/dev/null/cache",
            "TRIPLANE_REHEARSAL_DIR": str(tmp_path / "state"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "/dev/null/cache" in done.stderr
    assert "XDG_CACHE_HOME" in done.stderr
    assert "Traceback" not in done.stderr
