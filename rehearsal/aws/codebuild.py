"""CodeBuild: a build fetches the project's source from S3 and executes its buildspec.

Of the commands, ``docker build``, ``docker push`` and the login to ECR are executed, with the
permissions of the project's role. Any other is written to the log and not run.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
import threading
import time
import uuid
from pathlib import Path
from string import Template
from typing import Any

import yaml

from rehearsal.aws import ecr, permissions, s3
from rehearsal.aws.arns import region, set_arn
from rehearsal.aws.calls import Call
from rehearsal.aws.tags import check_tags
from rehearsal.core.ledger import Verb
from rehearsal.core.records import CheckFailure, Inputs, Json, Record, Refusal
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import Name, ResourceType
from rehearsal.provider.retries import retried
from rehearsal.runtime.dockerfile import build_arguments
from rehearsal.runtime.images import BuildFailed, TagImmutable

PROJECT = "aws:codebuild/project:Project"
BUILDS = "aws.codebuild"
PHASES = ("install", "pre_build", "build", "post_build")
PUSH = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
# Builds of this process. A build in progress that is not here was interrupted by a restart.
_running: set[str] = set()


class Project(ResourceType):
    """A build project."""

    token = PROJECT
    source = "https://docs.aws.amazon.com/codebuild/latest/APIReference/API_CreateProject.html"
    executes = "its docker commands build a real image from the context in S3"
    name = Name(
        property="name",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_-]*",
        min=2,
        max=150,
        rule="letters, digits, - and _ are allowed, a letter or digit first",
        unique=("region",),
        taken="ResourceAlreadyExistsException",
    )

    def check(self, context: Context, inputs: Inputs) -> None:
        # https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Tag.html
        check_tags(inputs, key=127, value=255)
        text = (inputs.get("source") or {}).get("buildspec")
        if isinstance(text, str) and "\n" in text:
            try:
                spec = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise CheckFailure("source", f"YAML_FILE_ERROR: {error}") from None
            if not isinstance(spec, dict) or "version" not in spec or "phases" not in spec:
                raise CheckFailure("source", "YAML_FILE_ERROR: version and phases are required")

    def create(self, context: Context, record: Record) -> None:
        record.id = set_arn(context, record, "codebuild", f"project/{record.inputs['name']}")
        self.update(context, record, record)

    def update(self, context: Context, old: Record, record: Record) -> None:
        """The provider waits two minutes for a role that is not in force yet.

        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/codebuild/project.go
        """
        retried(
            context.behaviour,
            lambda: _assumed_role(context, record),
            code="InvalidInputException",
            containing="ot authorized to perform",
            seconds=120,
        )

    def delete(self, context: Context, record: Record) -> None:
        for id in context.kv.items(BUILDS):
            if id.startswith(f"{record.inputs['name']}:"):
                context.kv.delete(BUILDS, id)
                log_file(context, id).unlink(missing_ok=True)


def _assumed_role(context: Context, project: Record) -> Record:
    """The role of a project's builds, or CodeBuild's refusal."""
    role = project.inputs["serviceRole"]
    if found := permissions.role_for(context, role, "codebuild.amazonaws.com"):
        return found
    raise Refusal(
        "InvalidInputException",
        f"CodeBuild is not authorized to perform: sts:AssumeRole on service role {role}",
    )


def start_build(call: Call) -> Json:
    """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html"""
    name = call.body["projectName"]
    project = call.context.find(PROJECT, name=name, region=call.region)
    if project is None:
        raise Refusal(
            "ResourceNotFoundException",
            f"Project cannot be found: {call.arn('codebuild', f'project/{name}')}",
        )
    call.require("codebuild:StartBuild", project.outputs["arn"])
    limit = call.context.behaviour.quotas.codebuild_builds
    if len(_running) >= limit:
        # https://github.com/aws-samples/aws-secure-environment-accelerator/issues/982
        raise Refusal(
            "AccountLimitExceededException",
            f"Cannot have more than {limit} builds in queue for the account",
        )
    id = f"{name}:{uuid.uuid4()}"
    build: Json = {
        "id": id,
        "arn": call.arn("codebuild", f"build/{id}"),
        "projectName": name,
        "buildStatus": "IN_PROGRESS",
        "buildComplete": False,
        "currentPhase": "SUBMITTED",
        "startTime": time.time(),
        "phases": [],
        "logs": {"deepLink": f"{call.context.base_url}/aws/_logs/codebuild/{id}"},
    }
    call.context.kv.put(BUILDS, id, build)
    _running.add(id)
    work = Build(call.context, project, build)
    threading.Thread(target=work.run, name=id, daemon=True).start()
    return {"build": build}


def batch_get_builds(call: Call) -> Json:
    """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BatchGetBuilds.html"""
    builds = []
    for id in call.body["ids"]:
        project = call.arn("codebuild", f"project/{id.partition(':')[0]}")
        call.require("codebuild:BatchGetBuilds", project)
        build = call.context.kv.get(BUILDS, id)
        if build and build["buildStatus"] == "IN_PROGRESS" and id not in _running:
            build |= {"buildStatus": "FAULT", "buildComplete": True}
            _phase(build, "BUILD", "FAULT", "FAULT", "the rehearsal was stopped during the build")
            call.context.kv.put(BUILDS, id, build)
        builds += [build] if build else []
    found = {build["id"] for build in builds}
    return {"builds": builds, "buildsNotFound": [i for i in call.body["ids"] if i not in found]}


class PhaseFailed(Exception):
    """Why a build ends in this phase. ``message`` is what CodeBuild reports, ``reason`` what its log has."""

    def __init__(self, phase: str, code: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.phase, self.code, self.message = phase, code, message
        self.reason = reason or message


class Build:
    """One run of a project."""

    def __init__(self, context: Context, project: Record, build: Json) -> None:
        self.context = context
        self.project = project
        self.build = build
        self.log = log_file(context, build["id"])
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.build_context = Path()
        self.built: dict[str, tuple[str, dict[str, str]]] = {}
        """Dockerfile and build arguments by image name, of what was built and not yet pushed."""
        environment = project.inputs.get("environment") or {}
        self.variables = {
            "AWS_REGION": region(context, project),
            "AWS_DEFAULT_REGION": region(context, project),
            "CODEBUILD_BUILD_ID": build["id"],
            **{v["name"]: v["value"] for v in environment.get("environmentVariables") or []},
        }
        self.role: Record | None = None

    def run(self) -> None:
        """Run the build to its end, whatever happens."""
        status = "SUCCEEDED"
        try:
            self.role = self._queue()
            _phase(self.build, "QUEUED", status)
            self.context.behaviour.spend("codebuild:build")
            with tempfile.TemporaryDirectory(dir=self.log.parent) as scratch:
                self._fetch(Path(scratch))
                _phase(self.build, "DOWNLOAD_SOURCE", status)
                spec = yaml.safe_load(self.project.inputs["source"]["buildspec"])
                for phase in [each for each in PHASES if each in spec["phases"]]:
                    for command in spec["phases"][phase].get("commands", []):
                        self._run_command(phase.upper(), command)
                    _phase(self.build, phase.upper(), status)
        except PhaseFailed as failed:
            status = "FAILED"
            self._write(failed.reason)
            _phase(self.build, failed.phase, status, failed.code, failed.message)
        except Exception as failure:
            status = "FAULT"
            self._write(f"the rehearsal itself failed: {failure!r}")
            _phase(
                self.build, "BUILD", status, "FAULT", f"the rehearsal itself failed: {failure!r}"
            )
        self.build |= {"buildStatus": status, "buildComplete": True, "endTime": time.time()}
        self.context.kv.put(BUILDS, self.build["id"], self.build)
        verb: Verb = "executed" if status == "SUCCEEDED" else "refused"
        reason = self.build["phases"][-1].get("contexts", [{}])[0].get("message", "")
        self.context.ledger.note(verb, self.project, f"build {status.lower()} {reason}".strip())
        _running.discard(self.build["id"])

    def _queue(self) -> Record:
        """The role of the build, which CodeBuild uses to make the log's stream before anything else.

        https://github.com/tmokmss/deploy-time-build/issues/72 reports the phase; the words are ours.
        """
        arn = self.project.inputs["serviceRole"]
        try:
            role = _assumed_role(self.context, self.project)
            logs = (self.project.inputs.get("logsConfig") or {}).get("cloudwatchLogs") or {}
            if logs.get("status") == "ENABLED" and logs.get("groupName"):
                where, account = region(self.context, self.project), self.build["arn"].split(":")[4]
                group = f"arn:aws:logs:{where}:{account}:log-group:{logs['groupName']}"
                stream = self.build["id"].partition(":")[2]
                for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                    permissions.require(self.context, role, action, f"{group}:log-stream:{stream}")
        except Refusal as refused:
            # Believed: the phase and the code. https://github.com/tmokmss/deploy-time-build/issues/72
            message = (
                f"Service role {arn} does not allow AWS CodeBuild to create Amazon CloudWatch Logs log"
                f" streams for build {self.build['arn']}. Error message: {refused.message}"
            )
            raise PhaseFailed("QUEUED", "ACCESS_DENIED", message) from None
        return role

    def _fetch(self, scratch: Path) -> None:
        """The words of a refusal: https://github.com/awslabs/aws-refarch-cross-account-pipeline/issues/5"""
        source = self.project.inputs["source"]
        if source["type"] != "S3":
            message = f"sources of type {source['type']} are not fetched in the rehearsal"
            raise PhaseFailed("DOWNLOAD_SOURCE", "NotRehearsed", message)
        self.build_context = scratch / "context.zip"
        try:
            content = s3.read_object(self.context, f"s3://{source['location']}", self.role)
        except Refusal as refused:
            message = f"{refused.code}: {refused.message}"
            if refused.code == "AccessDeniedException":
                message = "AccessDenied: Access Denied status code: 403"
            where = f"for primary source and source version arn:aws:s3:::{source['location']}"
            raise PhaseFailed(
                "DOWNLOAD_SOURCE", "CLIENT_ERROR", f"{message} {where}", str(refused)
            ) from None
        self.build_context.write_bytes(content)
        self._write(f"Downloaded {source['location']}")

    def _run_command(self, phase: str, command: str) -> None:
        """Run a command. Of a failed one CodeBuild reports the command; the reason is in the log alone (believed)."""
        try:
            self._command(command)
        except (Refusal, BuildFailed, TagImmutable) as failed:
            message = f"Error while executing command: {command}. Reason: exit status 1"
            raise PhaseFailed(phase, "COMMAND_EXECUTION_ERROR", message, str(failed)) from None

    def _command(self, command: str) -> None:
        self._write(f"$ {command}")
        command = Template(command).safe_substitute(self.variables)
        if re.match(r"aws ecr get-login-password\b", command):
            permissions.require(self.context, self.role, "ecr:GetAuthorizationToken")
            self._write("Login Succeeded")
            return
        words = shlex.split(command)
        match words[:2]:
            case ["docker", "build"]:
                self._docker_build(words[2:])
            case ["docker", "push"]:
                self._docker_push(words[2])
            case _:
                self._write("(recorded: the rehearsal runs docker build and docker push only)")

    def _docker_build(self, words: list[str]) -> None:
        """``docker build [--tag X] [--file F] [--build-arg A=B] .``; other options change nothing here."""
        options = _options(words)
        tag = options.get("--tag") or options.get("-t")
        if tag is None:
            raise BuildFailed("docker build without --tag: there would be nothing to push")
        dockerfile = options.get("--file") or options.get("-f") or "Dockerfile"
        self.built[tag] = dockerfile, build_arguments(words)

    def _docker_push(self, name: str) -> None:
        if name not in self.built:
            raise BuildFailed(f"An image does not exist locally with the tag: {name}")
        url, _, tag = name.rpartition(":")
        repository = self.context.find(ecr.REPOSITORY, repositoryUrl=url)
        if repository is None:
            raise BuildFailed(f"name unknown: The repository behind {url} does not exist")
        for action in PUSH:
            permissions.require(self.context, self.role, action, repository.outputs["arn"])
        dockerfile, arguments = self.built[name]
        image = self.context.images.build(
            self.build_context,
            dockerfile,
            url,
            tag,
            arguments=arguments,
            immutable=repository.inputs.get("imageTagMutability") == "IMMUTABLE",
        )
        for note in image.notes:
            self._write(note)
        self._write(f"{tag}: digest: {image.digest}")
        ecr.expire_images(self.context, repository)

    def _write(self, line: str) -> None:
        with self.log.open("a") as log:
            log.write(line + os.linesep)


def log_file(context: Context, id: str) -> Path:
    """Where a build's log is; any id is made a harmless file name."""
    return context.state_dir / "logs" / f"codebuild-{re.sub(r'[^A-Za-z0-9-]', '-', id)}.log"


def _options(words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("-"):
            name, joined, value = word.partition("=")
            options[name] = value if joined else after
    return options


def _phase(build: Json, phase: str, status: str, code: str = "", message: str = "") -> None:
    ended: dict[str, Any] = {"phaseType": phase, "phaseStatus": status}
    if code:
        ended["contexts"] = [{"statusCode": code, "message": message}]
    build["phases"].append(ended)
    build["currentPhase"] = phase
