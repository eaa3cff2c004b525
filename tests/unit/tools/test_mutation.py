"""What `make mutate` changes, which tests it chooses, and how it counts."""

from __future__ import annotations

import argparse
import tomllib
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from operations.engine.installation import HOME
from tools.mutation import __main__ as command
from tools.mutation.__main__ import KEPT, NO_TEST, Score, below_their_floors, interval
from tools.mutation.mutants import Mutant, mutants_of
from tools.mutation.selection import Record, importers
from tools.mutation.trial import KILLED, SURVIVED, TIMEOUT, outcome

SOURCE = '''"""A docstring."""
LIMIT: Literal["a"] = 3

def refused(size: int, log: str = "x") -> str:
    """Whether 4 is too many."""
    if size > LIMIT and not log:
        raise ValueError("too-many", 4)
    say("kept-apart")
    fail("kept-apart")
    return bucket("name", retain=True, description="for-a-reader")
'''


@pytest.fixture
def mutants(tmp_path: Path) -> list[Mutant]:
    (tmp_path / "module.py").write_text(SOURCE)
    return mutants_of(tmp_path / "module.py", "module.py")


def changes(mutants: list[Mutant]) -> set[tuple[str, str]]:
    return {(each.before, each.after) for each in mutants}


def test_comparisons_conditions_constants_options_and_statements_are_changed(
    mutants: list[Mutant],
) -> None:
    call = 'bucket("name", retain=True, description="for-a-reader")'
    assert changes(mutants) == {
        ("3", "4"),
        ('"x"', "'XXx'"),
        ("size > LIMIT and not log", "(size > LIMIT or not log)"),
        ("size > LIMIT", "(size >= LIMIT)"),
        ("not log", "(log)"),
        ('raise ValueError("too-many", 4)', "pass"),
        ('"too-many"', "'XXtoo-many'"),
        ("4", "5"),
        ('fail("kept-apart")', "pass"),
        (call, "None"),
        ('"name"', "'XXname'"),
        ("True", "False"),
        ("retain=True", "bucket('name', description='for-a-reader')"),
    }


def test_a_mutant_is_the_file_with_one_change_and_can_be_compiled(mutants: list[Mutant]) -> None:
    for each in mutants:
        changed = each.applied_to(SOURCE.encode()).decode()
        assert changed != SOURCE
        compile(changed, "module.py", "exec")


def test_the_name_of_a_mutant_survives_lines_above_it(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(SOURCE)
    (tmp_path / "new.py").write_text(SOURCE.replace("LIMIT:", "\n# é\n\nLIMIT:"))
    old, new = (mutants_of(tmp_path / f"{name}.py", "module.py") for name in ("old", "new"))
    assert [each.name for each in old] == [each.name for each in new]
    assert len({each.name for each in old}) == len(old)


def record(lines: dict[str, dict[str, list[str]]], **changed: object) -> Record:
    seconds = {"a.py::test_slow": 30.0, "a.py::test_case[1]": 0.2, "a.py::test_case[2]": 0.1}
    fields = {
        "fixtures": {},
        "left_out": [],
        "libraries": [],
        "processes": [],
        "seconds": seconds,
        "work": seconds,
        **changed,
    }
    return Record(lines=lines, **fields)  # type: ignore[arg-type]


def on_line(mutants: list[Mutant], line: int) -> Mutant:
    return next(each for each in mutants if each.line == line)


def test_the_tests_of_a_mutant_are_those_that_run_its_line_quick_ones_first(
    mutants: list[Mutant],
) -> None:
    tests = ["a.py::test_case[1]", "a.py::test_case[2]", "a.py::test_slow"]
    lines = {"module.py": {"6": tests, "7": []}}
    found = record(lines).tests_of(on_line(mutants, 6))
    assert found == ["a.py::test_case[2]", "a.py::test_slow", "a.py::test_case[1]"]
    assert record(lines).tests_of(on_line(mutants, 7)) == []


def test_a_line_that_an_import_runs_is_tested_by_all_who_use_its_module(
    mutants: list[Mutant],
) -> None:
    lines = {
        "module.py": {"2": [""], "6": ["a.py::test_slow"]},
        "user.py": {"1": ["a.py::test_case[1]"]},
    }
    found = record(lines, importers={"module.py": ["user.py"]}).tests_of(on_line(mutants, 2))
    assert set(found) == {"a.py::test_slow", "a.py::test_case[1]"}


def test_a_value_that_another_module_passes_on_is_tested_by_the_tests_that_read_it_there(
    mutants: list[Mutant],
) -> None:
    importers = {"module.py": ["user.py", "table.py"], "table.py": ["a.py", "user.py"]}
    lines = {"user.py": {"1": ["b.py::test"]}}
    seconds = {"a.py::test_slow": 30.0, "b.py::test": 1.0}
    found = record(lines, importers=importers, seconds=seconds, work=seconds)
    assert found.tests_of(on_line(mutants, 2)) == ["b.py::test", "a.py::test_slow"]


def test_files_of_tests_import_what_they_test() -> None:
    test = "tests/contract/test_resource_types.py"
    found = importers(["components"], [test])
    assert test in found["components/resource_types.py"]
    assert "components/resource_types.py" in found["components/aws/resource_types.py"]


def test_a_line_that_a_shared_fixture_runs_is_tested_by_all_who_use_the_fixture(
    mutants: list[Mutant],
) -> None:
    users = ["a.py::test_case[1]", "a.py::test_slow"]
    lines = {"module.py": {"6": ["fixture a.py::built"]}}
    found = record(lines, fixtures={"fixture a.py::built": users}).tests_of(on_line(mutants, 6))
    assert found == users


def test_a_test_that_fails_without_a_mutant_says_nothing_about_one(mutants: list[Mutant]) -> None:
    lines = {"module.py": {"6": ["a.py::test_slow"]}}
    assert not record(lines, left_out=["a.py::test_slow"]).tests_of(on_line(mutants, 6))


def test_a_line_that_a_workload_runs_in_its_own_process_is_tested_by_all_who_start_one(
    mutants: list[Mutant],
) -> None:
    started = record({}, processes=["a.py::test_slow"])
    assert started.tests_of(on_line(mutants, 6)) == []
    workload = replace(on_line(mutants, 6), file="lambda/gateway/module.py")
    assert started.tests_of(workload) == ["a.py::test_slow"]


TESTED = """def limit(n):
    while n > 9:
        n -= 1
    return n
"""
TESTS = """from tested import limit
def test_it_ends(): limit(11)
def test_it_is_right(): assert limit(11) == 9
"""


@pytest.mark.parametrize(
    ("after", "test", "seconds", "found"),
    [
        ("(n >= 9)", "test_it_is_right", 60, KILLED),
        ("(n >= 9)", "test_it_ends", 60, SURVIVED),
        ("pass", "test_it_ends", 2, TIMEOUT),
    ],
)
def test_a_mutant_is_killed_by_a_failing_test_or_by_one_that_does_not_end(
    after: str, test: str, seconds: int, found: str, tmp_path: Path
) -> None:
    for name, text in (("tested.py", TESTED), ("test_it.py", TESTS), ("pytest.ini", "[pytest]\n")):
        (tmp_path / name).write_text(text)
    [mutant] = [m for m in mutants_of(tmp_path / "tested.py", "tested.py") if m.after == after]
    assert outcome(mutant, [f"test_it.py::{test}"], seconds, tmp_path) == found
    assert (tmp_path / "tested.py").read_text() == TESTED


def test_a_mutant_that_no_test_runs_counts_as_one_that_survived() -> None:
    score = Score()
    score.outcomes.update({KILLED: 7, SURVIVED: 1, NO_TEST: 1})
    assert (score.killed, score.tried) == (7, 9)


def test_time_outs_are_counted_apart_and_too_many_are_no_score() -> None:
    score = Score()
    score.outcomes.update({KILLED: 89, SURVIVED: 1, TIMEOUT: 10})
    assert (score.killed, score.tried, score.timeouts) == (89, 90, 10)
    assert "10 time-outs" in score.line("a")
    assert command.judged({"a": score}, arguments()) == ""
    score.outcomes[TIMEOUT] += 1
    assert "Too many time-outs" in command.judged({"a": score}, arguments())


def test_a_score_is_below_the_goal_only_beyond_the_chance_of_its_sample() -> None:
    low, high = interval(17, 20)
    assert (round(low, 3), round(high, 3)) == (0.640, 0.948)
    score = Score()
    score.outcomes.update({KILLED: 17, SURVIVED: 3})
    assert not score.is_below(0.9)
    score.outcomes.update({KILLED: 323, SURVIVED: 57})
    assert score.is_below(0.9)


def test_a_folder_is_held_to_its_kept_score_and_all_of_them_together() -> None:
    def score(killed: int) -> Score:
        found = Score()
        found.outcomes.update({KILLED: killed, SURVIVED: 100 - killed})
        return found

    floors = {"a": 0.9, "b": 0.6, "c": 0.6}
    assert below_their_floors({"a": score(88), "b": score(55), "new": score(10)}, floors) == []
    assert below_their_floors({"a": score(60), "b": score(60)}, floors) == ["a", "all"]
    lost_a_little = {"a": score(84), "b": score(48), "c": score(48)}
    assert below_their_floors(lost_a_little, floors) == ["all"]


def arguments(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"only": "", "tests": None, "keep": False, "sample": None, **given})


def outcomes(killed: int, of: int) -> Score:
    score = Score()
    score.outcomes.update({KILLED: killed, SURVIVED: of - killed})
    return score


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a small sample's score, and with a large one's."""
    file = tmp_path / "kept.toml"
    sections = (
        '[score."components"]\nkilled = 3\nof = 10',
        '[score."rehearsal/gcp"]\nkilled = 80\nof = 100',
    )
    file.write_text("\n".join((*sections, command.BY_HAND, "")))
    monkeypatch.setattr(command, "KEPT", file)
    return file


@pytest.mark.usefixtures("kept")
def test_only_a_score_of_a_large_sample_is_a_floor(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.kept_floors() == {"rehearsal/gcp": 0.8}
    assert command.judged({"components": outcomes(0, 20)}, arguments()) == ""
    assert "without a floor: components." in capsys.readouterr().out
    assert "rehearsal/gcp" in command.judged({"rehearsal/gcp": outcomes(7, 20)}, arguments())


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "given", [{"only": "rehearsal/gcp/iam.py"}, {"only": "rehearsal/gcp", "tests": ["tests/x.py"]}]
)
def test_a_part_of_a_folder_is_not_held_to_the_folders_score(given: dict[str, object]) -> None:
    assert command.judged({"rehearsal/gcp": outcomes(0, 20)}, arguments(**given)) == ""


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("score", "problem"),
    [
        (outcomes(60, 100), "removes the former one"),
        (outcomes(99, 99), "100 mutants or more"),
        (outcomes(79, 100), ""),
    ],
)
def test_a_score_that_fails_or_is_a_small_samples_is_not_kept_and_a_lower_one_is_said(
    score: Score, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = command.judged({"rehearsal/gcp": score}, arguments(keep=True))
    assert found == "" if not problem else problem in found
    assert ("79.0% after 80.0%" in capsys.readouterr().out) is (not problem)


def test_the_score_is_written_only_if_nothing_fails(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["mutate", "--only", "rehearsal/gcp", "--sample", "100", "--seed", "1", "--keep"]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setattr(command, "copy_of_repository", lambda: nullcontext(Path()))
    monkeypatch.setattr(command, "score_of", lambda *_: outcomes(60, 100))
    before = kept.read_text()
    with pytest.raises(SystemExit, match=r"Nothing is kept\."):
        command.main()
    assert kept.read_text() == before
    monkeypatch.setattr(command, "score_of", lambda *_: outcomes(85, 100))
    command.main()
    assert tomllib.loads(kept.read_text())["score"]["rehearsal/gcp"]["killed"] == 85


def test_the_score_of_one_folder_is_kept_beside_those_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (HOME / KEPT).read_text()
    (tmp_path / "kept.toml").write_text(before)
    monkeypatch.setattr(command, "KEPT", tmp_path / "kept.toml")
    score = Score()
    score.outcomes.update({KILLED: 9, SURVIVED: 1})
    command.keep({"components": score}, "a seed")
    text = (tmp_path / "kept.toml").read_text()
    old, new = tomllib.loads(before), tomllib.loads(text)
    assert new["score"]["components"]["killed"] == 9
    assert new["score"]["components"]["seed"] == "a seed"
    assert {**new["score"], "components": 0} == {**old["score"], "components": 0}
    assert new["survivor"] == old["survivor"]
    command.keep({}, "")
    assert (tmp_path / "kept.toml").read_text() == text


@pytest.mark.parametrize(
    ("only", "whole"),
    [
        ("", True),
        ("components", True),
        ("operations/recovery", True),
        ("operations/recovery/probes.py", False),
    ],
)
def test_the_score_of_a_part_of_a_folder_is_not_kept(only: str, whole: bool) -> None:
    assert command._is_whole(only) is whole


def test_each_listed_survivor_has_a_reason_and_what_is_not_tried_is_a_mutant_of_the_code() -> None:
    listed = tomllib.loads((HOME / KEPT).read_text())["survivor"]
    assert all(each["reason"] for each in listed)
    skipped = [each["mutant"] for each in listed if each.get("equivalent")]
    files = {each.partition(" ")[0] for each in skipped}
    names = {each.name for file in files for each in mutants_of(HOME / file, file)}
    assert set(skipped) <= names, f"remove from {KEPT} what is no longer a mutant"
