"""Where a stack's platform is: its cloud, region and project. No update can change one of them: it would delete the platform
in one place, its data too, and build an empty one in another.

The program asks the engine for the state of its own stack before it registers anything. So plain Pulumi refuses such an
update as `make` does, and already in a preview.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.resource_types import BY_CLOUD
from components.stack_readme import stack_reference
from config.schema import StackConfig

READ_STATE = "pulumi:pulumi:readStackResourceOutputs"
"""A function of the engine itself. It leaves nothing in the state, as a StackReference to the own stack would.
https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/resource/deploy/builtins.go"""
READ_TRIES = 20
CLOUD = "triplane:cloud"
CLONES_STACK = "dev"
"""The stack beside which `make up CLOUD=…` builds those of the other clouds."""

Resource = Mapping[str, Any]
"""A resource of a state, with its ``type`` and ``outputs``."""


@dataclass(frozen=True)
class Move:
    """A setting that names another place than the one in which the platform exists."""

    key: str
    existing: str
    written: str


def clouds_of(resources: Iterable[Resource]) -> set[str]:
    """The clouds in which a state has something precious. A stack that has nothing yet may begin again anywhere."""
    found = {each["type"] for each in resources}
    return {
        cloud
        for cloud, types in BY_CLOUD.items()
        if any(types[token].precious for token in found & types.keys())
    }


def moves(resources: Iterable[Resource], config: StackConfig) -> list[Move]:
    """Each setting that names another place than that of these resources.

    The state of an earlier version has neither region nor project: they are known from the next update on.
    """
    resources = list(resources)
    clouds = clouds_of(resources)
    if not clouds:
        return []
    if config.cloud not in clouds:
        return [Move(CLOUD, " and ".join(sorted(clouds)), config.cloud)]
    foundation = f"triplane:{config.cloud}:Foundation"
    found = (each.get("outputs") or {} for each in resources if each["type"] == foundation)
    recorded: Mapping[str, Any] = next(found, {})
    settings = {
        config.region_key: (recorded.get("region"), config.region),
        "gcp:project": (recorded.get("project"), config.project),
    }
    return [
        Move(key, existing, written)
        for key, (existing, written) in settings.items()
        if existing and written and existing != written
    ]


def new_stack(stack: str, moves: list[Move]) -> str:
    """A stack of its own for the other place: its name, or how Pulumi's commands name it, as ``stack`` is."""
    return f"{stack}-{moves[0].written}"


def creation(reference: str, moves: list[Move], pulumi: str = "pulumi") -> str:
    """The commands that create this stack with a copy of the settings, which has an encryption of its own."""
    name = reference.rpartition("/")[2]
    copy = f"grep -v ^encrypt Pulumi.{name}.yaml > Pulumi.{new_stack(name, moves)}.yaml"
    return f"{copy} && {pulumi} stack init {new_stack(reference, moves)}"


def refusal(
    file: str, stack: str, moves: list[Move], *, keep_data: bool, beside: str, destroy: str
) -> str:
    """Why nothing is changed, and the ways out: ``beside`` and ``destroy`` are the commands that are right here."""
    written = [
        line
        for move in moves
        for line in (
            f"  {move.key}: {move.written}",
            f"      The platform of stack {stack} exists in {move.existing}. A setting cannot move it: an update would",
            f"      delete it {'without' if keep_data else 'with'} its data, and build an empty one.",
            "",
        )
    ]
    back = ", ".join(f"{move.key}: {move.existing}" for move in moves)
    data = "its data stays, managed by no stack" if keep_data else "with its data"
    return "\n".join(
        [
            f"{file}: stack {stack} exists elsewhere. Nothing was created or changed.",
            "",
            *written,
            f"  To keep it: write {back} again.",
            f"  To build the other one beside it: {beside}",
            f"  To give it up ({data}), and build anywhere: {destroy}",
        ]
    )


def _recorded_resources() -> Iterable[Resource]:
    """The resources in the state of the running stack.

    In a local backend a reader may find the state's attributes empty, which is an EOF: the engine, which saves the
    stack itself meanwhile, writes them in place.
    https://github.com/google/go-cloud/blob/v0.46.0/blob/fileblob/attrs.go (setAttrs)
    """
    for more in reversed(range(READ_TRIES)):
        try:
            answer = pulumi.runtime.invoke(READ_STATE, {"stackName": stack_reference()}).value
            return list(answer["outputs"].values())
        except Exception as error:  # the SDK raises nothing more special
            if not more or not re.search(r"failed to load checkpoint: .*\bEOF$", str(error)):
                raise
            time.sleep(0.1)
    raise AssertionError


def refuse_another_place(config: StackConfig) -> None:
    """Raise `pulumi.RunError` if the platform of the running stack exists elsewhere than the settings say."""
    found = moves(_recorded_resources(), config)
    if not found:
        return
    stack, reference = pulumi.get_stack(), stack_reference()
    beside = f"{creation(reference, found)} && pulumi up --stack {new_stack(reference, found)}"
    if stack == CLONES_STACK and found[0].key == CLOUD:
        beside = f"make up CLOUD={config.cloud}"
    raise pulumi.RunError(
        refusal(
            f"Pulumi.{stack}.yaml",
            stack,
            found,
            keep_data=config.keep_data,
            beside=beside,
            destroy=f"pulumi destroy --stack {reference}",
        )
    )
