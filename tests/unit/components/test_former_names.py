"""A state that an earlier version has written can be previewed, refreshed and destroyed with this one."""

from __future__ import annotations

import base64
import json
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pulumi.dynamic import Resource
from pulumi.dynamic.dynamic import serialize_provider

from components import clouds
from components.former_names import FORMER_NAMES
from components.resource_type import DYNAMIC, RANDOM_KEY
from components.resource_types import RESOURCE_TYPES
from components.stored_providers import PROVIDERS, STORED_FORMS
from config.clouds import Cloud

ROOT = Path(__file__).resolve().parents[3]
STORED: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "stored_providers.json").read_text()
)
"""``__provider`` by type, as each version has stored it that names a provider in another way; the last is today's.

A provider that is moved or renamed gets a line in `FORMER_NAMES`, and a new version here; none is ever changed.
"""
ADDED_LATER = {
    f"{DYNAMIC}{name}"
    for name in (
        "AwsScalingDeregistration",
        "AzureAppSettings",
        "AzureBuiltImage",
        "AzureGrantsInForce",
    )
}
"""The dynamic types that the first versions in `STORED` did not have."""
BEFORE_THE_MOVE, *_, TODAY = STORED.values()


def named_in(pickled: str) -> str:
    """``module:class`` in a stored provider."""
    module, class_name = [
        text
        for code, text, _ in pickletools.genops(base64.b64decode(pickled))
        if code.name == "SHORT_BINUNICODE"
    ]
    return f"{module}:{class_name}"


def test_the_last_recorded_version_is_what_the_program_stores_today() -> None:
    """It shows the naming, too: the provider of class X is XProvider, in the same module."""
    for cloud in get_args(Cloud):
        clouds.load(cloud)
    stored = {}
    for resource in Resource.__subclasses__():
        if resource.__module__.startswith("components."):
            provider = getattr(sys.modules[resource.__module__], f"{resource.__name__}Provider")
            stored[f"pulumi-python:{resource._resource_type_name}"] = serialize_provider(provider())
    assert stored == TODAY, "a provider has another name: see STORED"
    assert {named_in(each) for each in stored.values()} == PROVIDERS


def test_a_state_may_have_the_providers_of_every_version_and_no_others() -> None:
    assert {each for stored in STORED.values() for each in stored.values()} == STORED_FORMS


@pytest.mark.parametrize("version", STORED)
def test_every_version_has_a_provider_of_every_dynamic_type(version: str) -> None:
    # A version before a type was added has none of it.
    missing = {t for t in RESOURCE_TYPES if t.startswith(DYNAMIC)} - STORED[version].keys()
    assert missing <= ADDED_LATER, "a provider of a former version is not recorded"
    assert STORED[version].keys() <= RESOURCE_TYPES.keys()


def test_every_renamed_provider_has_a_line_in_the_table() -> None:
    names = {named_in(each) for stored in STORED.values() for each in stored.values()}
    assert names - {named_in(each) for each in TODAY.values()} == FORMER_NAMES.keys()
    assert named_in(BEFORE_THE_MOVE[RANDOM_KEY]) == named_in(TODAY[RANDOM_KEY])


@pytest.mark.parametrize("version", STORED)
def test_pulumis_provider_process_loads_every_stored_provider(version: str) -> None:
    """In a fresh process, one after another: nothing of the program is imported before it is looked up."""
    program = (
        "import base64, dill, json, sys\n"
        "for token, pickled in json.load(sys.stdin).items():\n"
        "    loaded = type(dill.loads(base64.b64decode(pickled)))\n"
        "    print(token, f'{loaded.__module__}:{loaded.__qualname__}')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(STORED[version]),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    loaded = dict(line.split() for line in ran.stdout.splitlines())
    assert loaded == {token: named_in(TODAY[token]) for token in STORED[version]}


def test_a_former_module_has_its_former_classes_only() -> None:
    with pytest.raises(ImportError, match="NoSuchProvider"):
        from components.aws.built_image import NoSuchProvider  # type: ignore[import-not-found]  # noqa: F401
