"""Interprets a Dockerfile without a container runtime: copies its files and collects its settings.

Of the instructions, COPY and ADD (of local files), ENV, ARG, WORKDIR, LABEL, EXPOSE, USER, ENTRYPOINT
and CMD are executed. FROM and RUN are only recorded: the rehearsal's Python replaces the base image, and the
requirements of ``pip install`` are compared with the packages of this Python.
https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import difflib
import json
import posixpath
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

INSTRUCTIONS = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
# https://github.com/distribution/reference/blob/main/reference.go
REFERENCE = re.compile(
    r"[a-zA-Z0-9][\w.-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)*(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
# What the official Python images set (https://github.com/docker-library/python).
BASE_ENV = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}


class BuildFailed(Exception):
    """An error in the Dockerfile or its context, worded like a message of ``docker build``."""


@dataclass
class Build:
    """The state of a build, and its result at the end."""

    context: Path
    rootfs: Path
    given: Mapping[str, str] = field(default_factory=dict)
    """``--build-arg``: values for those that an ARG declares."""
    env: dict[str, str] = field(default_factory=lambda: dict(BASE_ENV))
    arguments: dict[str, str] = field(default_factory=dict)
    """Declared so far: before FROM for FROM alone, behind it for the stage."""
    before_from: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    ports: list[str] = field(default_factory=list)
    workdir: str = "/"
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def config(self) -> dict[str, Any]:
        """The ``config`` of an OCI image configuration.

        https://github.com/opencontainers/image-spec/blob/main/config.md
        """
        config = {
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "WorkingDir": self.workdir,
            "Entrypoint": self.entrypoint,
            "Cmd": self.command,
            "User": self.user,
            "ExposedPorts": {port: {} for port in sorted(self.ports)},
            "Labels": self.labels,
        }
        return {name: value for name, value in config.items() if value}


def build(
    context: Path, dockerfile: str, rootfs: Path, arguments: Mapping[str, str] | None = None
) -> Build:
    """Execute ``dockerfile`` (a path inside ``context``) with build arguments; the files go below ``rootfs``."""
    file = context / dockerfile
    if not file.is_file():
        raise BuildFailed(
            f"failed to read dockerfile: open {dockerfile}: no such file or directory"
        )
    state = Build(context, rootfs, arguments or {})
    for line, name, value in _steps(file.read_text()):
        if name not in INSTRUCTIONS:
            near = difflib.get_close_matches(name, INSTRUCTIONS, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise BuildFailed(
                f"dockerfile parse error on line {line}: unknown instruction: {name}{hint}"
            )
        if not value:
            raise BuildFailed(
                f"dockerfile parse error on line {line}: {name} requires at least one argument"
            )
        if not state.history and name not in ("FROM", "ARG"):
            raise BuildFailed(
                f"dockerfile parse error on line {line}: no build stage in current context"
            )
        try:
            _execute(state, name, value)
        except BuildFailed as failure:
            raise BuildFailed(f"{dockerfile}:{line} {name} {value}: {failure}") from None
    if not state.history:
        raise BuildFailed("the Dockerfile cannot be empty")
    return state


def _steps(text: str) -> Iterator[tuple[int, str, str]]:
    """Each instruction with the number of its first line. A backslash continues a line."""
    start, pending = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # also between continued lines
        start = start or number
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1]
            continue
        name, *value = (pending + line).split(maxsplit=1)
        yield start, name.upper(), value[0].strip() if value else ""
        start, pending = 0, ""
    if pending:
        name, *value = pending.split(maxsplit=1)
        yield start, name.upper(), value[0].strip() if value else ""


def _execute(state: Build, name: str, value: str) -> None:
    if re.search(r"<<-?['\"]?\w", value):
        raise BuildFailed("the rehearsal reads no here-documents")
    if name not in ("RUN", "CMD", "ENTRYPOINT"):  # those are expanded by the shell that runs them
        value = _expand(value, {**state.arguments, **state.env})
    match name:
        case "FROM":
            _from(state, value)
        case "ARG":
            _declare(state, value)
        case "ENV":
            state.env.update(_pairs(value))
        case "LABEL":
            state.labels.update(_pairs(value))
        case "WORKDIR":
            state.workdir = posixpath.normpath(posixpath.join(state.workdir, value))
            inside(state.rootfs, state.workdir).mkdir(parents=True, exist_ok=True)
        case "COPY" | "ADD":
            _copy(state, value)
        case "EXPOSE":
            state.ports += [
                port if "/" in port else f"{port}/tcp"
                for port in value.split()
                if port not in state.ports
            ]
        case "USER":
            state.user = value
        case "ENTRYPOINT":
            state.entrypoint, state.command = _exec_form(value), []
        case "CMD":
            state.command = _exec_form(value)
        case "RUN":
            state.notes += _run(state, value)
        case _:
            state.notes.append(f"{name} {value}: recorded, not executed.")
    if name != "ARG":
        state.history.append(f"{name} {value}")


def build_arguments(words: Sequence[str]) -> dict[str, str]:
    """The values of all ``--build-arg NAME=value`` among the words of a ``docker build``."""
    given = {}
    for word, after in zip(words, [*words[1:], ""], strict=True):
        option, joined, value = word.partition("=")
        if option == "--build-arg":
            name, _, text = (value if joined else after).partition("=")
            given[name] = text
    return given


def _declare(state: Build, value: str) -> None:
    """ARG. Behind FROM a name that was declared before it is known again once it is declared again.

    https://docs.docker.com/reference/dockerfile/#understand-how-arg-and-from-interact
    """
    for word in shlex.split(value):
        name, has_default, default = word.partition("=")
        known = state.before_from.get(name, "")
        state.arguments[name] = state.given.get(name, default if has_default else known)


def _from(state: Build, value: str) -> None:
    if state.history:
        raise BuildFailed("the rehearsal builds Dockerfiles of one stage only")
    image = next((word for word in value.split() if not word.startswith("--")), "")
    if not REFERENCE.fullmatch(image):
        raise BuildFailed(f'failed to parse stage name "{image}": invalid reference format')
    state.before_from, state.arguments = state.arguments, {}
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    note = f"FROM {value}: recorded; the Python {here} of the rehearsal takes its place"
    named = re.search(r"python:(\d+\.\d+)", value)
    state.notes.append(f"{note}, not {named[1]}." if named and named[1] != here else f"{note}.")


def _pairs(value: str) -> list[tuple[str, str]]:
    """``a=1 b="x y"``, or the old ``a x y``."""
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise BuildFailed(f"unexpected end of statement while looking for {error}") from None
    if "=" not in words[0]:
        return [(words[0], " ".join(words[1:]))]
    return [(name, text) for name, _, text in (word.partition("=") for word in words)]


def _expand(value: str, variables: dict[str, str]) -> str:
    def replace(found: re.Match[str]) -> str:
        text = variables.get(found["plain"] or found["braced"], "")
        return text or (found["default"] or "")

    pattern = r"(?<!\\)\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\})"
    return re.sub(pattern, replace, value)


def _exec_form(value: str) -> list[str]:
    try:
        words = json.loads(value)
    except ValueError:
        return ["/bin/sh", "-c", value]
    return [str(word) for word in words] if isinstance(words, list) else ["/bin/sh", "-c", value]


def inside(root: Path, path: str) -> Path:
    """A path of the image, or of the context, below ``root``; ``..`` does not lead out of it."""
    return root / posixpath.normpath("/" + path).lstrip("/")


def _copy(state: Build, value: str) -> None:
    words = _exec_form(value) if value.startswith("[") else shlex.split(value)
    options = [word for word in words if word.startswith("--")]
    *sources, target = [word for word in words if not word.startswith("--")] or [""]
    if not sources:
        raise BuildFailed("requires at least two arguments")
    if any(option.startswith("--from") for option in options):
        raise BuildFailed("the rehearsal copies from the context only, not with --from")
    found = [path for source in sources for path in _sources(state.context, source)]
    destination = inside(state.rootfs, posixpath.join(state.workdir, target))
    several = len(found) > 1 or target.endswith(("/", ".")) or destination.is_dir()
    if len(found) > 1 and not target.endswith(("/", ".")):
        raise BuildFailed(
            "When using COPY with more than one source file, the destination must be a directory and end with a /"
        )
    ignored = Ignored(state.context)
    for source in found:
        if source.is_dir():
            for file in ignored.files(source):
                _place(file, destination / file.relative_to(source))
        else:
            _place(source, destination / source.name if several else destination)


def _sources(context: Path, pattern: str) -> list[Path]:
    """The files of a COPY source: a file, a folder or a wildcard, without ignored files."""
    ignored = Ignored(context)
    if pattern.startswith(("http://", "https://", "git@")):
        raise BuildFailed("the rehearsal copies from the context only, not from a URL")
    relative = posixpath.normpath("/" + pattern).lstrip("/")
    if any(letter in relative for letter in "*?["):
        found = sorted(path for path in context.glob(relative) if not ignored.excludes(path))
    else:
        path = context / relative
        found = [path] if path.exists() and not ignored.excludes(path) else []
    if not found or any(not path.resolve().is_relative_to(context.resolve()) for path in found):
        raise BuildFailed(f'failed to calculate checksum of ref: "/{relative}": not found')
    return found


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


class Ignored:
    """The context's .dockerignore. https://docs.docker.com/build/concepts/context/#dockerignore-files"""

    def __init__(self, context: Path) -> None:
        self._context = context
        file = context / ".dockerignore"
        lines = file.read_text().splitlines() if file.is_file() else []
        self._rules = [
            (line.startswith("!"), _pattern(line.lstrip("!").strip()))
            for line in map(str.strip, lines)
            if line and not line.startswith("#")
        ]

    def excludes(self, path: Path) -> bool:
        """Whether the path, or a folder above it, is excluded from the context."""
        relative = path.relative_to(self._context)
        names = [relative.as_posix(), *(parent.as_posix() for parent in relative.parents)]
        out = False
        for keep, pattern in self._rules:
            if any(pattern.fullmatch(name) for name in names):
                out = not keep
        return out

    def files(self, folder: Path) -> Iterator[Path]:
        """The files below a folder that are in the context, in order."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not self.excludes(path):
                yield path


def _pattern(glob: str) -> re.Pattern[str]:
    wild = {r"\*\*/": "(?:.*/)?", r"\*\*": ".*", r"\*": "[^/]*", r"\?": "[^/]"}
    regex = re.escape(glob.strip("/"))
    for escaped, meaning in wild.items():
        regex = regex.replace(escaped, meaning)
    return re.compile(regex)


def _run(state: Build, command: str) -> list[str]:
    """What can be said about a RUN without executing it."""
    notes = [f"RUN {command}: recorded, not executed."]
    for part in re.split(r"&&|;|\n", command):
        try:
            words = shlex.split(part)
        except ValueError:
            continue
        if "pip" in words and "install" in words[words.index("pip") :]:
            notes += _missing(state, words[words.index("install") + 1 :])
    return notes


def _missing(state: Build, words: Sequence[str]) -> list[str]:
    """The requirements of a ``pip install``, compared with the packages of this interpreter."""
    lines: list[str] = []
    arguments = iter(words)
    for word in arguments:
        if word in ("-r", "--requirement"):
            lines += _requirements(state, next(arguments, ""))
        elif not word.startswith("-"):
            lines.append(word)
    if "--require-hashes" in words:
        _require_hashes(lines)
    wanted, notes = 0, []
    for line in (line.partition(" --hash")[0].strip() for line in lines):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # an option, a path or a URL
        if requirement.marker and not requirement.marker.evaluate():
            continue
        wanted += 1
        try:
            has = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            notes.append(f"{line} is required; the rehearsal's Python does not have it.")
            continue
        if not requirement.specifier.contains(has, prereleases=True):
            notes.append(f"{line} is required; the rehearsal's Python has {has}.")
    same = wanted - len(notes)
    return [
        f"{same} of {wanted} required packages are installed here in the required version.",
        *notes,
    ]


def _require_hashes(lines: Sequence[str]) -> None:
    """https://pip.pypa.io/en/stable/topics/secure-installs/#hash-checking-mode"""
    for line in lines:
        if "==" not in line.partition(";")[0]:
            raise BuildFailed(
                "In --require-hashes mode, all requirements must have their versions pinned with ==."
                f" These do not: {line}"
            )
        if " --hash=" not in line:
            raise BuildFailed(
                f"Hashes are required in --require-hashes mode, but they are missing from {line}"
            )


def _requirements(state: Build, name: str) -> list[str]:
    """The requirements in a file, each with its hashes."""
    file = inside(state.rootfs, posixpath.join(state.workdir, name))
    if not file.is_file():
        file = inside(state.context, name)  # RUN --mount=type=bind shows the context
    if not file.is_file():
        raise BuildFailed(f"Could not open requirements file: No such file or directory: '{name}'")
    text = re.sub(r"\\\n", " ", file.read_text())
    lines = (re.split(r"\s#", line)[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]
