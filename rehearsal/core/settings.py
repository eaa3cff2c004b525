"""What a rehearsal learns from its environment: which program it is for, and where it keeps its files.

| variable | meaning | default |
|---|---|---|
| TRIPLANE_REHEARSAL_PROJECT | folder of the program: relative assets count from it | the nearest folder with a Pulumi.yaml, from the working folder upwards |
| TRIPLANE_REHEARSAL_DIR | folder of the state | `.rehearsal` in the program's folder |
| TRIPLANE_REHEARSAL_API_MODELS | `off`: do not check inputs against the clouds' request models | on |
| TRIPLANE_REHEARSAL_PROFILE | how the clouds behave: `instant`, `realistic` or `fresh-account` (`core.behaviour`) | `instant` |
| XDG_CACHE_HOME | parent of the folder that all rehearsals of a user share | `~/.cache` |
"""

from __future__ import annotations

import os
from pathlib import Path

from rehearsal.core.behaviour import BEHAVIOURS, DEFAULT, PROFILES, Behaviour

PROJECT_VARIABLE = "TRIPLANE_REHEARSAL_PROJECT"
STATE_VARIABLE = "TRIPLANE_REHEARSAL_DIR"
TOKEN_VARIABLE = "TRIPLANE_REHEARSAL_TOKEN"
"""Set by the rehearsal's own environment: the token of its API."""
API_MODELS_VARIABLE = "TRIPLANE_REHEARSAL_API_MODELS"
PROFILE_VARIABLE = "TRIPLANE_REHEARSAL_PROFILE"

# For messages. The second command is this repository's own.
START = "`python -m rehearsal start` (in Triplane's clone: `make rehearsal`)"
STOP = "`python -m rehearsal stop` (in Triplane's clone: `make down`)"
WIPE = "`python -m rehearsal wipe` (in Triplane's clone: `make wipe`, which also deletes the stacks in it)"

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of this package."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triplane"
"""Shared by all rehearsals of a user: emulators, descriptions of the SDKs' types, reserved ports."""


def project_folder() -> Path:
    """The folder of the Pulumi program that is rehearsed."""
    if named := os.environ.get(PROJECT_VARIABLE):
        return Path(named).resolve()
    here = Path.cwd().resolve()
    return next((each for each in (here, *here.parents) if (each / "Pulumi.yaml").exists()), here)


def state_folder(project: Path | None = None) -> Path:
    """The folder in which the rehearsal of this program keeps everything."""
    named = os.environ.get(STATE_VARIABLE)
    return Path(named or (project or project_folder()) / ".rehearsal").resolve()


def checks_api_models() -> bool:
    """Whether inputs are checked against the clouds' request models. Those may be older than a cloud."""
    return os.environ.get(API_MODELS_VARIABLE) != "off"


class UnknownProfile(ValueError):
    """The environment names a profile that does not exist; the message has the allowed ones."""


def behaviour() -> Behaviour:
    """How the clouds behave in a rehearsal that is started now. Raises `UnknownProfile`."""
    word = os.environ.get(PROFILE_VARIABLE) or DEFAULT
    for profile in PROFILES:
        if word == profile:
            return BEHAVIOURS[profile]
    raise UnknownProfile(
        f'{PROFILE_VARIABLE} is "{word}", and these profiles exist: {", ".join(PROFILES)}.'
        f" Without it the rehearsal is {DEFAULT}"
    )
