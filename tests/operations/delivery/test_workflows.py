"""The pipelines' files: the linters find nothing, permissions are minimal, and each pipeline only calls `make`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.aws.delivery import SESSION_SECONDS
from components.aws.dynamic import built_image as aws_image
from components.aws.dynamic import served_model
from components.gcp.dynamic import built_image as gcp_image
from components.gcp.dynamic import vertex_deployment, vertex_model
from operations.engine.installation import HOME
from tools.lock import LOCKS

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
    return re.findall(r"\bmake ([a-z][a-z0-9-]*)", "\n".join(lines))


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
            ["make", "--dry-run", target, "CLOUD=aws", "BASE=HEAD"],
            cwd=HOME, check=True, capture_output=True, timeout=60,
        )  # fmt: skip


def test_each_pipeline_delivers_with_the_same_commands() -> None:
    for file in (HOME / ".github/workflows/deliver.yml", *OTHER_SERVICES):
        before, release, _ = file.read_text().partition("make release STACK=")
        assert release, file.name
        assert "make check-account STACK=" in before, f"{file.name}: before anything is changed"
    for file in OTHER_SERVICES:
        targets = set(make_targets(file)) - {"bootstrap"}
        assert targets == {"test", "audit", "sbom", "check-account", "release"}, file.name
        before, _, _ = file.read_text().partition("make release STACK=")
        assert "make audit" in before, f"{file.name}: before anything is changed"
    rehearse = [each.get("run") for each in delivery_steps("rehearse")]
    assert "make audit" in rehearse, "what has a known vulnerability is not delivered"


def test_vulnerabilities_are_asked_for_every_day_and_when_a_lock_changes() -> None:
    audit = parsed(HOME / ".github/workflows/audit.yml")
    assert {"schedule", "pull_request"} <= set(audit[True])
    locks = [f"{name}.txt" for name in LOCKS]
    paths = [each.replace("**/", "*") for each in audit[True]["pull_request"]["paths"]]
    assert [lock for lock in locks if not any(fnmatchcase(lock, each) for each in paths)] == []


def uploaded() -> Iterator[tuple[str, str]]:
    """What each service keeps as an artifact of a run, or puts into a bucket."""
    for file in WORKFLOWS:
        for job in parsed(file)["jobs"].values():
            for step in job["steps"]:
                if "upload-artifact" in step.get("uses", ""):
                    for path in step["with"]["path"].splitlines():
                        yield file.name, path
    for each in parsed(HOME / "buildspec.yml")["artifacts"]["files"]:
        yield "buildspec.yml", each
    azure = (HOME / "azure-pipelines.yml").read_text()
    for each in re.findall(r"publish: \$\(Build\.SourcesDirectory\)/(\S+)", azure):
        yield "azure-pipelines.yml", each
    google = (HOME / "cloudbuild.yaml").read_text()
    for each in re.findall(r'gcloud storage cp -r "(\.\S+)" "\$\$_MODELS', google):
        yield "cloudbuild.yaml", each


def test_nothing_is_uploaded_but_models_bills_of_materials_and_what_is_written_without_secrets() -> (
    None
):
    """Of `.delivery` only files without secrets: test_merge_and_release.py. A job's credentials may be beside them."""
    folders = {(file, path.partition("/")[0]) for file, path in uploaded()}
    assert {folder for _, folder in folders} == {".models", ".sbom", ".delivery"}
    for file in ("ci.yml", *(each.name for each in OTHER_SERVICES)):
        assert (file, ".sbom") in folders, f"{file} keeps no bill of materials"


def test_each_image_of_a_pipeline_is_pinned_by_digest() -> None:
    """A step has the credentials of the delivery, and whoever can move a tag would have them, too."""
    for step in parsed(HOME / "cloudbuild.yaml")["steps"]:
        assert re.fullmatch(r"[\w./-]+@sha256:[0-9a-f]{64}", step["name"]), step["name"]
    for file in WORKFLOWS:
        for name, job in parsed(file)["jobs"].items():
            assert not {"container", "services"} & set(job), name


def test_no_text_of_a_push_or_a_pull_request_becomes_part_of_a_script() -> None:
    """The services put the value into the text of the script. Whoever names a branch or writes a message could end it.

    https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
    https://learn.microsoft.com/azure/devops/pipelines/process/variables#understand-variable-syntax
    """
    google = "\n".join(
        each for step in parsed(HOME / "cloudbuild.yaml")["steps"] for each in step["args"]
    )
    assert set(re.findall(r"(?<!\$)\$\{?(\w+)", google.replace("$$", "\0"))) == {"COMMIT_SHA"}
    azure = (HOME / "azure-pipelines.yml").read_text()
    by_macro = set(re.findall(r"(?<![\"=])\$\(([A-Z][\w.]*)\)", azure))
    assert by_macro == {"System.AccessToken", "Build.SourcesDirectory"}
    by_template = set(re.findall(r"\$\{\{ *(.*?) *\}\}", azure))
    assert {re.sub(r"^if |^each stack in ", "", each) for each in by_template} == {
        "stack",
        "split('staging,production', ',')",
        "eq(stack, 'production')",
        "eq(stack, 'staging')",
    }


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


@pytest.mark.parametrize(
    ("run", "made_by", "refused"),
    [
        ("17", "acme/triplane main .github/workflows/deliver.yml", ""),
        ("17", "mallory/triplane main .github/workflows/deliver.yml", "no run of deliver on main"),
        ("17", "acme/triplane other .github/workflows/deliver.yml", "no run of deliver on main"),
        ("17", "acme/triplane main .github/workflows/preview.yml", "no run of deliver on main"),
        ("../../x", "acme/triplane main .github/workflows/deliver.yml", "is no id of a run"),
        ("", "acme/triplane main .github/workflows/deliver.yml", "is no id of a run"),
    ],
)
def test_a_rollback_takes_the_models_of_a_delivery_of_main_and_of_no_other_run(
    run: str, made_by: str, refused: str, tmp_path: Path
) -> None:
    """A workflow of a fork's pull request can upload an artifact of any name."""
    steps = delivery_steps("staging")
    ((position, check),) = [
        (position, each) for position, each in enumerate(steps) if "made_by" in each.get("run", "")
    ]
    ((download, _),) = steps_with_action("staging", "download-artifact")
    assert position < download
    assert check["if"] == steps[download]["if"]
    (tmp_path / "gh").write_text(
        f'#!/bin/sh\n[ "$2" = repos/acme/triplane/actions/runs/17 ] && echo "{made_by}"\n'
    )
    (tmp_path / "gh").chmod(0o755)
    done = subprocess.run(
        ["bash", "-e", "-c", check["run"]],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "GH_REPO": "acme/triplane", "RUN": run},
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == bool(refused), done.stdout
    assert refused in done.stdout


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
        "az": "echo subscription",
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


FAKE_GH = """#!/bin/sh
[ "$1" = api ] && shift
case "$*" in
    --paginate*) cat comments-of-github.json ;;
    *) echo "$*" >> calls ;;
esac
"""


def comment_step(folder: Path, comments: str = "[]") -> str:
    """Run the step that comments on a pull request, which has these comments; the calls of `gh` that change one."""
    if shutil.which("jq") is None:
        pytest.skip("GitHub's runner has jq; this machine does not")
    (step,) = [
        each
        for each in parsed(HOME / ".github/workflows/preview.yml")["jobs"]["comment"]["steps"]
        if "run" in each
    ]
    (folder / "gh").write_text(FAKE_GH)
    (folder / "gh").chmod(0o755)
    (folder / "comments-of-github.json").write_text(comments)
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "NUMBER": "1", "GH_REPO": "acme/triplane"}
    # As the runner starts it: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#defaultsrunshell
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=folder, env=environment, check=True)
    return (folder / "calls").read_text()


@pytest.mark.parametrize("with_preview", [["aws", "gcp", "azure"], ["gcp"], []])
def test_the_comment_says_for_which_clouds_the_preview_failed(
    with_preview: list[str], tmp_path: Path
) -> None:
    for cloud in with_preview:
        (tmp_path / f"preview-review-{cloud}.md").write_text(f"# What this changes on {cloud}\n")
    comment_step(tmp_path)
    comment = (tmp_path / "comment.md").read_text()
    for cloud in ("aws", "gcp", "azure"):
        assert (f"changes on {cloud}" in comment) == (cloud in with_preview)
        assert (f"## {cloud}\n\nNo preview" in comment) == (cloud not in with_preview)


def test_the_comment_of_an_earlier_push_is_replaced_and_no_other_comment(tmp_path: Path) -> None:
    comment_step(tmp_path)
    own = (tmp_path / "comment.md").read_text()
    (tmp_path / "calls").unlink()
    bot, stranger = "github-actions[bot]", "mallory"
    pages = [
        [
            {"id": 1, "user": {"login": stranger}, "body": own},
            {"id": 2, "user": {"login": bot}, "body": f"Another workflow quotes: {own}"},
        ],
        [
            {"id": 3, "user": {"login": bot}, "body": own},
            {"id": 4, "user": {"login": bot}, "body": "Another workflow, later"},
        ],
    ]
    calls = comment_step(tmp_path, "".join(map(json.dumps, pages)))
    assert "issues/comments/3 " in calls
    assert len(calls.splitlines()) == 1


def test_a_first_preview_makes_a_comment_of_its_own(tmp_path: Path) -> None:
    another = {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "Another workflow"}
    calls = comment_step(tmp_path, json.dumps([another]))
    assert calls.startswith("--silent --method POST repos/acme/triplane/issues/1/comments")


def job_minutes(file: Path) -> list[int]:
    """The time that each service gives the jobs which change a stack."""
    match file.name:
        case "azure-pipelines.yml":
            return [int(each) for each in re.findall(r"timeoutInMinutes: (\d+)", file.read_text())][
                1:
            ]
        case "cloudbuild.yaml":
            return [int(parsed(file)["timeout"].removesuffix("s")) // 60]
        case _:
            jobs = parsed(file)["jobs"]
            return [jobs[stage]["timeout-minutes"] for stage in ("staging", "production")]


LONGEST_WAITS = {
    "aws": (aws_image.WAIT_SECONDS, served_model.UPDATE_SECONDS),
    "gcp": (gcp_image.WAIT_SECONDS, vertex_model.UPLOAD_SECONDS, vertex_deployment.DEPLOY_SECONDS),
}
"""An update waits for these one after another, in seconds. Azure's waits are the provider's own."""


@pytest.mark.parametrize("cloud", LONGEST_WAITS)
@pytest.mark.parametrize(
    "file",
    [
        HOME / ".github/workflows/deliver.yml",
        HOME / "cloudbuild.yaml",
        HOME / "azure-pipelines.yml",
    ],
    ids=lambda file: file.name,
)
def test_a_job_that_delivers_is_not_ended_while_an_update_still_waits(
    file: Path, cloud: str
) -> None:
    for minutes in job_minutes(file):
        assert minutes * 60 > sum(LONGEST_WAITS[cloud]), f"{minutes} minutes"


def test_a_session_of_the_delivery_on_aws_lasts_as_long_as_its_job() -> None:
    """It cannot be renewed: the action exchanges the job's token once.

    https://github.com/aws-actions/configure-aws-credentials#sessions
    """
    (sign_in,) = [
        step
        for step in parsed(ACTIONS[0])["runs"]["steps"]
        if "configure-aws-credentials" in step.get("uses", "")
    ]
    asked = sign_in["with"]["role-duration-seconds"]
    assert asked == SESSION_SECONDS  # more than the role allows is refused
    assert asked >= max(job_minutes(HOME / ".github/workflows/deliver.yml")) * 60


def test_no_sign_in_to_azure_keeps_one_token_of_the_job() -> None:
    """AADSTS700024 a few minutes later: `operations.engine.federated_token` asks for tokens again instead."""
    uses = [step.get("uses", "") for step in parsed(ACTIONS[0])["runs"]["steps"]]
    assert not [each for each in uses if each.startswith("azure/")]
    (task,) = re.findall(
        r"task: AzureCLI@2.*", (HOME / "azure-pipelines.yml").read_text(), re.DOTALL
    )
    assert "SYSTEM_ACCESSTOKEN: $(System.AccessToken)" in task


NODE_24 = {
    "actions/checkout": 5,
    "actions/download-artifact": 7,
    "actions/setup-python": 6,
    "actions/upload-artifact": 6,
    "aws-actions/configure-aws-credentials": 6,
    "google-github-actions/auth": 3,
    "pulumi/actions": 7,
}
"""The first major version of each action that runs on Node 24: `runs.using` of its action.yml. Runners have no Node 20
from 16 September 2026 on.
https://github.blog/changelog/2025-09-19-deprecation-of-node-20-on-github-actions-runners/"""


def test_every_action_runs_on_a_version_of_node_that_runners_have() -> None:
    used = {
        (action, int(major))
        for file in [*WORKFLOWS, *ACTIONS]
        for action, major in re.findall(r"uses: ([\w.-]+/[\w.-]+)@\w+ # v(\d+)", file.read_text())
    }
    assert {action for action, _ in used} == set(NODE_24)
    assert [each for each in used if each[1] < NODE_24[each[0]]] == []
