"""The pipelines' files: the linters find nothing, permissions are minimal, and each pipeline only calls `make`."""

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
OTHER_SERVICES = [
    HOME / name for name in ("buildspec.yml", "cloudbuild.yaml", "azure-pipelines.yml")
]
PIPELINES = [*WORKFLOWS, *OTHER_SERVICES]


def parsed(file: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(file.read_text())
    return loaded


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in WORKFLOWS:
        for name, job in parsed(file)["jobs"].items():
            yield f"{file.stem}/{name}", job


def make_targets(file: Path) -> list[str]:
    """The `make` targets that a pipeline calls."""
    code = "\n".join(line.partition(" # ")[0] for line in file.read_text().splitlines())
    lines = [line for line in code.splitlines() if not line.lstrip().startswith("#")]
    return re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(lines))


def test_the_workflows_are_valid_by_actionlint(tmp_path: Path) -> None:
    linter = shutil.which("actionlint")
    if linter is None:
        if shutil.which("go") is None:
            pytest.skip("actionlint is neither installed nor can it be built: there is no Go")
        linter = str(tmp_path / "actionlint")
        build = ["go", "build", "-o", linter, "github.com/rhysd/actionlint/cmd/actionlint"]
        subprocess.run(build, cwd=HOME / "tools" / "actionlint", check=True, timeout=300)
    done = subprocess.run([linter], cwd=HOME, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflows_have_no_weakness_that_zizmor_knows() -> None:
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
def test_each_action_is_pinned_to_a_commit_with_its_version_in_a_comment(file: Path) -> None:
    for line in file.read_text().splitlines():
        if (used := re.search(r"uses: (\S+)(.*)", line)) and not used[1].startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", used[1]), line
            assert re.match(r" # v\d+\.\d+\.\d+\b", used[2]), line


def test_an_action_has_the_same_version_in_each_workflow() -> None:
    pins: dict[str, set[str]] = {}
    for file in [*WORKFLOWS, *ACTIONS]:
        for action, pin in re.findall(r"uses: ([\w.-]+/[\w.-]+)@(\w+)", file.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: pin for action, pin in pins.items() if len(pin) > 1} == {}


@pytest.mark.parametrize("file", PIPELINES, ids=lambda file: file.name)
def test_each_make_target_of_a_pipeline_exists(file: Path) -> None:
    targets = make_targets(file)
    assert targets, "it does not call make"
    for target in targets:
        subprocess.run(
            ["make", "--dry-run", target, "STACK=staging", "CLOUD=aws", "BASE=HEAD"],
            cwd=HOME, check=True, capture_output=True, timeout=60,
        )  # fmt: skip


def test_each_pipeline_delivers_with_the_same_commands() -> None:
    for file in (HOME / ".github/workflows/deliver.yml", *OTHER_SERVICES):
        assert "make release STACK=" in file.read_text(), file.name
    for file in OTHER_SERVICES:
        assert set(make_targets(file)) - {"bootstrap"} == {"test", "release"}, file.name


def test_the_tests_run_on_at_least_two_versions_of_python() -> None:
    ci = parsed(HOME / ".github/workflows/ci.yml")
    assert len(ci["jobs"]["test"]["strategy"]["matrix"]["python"]) >= 2
    assert set(ci[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as true


def test_a_workflow_has_no_permissions_and_a_job_only_those_that_it_needs() -> None:
    for file in WORKFLOWS:
        assert parsed(file)["permissions"] == {}, file.name
    for job_name, job in jobs():
        writes = {name for name, level in job["permissions"].items() if level == "write"}
        # Only jobs in an environment get a token to sign in with: the clouds' trust names the environment.
        assert ("id-token" in writes) == ("environment" in job), job_name
        assert writes <= {"id-token", "pull-requests"}, job_name


def test_code_of_a_pull_request_runs_without_write_permissions() -> None:
    preview = parsed(HOME / ".github/workflows/preview.yml")
    assert set(preview[True]) == {"pull_request"}, (
        "pull_request_target gives a fork our permissions"
    )
    for job in preview["jobs"].values():
        runs_branch_code = any("checkout" in step.get("uses", "") for step in job["steps"])
        assert not (runs_branch_code and "write" in job["permissions"].values())


def test_deliveries_are_queued_and_go_through_staging_before_production() -> None:
    deliver = parsed(HOME / ".github/workflows/deliver.yml")
    assert deliver["concurrency"] == {
        "group": "deliver",
        "cancel-in-progress": False,
        "queue": "max",  # a waiting delivery is not cancelled for the next one
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


def delivery_steps(job: str) -> list[dict[str, Any]]:
    deliver = parsed(HOME / ".github/workflows/deliver.yml")
    found: list[dict[str, Any]] = deliver["jobs"][job]["steps"]
    return found


def steps_with_action(job: str, action: str) -> list[tuple[int, dict[str, Any]]]:
    """The steps of a delivery's job that use an action, with their positions."""
    steps = enumerate(delivery_steps(job))
    return [(position, each) for position, each in steps if action in each.get("uses", "")]


def release_step(job: str) -> tuple[int, dict[str, Any]]:
    steps = enumerate(delivery_steps(job))
    ((position, step),) = [each for each in steps if "make release" in each[1].get("run", "")]
    return position, step


def test_production_gets_the_models_that_staging_tested() -> None:
    uploads = [
        (position, each)
        for position, each in steps_with_action("staging", "upload-artifact")
        if each["with"]["path"] == ".models"
    ]
    ((position, upload),) = uploads
    assert position > release_step("staging")[0]
    assert "if" not in upload, "only models that pass the load test are uploaded"
    ((position, download),) = steps_with_action("production", "download-artifact")
    assert position < release_step("production")[0]
    assert download["with"] == {"name": upload["with"]["name"], "path": ".models"}
    assert release_step("production")[1]["run"] == (
        'make release STACK=production VERSION="$(cat .models/tested)"'
    )


def test_a_rollback_starts_with_the_models_of_an_earlier_delivery() -> None:
    (name,) = parsed(HOME / ".github/workflows/deliver.yml")[True]["workflow_dispatch"]["inputs"]
    ((position, download),) = steps_with_action("staging", "download-artifact")
    assert position < release_step("staging")[0]
    assert download["if"] == f"inputs.{name} != ''"
    assert download["with"]["run-id"] == f"${{{{ inputs.{name} }}}}"


def test_no_template_expression_is_expanded_inside_a_shell_script() -> None:
    for file in WORKFLOWS:
        for job in parsed(file)["jobs"].values():
            assert not [each for each in job["steps"] if "${{" in each.get("run", "")], file.name


@pytest.mark.parametrize("file", OTHER_SERVICES, ids=lambda file: file.name)
def test_the_other_services_pass_the_tested_models_to_production_too(file: Path) -> None:
    text = file.read_text()
    assert 'VERSION="$(cat .models/tested)"' in text.replace("$$", "$")
    assert ".models" in text.replace('VERSION="$(cat .models/tested)"', "")


def scripts(file: Path) -> Iterator[str]:
    """The scripts of a pipeline, as bash receives them."""

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

    yield from walk(parsed(file))


@pytest.mark.parametrize("stage", ["staging", "production"])
@pytest.mark.parametrize("file", OTHER_SERVICES, ids=lambda file: file.name)
def test_the_scripts_of_the_other_services_release_the_models_that_they_receive(
    file: Path, stage: str, tmp_path: Path
) -> None:
    received = tmp_path / "received"
    store = received / ("models" if file.name == "azure-pipelines.yml" else ".models")
    store.mkdir(parents=True)
    (store / "tested").write_text("a" * 64 + "\n")
    folder = tmp_path / "checkout"
    folder.mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    fakes = {
        "make": 'echo "$* in $PULUMI_BACKEND_URL" >> "$CALLS"',
        "apt-get": "true",
        # `storage cp -r FROM TO`: only a download does something here.
        "gcloud": 'case "$4" in gs://*) cp "$RECEIVED/.models/tested" "$5" ;; esac',
    }
    for name, script in fakes.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "CALLS": str(tmp_path / "calls"),
        "RECEIVED": str(received),
        "CODEBUILD_SRC_DIR_tested": str(received),
        "PIPELINE_WORKSPACE": str(received),
        "STACK": stage,
        "_STACK": stage,
        "PULUMI_BACKEND_URL": "" if file.name == "cloudbuild.yaml" else "gs://states",
        "_MODELS": "gs://models",
        "_BACKEND": "gs://states",
        "COMMIT_SHA": "d" * 40,
    }
    for script in scripts(file):
        done = subprocess.run(
            ["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, script + done.stdout + done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    version = "a" * 64 if stage == "production" else ""
    # A script has the variables of a CodeBuild project and of an Azure pipeline in its environment.
    assert calls[-1] == f"release STACK={stage} VERSION={version} in gs://states"


def test_only_deliveries_are_in_the_queue_of_deliveries() -> None:
    of_workflows = (parsed(file).get("concurrency", {}).get("group") for file in WORKFLOWS)
    of_jobs = (job.get("concurrency", {}).get("group") for _, job in jobs())
    assert [*of_workflows, *of_jobs].count("deliver") == 1


def test_a_drift_check_that_waits_for_a_reviewer_delays_no_other_stack() -> None:
    drift = parsed(HOME / ".github/workflows/drift.yml")
    assert "concurrency" not in drift
    assert "${{ matrix.stack }}" in drift["jobs"]["drift"]["concurrency"]["group"]


@pytest.mark.parametrize("with_preview", [["aws", "gcp", "azure"], ["gcp"], []])
def test_the_comment_says_for_which_clouds_the_preview_failed(
    with_preview: list[str], tmp_path: Path
) -> None:
    (step,) = [
        each
        for each in parsed(HOME / ".github/workflows/preview.yml")["jobs"]["comment"]["steps"]
        if "run" in each
    ]
    for cloud in with_preview:
        (tmp_path / f"preview-review-{cloud}.md").write_text(f"# What this changes on {cloud}\n")
    (tmp_path / "gh").write_text("#!/bin/sh\n")
    (tmp_path / "gh").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NUMBER": "1"}
    # As the runner starts it: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#defaultsrunshell
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    comment = (tmp_path / "comment.md").read_text()
    for cloud in ("aws", "gcp", "azure"):
        assert (f"changes on {cloud}" in comment) == (cloud in with_preview)
        assert (f"## {cloud}\n\nNo preview" in comment) == (cloud not in with_preview)


@pytest.mark.parametrize(
    ("file", "sign_in"),
    [
        (".github/actions/prepare/action.yml", "uses: azure/login"),
        ("azure-pipelines.yml", "task: AzureCLI"),
    ],
)
def test_slow_steps_come_before_the_sign_in_to_azure(file: str, sign_in: str) -> None:
    text = (HOME / file).read_text()
    assert text.index(": make bootstrap") < text.index(sign_in)
