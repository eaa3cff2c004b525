"""A state that an earlier version has written can be previewed, refreshed and destroyed with this one."""

from __future__ import annotations

import base64
import json
import pickle
import pickletools
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from pulumi.dynamic import ResourceProvider

from components.former_names import FORMER_NAMES
from components.resource_type import DYNAMIC, RANDOM_KEY
from components.resource_types import RESOURCE_TYPES

ROOT = Path(__file__).resolve().parents[3]
RECORDED: dict[str, str] = json.loads((Path(__file__).parent / "former_providers.json").read_text())
"""``__provider`` by type, as the last version before the move to components/<cloud>/dynamic stored it."""


def named_in(pickled: str) -> str:
    """``module:class`` in a stored provider."""
    module, class_name = [
        text
        for code, text, _ in pickletools.genops(base64.b64decode(pickled))
        if code.name == "SHORT_BINUNICODE"
    ]
    return f"{module}:{class_name}"


def test_a_provider_of_every_dynamic_type_was_recorded() -> None:
    assert RECORDED.keys() == {token for token in RESOURCE_TYPES if token.startswith(DYNAMIC)}


def test_every_renamed_provider_has_a_line_in_the_table() -> None:
    recorded = {named_in(each) for token, each in RECORDED.items() if token != RANDOM_KEY}
    assert recorded == FORMER_NAMES.keys()


def test_pulumis_provider_process_loads_every_stored_provider() -> None:
    """In a fresh process, one after another: nothing of the program is imported before it is looked up."""
    program = (
        "import base64, dill, json, sys\n"
        "for token, pickled in json.load(sys.stdin).items():\n"
        "    loaded = type(dill.loads(base64.b64decode(pickled)))\n"
        "    print(token, f'{loaded.__module__}:{loaded.__qualname__}')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(RECORDED),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    loaded = dict(line.split() for line in ran.stdout.splitlines())
    now = {token: named_in(pickled) for token, pickled in RECORDED.items()}
    assert loaded == {token: FORMER_NAMES.get(name, name) for token, name in now.items()}


@pytest.mark.parametrize("name", FORMER_NAMES.values())
def test_the_name_of_today_is_the_one_that_a_new_state_gets(name: str) -> None:
    module, _, class_name = name.partition(":")
    provider = getattr(import_module(module), class_name)()
    assert isinstance(provider, ResourceProvider)
    assert named_in(base64.b64encode(pickle.dumps(provider, 4)).decode()) == name


def test_a_former_module_has_its_former_classes_only() -> None:
    with pytest.raises(ImportError, match="NoSuchProvider"):
        from components.aws.built_image import NoSuchProvider  # type: ignore[import-not-found]  # noqa: F401
