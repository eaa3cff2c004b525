"""What clients find in the environment: every name is known, taken out, and unset by `make env`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rehearsal import supervisor
from rehearsal.core import client_environment
from rehearsal.core.client_environment import VARIABLES, is_read_by_clients, isolated, shell_lines
from tests import client_variables

PROXIES = [name for name in VARIABLES if "PROXY" in name]


def test_every_variable_that_an_installed_client_reads_is_known() -> None:
    assert [name for name in sorted(client_variables.names()) if not is_read_by_clients(name)] == []


@pytest.mark.parametrize("name", [*VARIABLES, *map(str.lower, PROXIES), "PULUMI_CONFIG", "AWS_ENDPOINT_URL_S3"])  # fmt: skip
def test_a_variable_that_clients_read_is_taken_out_and_all_others_stay(name: str) -> None:
    others = {"PATH": "/bin", "HOME": "/home", "TRIPLANE_REHEARSAL_DIR": "/x", "LANG": "C"}
    assert isolated({name: "absurd", **others}) == others


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh"])
def test_a_shell_that_evaluates_the_lines_has_the_rehearsals_variables_alone(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed here")
    theirs = {"AWS_PROFILE": "prod", "https_proxy": "http://absurd", "ARM_CLIENT_ID": "absurd"}
    own = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1/it's", "AWS_CONFIG_FILE": "/dev/null"}
    lines = "\n".join(shell_lines(theirs, own))
    done = subprocess.run(
        [shell, "-euc", 'eval "$lines"; /usr/bin/env'],
        env={**theirs, "lines": lines, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines() if "=" in line)
    assert {name: value for name, value in found.items() if is_read_by_clients(name)} == own


def test_the_rehearsal_itself_starts_without_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://absurd")
    started: list[dict[str, str]] = []

    class Started(Exception):
        pass

    def start(*_: object, env: dict[str, str], **__: object) -> None:
        started.append(env)
        raise Started

    monkeypatch.setattr(supervisor.subprocess, "Popen", start)
    with pytest.raises(Started):
        supervisor.start(tmp_path / "state", print)
    assert [name for name in started[0] if is_read_by_clients(name)] == []


def test_no_place_of_the_rehearsals_own_is_a_file_of_the_engineer(tmp_path: Path) -> None:
    places = client_environment.own_places(tmp_path)
    assert all(is_read_by_clients(name) for name in places)
    assert not any(value.startswith(str(Path.home())) for value in places.values())
