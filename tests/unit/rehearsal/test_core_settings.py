"""What the rehearsal learns from its environment, and what an installation of it brings."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from rehearsal import supervisor
from rehearsal.core import settings
from rehearsal.core.assets import ASSET, SIGNATURE, asset_bytes
from rehearsal.core.behaviour import PROFILES
from rehearsal.core.records import Refusal

REPOSITORY = settings.PACKAGE.parent


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program's folder, with the shell somewhere below it, and no settings."""
    monkeypatch.delenv(settings.PROJECT_VARIABLE, raising=False)
    monkeypatch.delenv(settings.STATE_VARIABLE, raising=False)
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    return tmp_path


def test_the_program_is_in_the_nearest_folder_with_a_pulumi_yaml(program: Path) -> None:
    assert settings.project_folder() == program
    assert settings.state_folder() == program / ".rehearsal"


def test_variables_choose_other_folders_for_the_program_and_the_state(
    program: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setenv(settings.PROJECT_VARIABLE, str(other))
    assert settings.state_folder() == other / ".rehearsal"
    monkeypatch.setenv(settings.STATE_VARIABLE, str(other / "state"))
    assert settings.state_folder() == other / "state"
    assert settings.project_folder() == other


@pytest.mark.parametrize("profile", PROFILES)
def test_a_variable_chooses_the_profile_and_without_it_the_clouds_are_instant(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(settings.PROFILE_VARIABLE, raising=False)
    assert settings.behaviour().profile == "instant"
    monkeypatch.setenv(settings.PROFILE_VARIABLE, profile)
    assert settings.behaviour().profile == profile


def test_an_unknown_profile_is_refused_with_the_known_ones(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.PROFILE_VARIABLE, "real")
    with pytest.raises(supervisor.RehearsalError) as refused:
        supervisor.start(settings.state_folder(), print)
    for word in (settings.PROFILE_VARIABLE, '"real"', *PROFILES):
        assert word in str(refused.value)
    assert supervisor.resident_pid(settings.state_folder()) is None


def test_a_relative_asset_counts_from_the_folder_of_the_program(program: Path) -> None:
    (program / "notes.txt").write_text("remember")
    assert asset_bytes({SIGNATURE: ASSET, "path": "notes.txt"}) == b"remember"
    with pytest.raises(Refusal, match=re.escape(f"looked for {program}/lost.txt")):
        asset_bytes({SIGNATURE: ASSET, "path": "lost.txt"})


def test_the_extra_has_the_versions_of_the_development_requirements() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pinned = [each for each in project["optional-dependencies"]["rehearsal"] if "==" in each]
    lines = (REPOSITORY / "requirements-dev.in").read_text().splitlines()
    assert pinned
    assert set(pinned) <= {line.split("#")[0].strip() for line in lines}
