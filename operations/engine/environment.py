"""The environment variables of this clone's Pulumi and of its running rehearsal.

After ``eval "$(make -s env)"`` plain ``pulumi`` commands work in the rehearsal.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from operations.engine.installation import BUILT, HOME, VENV, pulumi_bin
from operations.terminal import fail
from rehearsal import supervisor

REHEARSAL_PASSPHRASE = "rehearsal"  # noqa: S105
"""Public, as the stack files say: a rehearsal's stack has no secret of a real cloud."""


def pulumi_environment() -> dict[str, str]:
    """Where this clone's Pulumi keeps its state, and the settings that keep it off the network."""
    backend = HOME / ".pulumi" / "backend"
    backend.mkdir(parents=True, exist_ok=True)
    first = [str(VENV / "bin"), str(pulumi_bin())]
    rest = [part for part in os.environ.get("PATH", "").split(os.pathsep) if part not in first]
    return {
        # First on PATH, because a language host built from its Go module ignores the project's
        # `virtualenv` option.
        "PATH": os.pathsep.join([*first, *rest]),
        "PULUMI_BACKEND_URL": backend_url(backend),
        "PULUMI_HOME": str(HOME / ".pulumi" / "home"),
        "PULUMI_CONFIG_PASSPHRASE": REHEARSAL_PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # Only our own build is known to ask Python for what this script answers.
        **({"PULUMI_PYTHON_CMD": str(HOME / "tools" / "pulumi-python")} if is_own_build() else {}),
        # The program's files and messages are UTF-8, whatever the shell's locale is.
        "PYTHONUTF8": "1",
        **bytecode_cache(),
    }


def backend_url(folder: Path) -> str:
    """The URL of a backend in a folder, whose name may have a % or # in it. Pulumi decodes it:
    https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/backend/diy/backend.go (massageBlobPath)

    Without the sidecar files that Pulumi's storage library writes beside each file, not atomically.
    A killed engine may leave an empty one, and then all that Pulumi reports is `EOF`.
    https://pkg.go.dev/gocloud.dev/blob/fileblob#URLOpener
    """
    return f"{folder.as_uri()}?metadata=skip"


def is_own_build() -> bool:
    """Whether Pulumi is this clone's own build, with a language host of its own (`tools.bootstrap`)."""
    return pulumi_bin() == BUILT


def bytecode_cache() -> dict[str, str]:
    """Where compiled modules go, if this environment forbids to write them beside the code.

    Container images often do. Then each of hundreds of processes compiles all that it imports. With the
    clouds' SDKs that is half of an update's time.
    """
    if "PYTHONDONTWRITEBYTECODE" not in os.environ:  # the Makefile empties it
        return {}
    folder = os.environ.get("PYTHONPYCACHEPREFIX") or str(VENV / "bytecode")
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}


def rehearsal_environment() -> dict[str, str]:
    """The variables that point the clouds' clients and Pulumi's providers at the running rehearsal."""
    try:
        return supervisor.environment(supervisor.state_folder(HOME))
    except supervisor.RehearsalError as error:
        fail(f"rehearsal: {error}")


def has_rehearsal(variables: Mapping[str, str]) -> bool:
    """Whether these are the variables of a shell that has evaluated `make env`."""
    return "TRIPLANE_REHEARSAL_URL" in variables


def in_rehearsal(command: str) -> str:
    """What a person types for a command in the rehearsal, in any shell of this clone's folder, which stays as it is."""
    return f'(eval "$(make -s env)"; {command})'


def mixed_clouds(variables: Mapping[str, str]) -> list[str]:
    """Reasons to refuse a stack of the shell: its state is another backend's, and its cloud would be the rehearsal.

    On Google Cloud and Azure nothing else tells the two apart: the project and the subscription are settings.
    """
    found = variables.get("PULUMI_BACKEND_URL")
    if not has_rehearsal(variables) or found == pulumi_environment()["PULUMI_BACKEND_URL"]:
        return []
    return [
        f"this shell has the rehearsal's endpoints, from `make env`, and another backend: {found or 'none'}. A real"
        " stack would be changed by what the rehearsal answers. Nothing was changed. Open another shell for a real"
        ' stack; for a stack of the rehearsal: eval "$(make -s env)"'
    ]


def parse_exports(script: str) -> Iterator[tuple[str, str]]:
    """The pairs of a script of ``export NAME=value`` lines, unquoted by the shell's own rules."""
    for line in script.splitlines():
        words = shlex.split(line)
        if len(words) == 2 and words[0] == "export":
            name, _, value = words[1].partition("=")
            yield name, value


def print_exports() -> None:
    """The environment for plain Pulumi, as the shell takes it."""
    # The rehearsal does not know this clone's state or its language host.
    try:
        print(supervisor.shell_script(supervisor.state_folder(HOME), pulumi_environment()))
    except supervisor.RehearsalError as error:
        fail(f"rehearsal: {error}")
