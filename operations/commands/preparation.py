"""What a command does before it changes a stack: its backend or the rehearsal, the model, the settings, the state."""

from __future__ import annotations

import os
import subprocess

import pulumi

from components import stack_place
from config.model_check import refuse_unfit_models
from config.model_store import CHAMPION, STORE, obstacle_to_training
from config.schema import StackConfig
from config.stack_file import StackFile
from config.validation import config_of_file
from operations.engine.guards import allowed, refuse
from operations.engine.installation import HOME, PYTHON
from operations.engine.stack import NamedStack
from operations.engine.state_file import clock_behind_state
from operations.recovery import copy_search, failed_endpoints, interrupted_run
from operations.terminal import fail, say


def prepare(stack: NamedStack, *, create: bool = False, builds: bool = True) -> StackConfig:
    """Prepare an update; returns the settings.

    Refuses to create a stack whose platform exists already, and recovers from an interrupted run. ``create``: the
    stack is created also where a missing one is an error. ``builds``: the models are checked; a destroy needs none.
    """
    config = read_ready(stack)
    refuse_another_place(stack, config)
    if builds:
        refuse_models(config)
    refuse(clock_behind_state(stack.name, stack.written(), allowed()))
    create_missing_stack(stack, config, create=create)
    interrupted_run.recover(stack, config)
    failed_endpoints.delete_failed_endpoints(stack, config)
    return config


def read_ready(stack: NamedStack) -> StackConfig:
    """Make the stack ready for Pulumi's commands; returns the settings. Leaves if its state cannot be read."""
    stack.start()
    ensure_models(stack)
    config = read_settings(stack)
    refuse_unreadable_state(stack)
    return config


def refuse_models(config: StackConfig) -> None:
    """Leave if the platform could not serve a model. The program refuses it, too, but after the account was asked."""
    try:
        refuse_unfit_models(config.artifacts)
    except pulumi.RunError as error:
        fail(str(error))


def refuse_another_place(stack: NamedStack, config: StackConfig) -> None:
    """Leave if the stack's platform exists elsewhere than its settings say. The program refuses it, too: plain Pulumi
    runs no more of this repository."""
    found = stack_place.moves(stack.recorded_state().get("resources") or (), config)
    if found:
        fail(
            stack_place.refusal(
                stack.edited.name,
                stack.name,
                found,
                keep_data=config.keep_data,
                beside=stack.built_elsewhere(found),
                destroy=stack.pulumi_line("destroy"),
            )
        )


def create_missing_stack(stack: NamedStack, config: StackConfig, *, create: bool = False) -> None:
    """Create the stack, unless it exists. Refuses while the platform of a lost state exists: an empty state hides
    the loss from the next command, and so does a stack that somebody has created again."""
    if not create and not stack.is_created_by_an_update:
        refuse_missing(stack)
    refuse_second_platform(stack, config)
    stack.init()


def refuse_second_platform(stack: NamedStack, config: StackConfig) -> None:
    """Leave if the stack has no resource in its state, and its cloud has some of this stack."""
    if not stack.exists() or stack.is_empty():
        os.environ.update(stack.environment)
        refuse(copy_search.reasons_not_to_create(config, stack, allowed()))


def refuse_missing(stack: NamedStack) -> None:
    """Leave if the stack does not exist."""
    if reason := stack.missing():
        fail(reason)


def ensure_models(stack: NamedStack) -> None:
    """Train each model whose champion the stack serves, unless the store has one. What is wrong in the settings is said
    when they are read."""
    for name in models_without_champion(stack):
        say(f"training the model {name} (once, up to a minute)")
        train(name)


def models_without_champion(stack: NamedStack) -> list[str]:
    """The models of the stack file whose champion is served and is not in the store. None while the settings are wrong,
    or a model cannot be trained: a training may take a minute, and would not be of use."""
    try:
        file = StackFile.read(stack.file, stack.edited.name)
        models = config_of_file(file, store=None).models
    except pulumi.RunError:
        return []
    missing = [
        name
        for name, model in models.items()
        if not model.image
        and model.version.version == CHAMPION
        and not (STORE / name / CHAMPION).exists()
    ]
    return [] if any(obstacle_to_training(name) for name in missing) else missing


def train(name: str, *words: str) -> str:
    """Train a model, unless the store has what that gives; returns its version. Leaves if that fails."""
    done = subprocess.run(
        [str(PYTHON), "-m", "training", "train", "--model", name, *words],
        cwd=HOME,
        env=training_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        fail(f"The model {name} could not be trained; the reason is above.")
    return done.stdout.split()[-1]


def training_environment() -> dict[str, str]:
    """The environment in which `python -m training` runs."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HOME), str(HOME / "lambda")])}


def read_settings(stack: NamedStack) -> StackConfig:
    """The stack's settings. Leaves with all errors in them, before a stack is created."""
    try:
        return config_of_file(StackFile.read(stack.file, stack.edited.name))
    except pulumi.RunError as error:
        fail(str(error))


def refuse_unreadable_state(stack: NamedStack) -> None:
    """Leave if the state cannot be read. Pulumi would take some of those for a stack without resources."""
    if problem := stack.state_problem():
        fail(
            f"{problem}. Nothing was changed. Put the newest intact copy in its place: {stack.make('adopt')}"
        )
