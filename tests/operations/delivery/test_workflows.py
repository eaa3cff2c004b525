"""The pipelines' files: sound by the checkers' word, least in their rights, and only calling `make`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from operations.engine.installation import HOME

WORKFLOWS = sorted((HOME / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((HOME / ".github" / "actions").glob("*/action.yml"))
ELSEWHERE = [HOME / name for name in ("buildspec.yml", "cloudbuild.yaml", "azure-pipelines.yml")]
PIPELINES = [*WORKFLOWS, *ELSEWHERE]


def load(file: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(file.read_text())
    return loaded


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in WORKFLOWS:
        for name, job in load(file)["jobs"].items():
            yield f"{file.stem}/{name}", job


def called(file: Path) -> list[str]:
    """The `make` targets that a pipeline calls."""
    code = "\n".join(line.partition(" # ")[0] for line in file.read_text().splitlines())
    lines = [line for line in code.splitlines() if not line.lstrip().startswith("#")]
    return re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(lines))


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    linter = shutil.which("actionlint")
    if linter is None:
        if shutil.which("go") is None:
            pytest.skip("actionlint is neither installed nor can it be built: there is no Go")
        linter = str(tmp_path / "actionlint")
        build = ["go", "build", "-o", linter, "github.com/rhysd/actionlint/cmd/actionlint"]
        subprocess.run(build, cwd=HOME / "tools" / "actionlint", check=True, timeout=300)
    done = subprocess.run([linter], cwd=HOME, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--config", ".github/zizmor.yml", ".github"],
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS], ids=lambda file: file.stem)
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(file: Path) -> None:
    for line in file.read_text().splitlines():
        if (used := re.search(r"uses: (\S+)(.*)", line)) and not used[1].startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", used[1]), line
            assert re.match(r" # v\d+\.\d+\.\d+\b", used[2]), line


def test_one_action_has_one_version_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for file in [*WORKFLOWS, *ACTIONS]:
        for action, pin in re.findall(r"uses: ([\w.-]+/[\w.-]+)@(\w+)", file.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: pin for action, pin in pins.items() if len(pin) > 1} == {}


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.name)
def test_a_pipeline_calls_targets_that_exist(file: Path) -> None:
    targets = called(file)
    assert targets, "it calls no make at all"
    for target in targets:
        subprocess.run(
            ["make", "--dry-run", target, "STACK=staging", "CLOUD=aws", "BASE=HEAD"],
            cwd=HOME, check=True, capture_output=True, timeout=60,
        )  # fmt: skip


def test_every_pipeline_delivers_by_the_same_commands() -> None:
    for file in (HOME / ".github/workflows/deliver.yml", *ELSEWHERE):
        assert "make release STACK=" in file.read_text(), file.name
    for file in ELSEWHERE:
        assert set(called(file)) - {"bootstrap"} == {"test", "release"}, file.name


def test_tests_run_on_two_pythons_at_least() -> None:
    ci = load(HOME / ".github/workflows/ci.yml")
    assert len(ci["jobs"]["test"]["strategy"]["matrix"]["python"]) >= 2
    assert set(ci[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as true


def test_a_workflow_has_no_rights_and_a_job_only_those_it_needs() -> None:
    for file in WORKFLOWS:
        assert load(file)["permissions"] == {}, file.name
    for name, job in jobs():
        rights = {right for right, level in job["permissions"].items() if level == "write"}
        # A token to sign in with goes to jobs behind an environment, which the clouds' trust names.
        assert ("id-token" in rights) == ("environment" in job), name
        assert rights <= {"id-token", "pull-requests"}, name


def test_no_code_of_a_pull_request_runs_with_a_right_to_write() -> None:
    preview = load(HOME / ".github/workflows/preview.yml")
    assert set(preview[True]) == {"pull_request"}, "pull_request_target hands a fork our rights"
    for job in preview["jobs"].values():
        runs_its_code = any("checkout" in step.get("uses", "") for step in job["steps"])
        assert not (runs_its_code and "write" in job["permissions"].values())


def test_a_delivery_is_queued_staged_and_gated() -> None:
    deliver = load(HOME / ".github/workflows/deliver.yml")
    assert deliver["concurrency"] == {
        "group": "deliver",
        "cancel-in-progress": False,
        "queue": "max",  # what waits is not thrown away for what comes next
    }
    assert deliver[True]["push"] == {"branches": ["main"]}
    assert set(deliver[True]) == {"push", "workflow_dispatch"}
    chain = {
        name: (job.get("needs"), job.get("environment")) for name, job in deliver["jobs"].items()
    }
    assert chain == {
        "rehearse": (None, None),
        "staging": ("rehearse", "staging"),
        "production": ("staging", "production"),
    }


def steps_of(job: str) -> list[dict[str, Any]]:
    deliver = load(HOME / ".github/workflows/deliver.yml")
    found: list[dict[str, Any]] = deliver["jobs"][job]["steps"]
    return found


def using(job: str, action: str) -> list[tuple[int, dict[str, Any]]]:
    """The steps of a delivery's job that use an action, with their places."""
    steps = enumerate(steps_of(job))
    return [(place, each) for place, each in steps if action in each.get("uses", "")]


def released(job: str) -> tuple[int, dict[str, Any]]:
    steps = enumerate(steps_of(job))
    ((place, step),) = [each for each in steps if "make release" in each[1].get("run", "")]
    return place, step


def test_production_is_released_with_the_models_that_staging_tested() -> None:
    handed = [
        (place, each)
        for place, each in using("staging", "upload-artifact")
        if each["with"]["path"] == ".models"
    ]
    ((place, upload),) = handed
    assert place > released("staging")[0]
    assert "if" not in upload, "only what stood the load is handed on"
    ((place, download),) = using("production", "download-artifact")
    assert place < released("production")[0]
    assert download["with"] == {"name": upload["with"]["name"], "path": ".models"}
    assert released("production")[1]["run"] == (
        'make release STACK=production VERSION="$(cat .models/tested)"'
    )


def test_a_rollback_begins_with_the_models_of_an_earlier_delivery() -> None:
    (name,) = load(HOME / ".github/workflows/deliver.yml")[True]["workflow_dispatch"]["inputs"]
    ((place, download),) = using("staging", "download-artifact")
    assert place < released("staging")[0]
    assert download["if"] == f"inputs.{name} != ''"
    assert download["with"]["run-id"] == f"${{{{ inputs.{name} }}}}"


def test_nothing_is_put_into_a_shell_by_the_services_own_templates() -> None:
    for file in WORKFLOWS:
        for job in load(file)["jobs"].values():
            assert not [each for each in job["steps"] if "${{" in each.get("run", "")], file.name


@pytest.mark.parametrize("file", ELSEWHERE, ids=lambda file: file.name)
def test_the_other_pipelines_hand_the_tested_models_on_too(file: Path) -> None:
    text = file.read_text()
    assert 'VERSION="$(cat .models/tested)"' in text.replace("$$", "$")
    assert ".models" in text.replace('VERSION="$(cat .models/tested)"', "")


def scripts(file: Path) -> Iterator[str]:
    """What a pipeline has bash run, as bash gets it."""

    def walk(node: Any) -> Iterator[str]:
        match node:
            case dict():
                for each in node.values():
                    yield from walk(each)
            case list():
                for each in node:
                    yield from walk(each)
            case str() if "\n" in node:
                yield node.replace("$$", "$")

    yield from walk(load(file))


@pytest.mark.parametrize("stage", ["staging", "production"])
@pytest.mark.parametrize("file", ELSEWHERE, ids=lambda file: file.name)
def test_the_other_pipelines_scripts_release_with_what_they_were_handed(
    file: Path, stage: str, tmp_path: Path
) -> None:
    handed = tmp_path / "handed"
    store = handed / ("models" if file.name == "azure-pipelines.yml" else ".models")
    store.mkdir(parents=True)
    (store / "tested").write_text("a" * 64 + "\n")
    here = tmp_path / "here"
    here.mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    fakes = {
        "make": 'echo "$* in $PULUMI_BACKEND_URL" >> "$CALLS"',
        "apt-get": "true",
        # `storage cp -r FROM TO`: only what it would fetch is looked at here.
        "gcloud": 'case "$4" in gs://*) cp "$HANDED/.models/tested" "$5" ;; esac',
    }
    for name, does in fakes.items():
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "CALLS": str(tmp_path / "calls"),
        "HANDED": str(handed),
        "CODEBUILD_SRC_DIR_tested": str(handed),
        "PIPELINE_WORKSPACE": str(handed),
        "STACK": stage,
        "_STACK": stage,
        "PULUMI_BACKEND_URL": "" if file.name == "cloudbuild.yaml" else "gs://states",
        "_MODELS": "gs://models",
        "_BACKEND": "gs://states",
        "COMMIT_SHA": "d" * 40,
    }
    for script in scripts(file):
        done = subprocess.run(
            ["bash", "-euc", script], cwd=here, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, script + done.stdout + done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    version = "a" * 64 if stage == "production" else ""
    # The variables of a CodeBuild project and of Azure's pipeline are in a script's environment as they are.
    assert calls[-1] == f"release STACK={stage} VERSION={version} in gs://states"


def test_nothing_but_a_delivery_waits_in_its_queue() -> None:
    whole = (load(file).get("concurrency", {}).get("group") for file in WORKFLOWS)
    single = (job.get("concurrency", {}).get("group") for _, job in jobs())
    assert [*whole, *single].count("deliver") == 1


def test_a_check_that_waits_for_a_reviewer_keeps_no_other_stack_waiting() -> None:
    drift = load(HOME / ".github/workflows/drift.yml")
    assert "concurrency" not in drift
    assert "${{ matrix.stack }}" in drift["jobs"]["drift"]["concurrency"]["group"]


@pytest.mark.parametrize("there", [["aws", "gcp", "azure"], ["gcp"], []])
def test_a_preview_that_failed_is_told_in_the_comment(there: list[str], tmp_path: Path) -> None:
    (step,) = [
        each
        for each in load(HOME / ".github/workflows/preview.yml")["jobs"]["comment"]["steps"]
        if "run" in each
    ]
    for cloud in there:
        (tmp_path / f"preview-review-{cloud}.md").write_text(f"# What this changes on {cloud}\n")
    (tmp_path / "gh").write_text("#!/bin/sh\n")
    (tmp_path / "gh").chmod(0o755)
    place = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NUMBER": "1"}
    # As the runner starts it: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#defaultsrunshell
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=place, check=True)
    told = (tmp_path / "comment.md").read_text()
    for cloud in ("aws", "gcp", "azure"):
        assert (f"changes on {cloud}" in told) == (cloud in there)
        assert (f"## {cloud}\n\nNo preview" in told) == (cloud not in there)


@pytest.mark.parametrize(
    ("file", "sign_in"),
    [
        (".github/actions/prepare/action.yml", "uses: azure/login"),
        ("azure-pipelines.yml", "task: AzureCLI"),
    ],
)
def test_what_takes_long_is_done_before_the_sign_in_to_azure(file: str, sign_in: str) -> None:
    text = (HOME / file).read_text()
    assert text.index(": make bootstrap") < text.index(sign_in)
