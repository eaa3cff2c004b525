"""What `make up`, `preview`, `destroy`, `outputs` and `predict` do: this clone's stacks in the rehearsal.

Nothing here is needed for a real cloud: there it is plain `pulumi up`.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pulumi

from config import schema
from config.model_store import MODEL, STORE
from config.stack_file import StackFile
from config.validation import config_of_file
from operations.data.state_copy import copy_state_into_lake
from operations.engine import account, guards
from operations.engine.disk_space import disk_shortages
from operations.engine.gateway import predict
from operations.engine.guards import allowed, refuse
from operations.engine.installation import HOME, PYTHON
from operations.engine.resources import urns_with_dependencies
from operations.engine.stack import SETTINGS, Stack
from operations.engine.state_file import clock_behind_state
from operations.recovery import interrupted_run, state_copies
from operations.terminal import fail, say

DATA = ("DataLake", "ImageRegistry", "ModelArtifact")
"""The nouns that `make destroy` spares: what no program can make again."""


def guard(stack: Stack) -> None:
    """Refuse an update in another account, or one that costs what is precious."""
    if stack.resources():  # a new stack has nothing to lose, and a preview takes seconds
        # A replacement that was cut short only deletes, which a preview shows when asked to.
        steps = stack.steps("preview", "--show-replacement-steps")
        refuse(guards.another_account(steps) or guards.update_losses(steps, allowed()))


def train() -> None:
    """Train the model, unless the store has a champion."""
    if (STORE / MODEL / "champion").exists():
        return
    say("training the model on the flights of 2013 (once, about a minute)")
    path = {"PYTHONPATH": str(HOME / "lambda")}
    command = [str(PYTHON), "-m", "model_server", "train"]
    if subprocess.run(command, cwd=HOME, env={**os.environ, **path}).returncode:
        fail("The model could not be trained; the reason is above.")


def check(stack: Stack) -> schema.StackConfig:
    """The settings; refuses wrong ones before a stack is made of them."""
    try:
        return config_of_file(StackFile.read(stack.file, SETTINGS.name))
    except pulumi.RunError as error:
        fail(str(error))


def whole(stack: Stack) -> None:
    """Refuse a state that cannot be read: to Pulumi some of those are a stack without resources."""
    if wrong := stack.state_problem():
        fail(f"{wrong}. Nothing was changed. Put the newest whole copy in its place: make adopt")


def prepare(stack: Stack) -> schema.StackConfig:
    """What every command that changes something does first; refuses a second platform beside a lost one."""
    start_rehearsal()
    train()
    config = check(stack)
    whole(stack)
    refuse(clock_behind_state(stack.state, allowed()))
    if not stack.exists():
        os.environ.update(stack.environment)
        refuse(state_copies.reasons_not_to_create(config, stack.name, allowed()))
        stack.init()
    interrupted_run.recover(stack, config)
    return config


def up(stack: Stack) -> None:
    prepare(stack)
    guard(stack)
    apply(stack)
    tell(stack)


def apply(stack: Stack) -> None:
    """Bring the stack up, and copy its state into its lake; after a failure, too."""
    try:
        stack.update("up", "--suppress-outputs")
    finally:
        copy_state_into_lake(stack)


def tell(stack: Stack) -> None:
    """The outputs, a prediction, and how much the last update changed."""
    outputs = stack.outputs()
    show(outputs)
    predict(stack, outputs)
    changes = stack.changes()
    changed = sum(count for kind, count in changes.items() if kind != "same")
    print(
        f"\nStack {stack.name}: {changed} resources changed."
        if changed
        else f"\nStack {stack.name}: no change; {changes.get('same', 0)} resources stand as they stood."
    )


def preview(stack: Stack) -> None:
    start_rehearsal()
    train()
    check(stack)
    whole(stack)
    stack.init()
    stack.pulumi("preview")


def destroy(stack: Stack) -> None:
    """Take down all but the data; with ``DATA=destroy`` the data, too, where the settings agree."""
    start_rehearsal()
    if not stack.exists():
        print(f"There is no stack {stack.name}: nothing to destroy.")
        return
    config = prepare(stack)
    refuse(account.another_account(stack, config))
    if os.environ.get("DATA") == "destroy":
        if config.keep_data:
            fail(
                f"DATA=destroy, but {SETTINGS.name} says triplane:keep_data: true (or nothing, which is"
                " the same). Set it to false, run `make up`, and then destroy."
            )
        stack.update("destroy")
        return
    keep = urns_with_dependencies(stack.resources(), DATA)
    stack.update("destroy", *(word for urn in keep for word in ("--exclude", urn)))
    copy_state_into_lake(stack)
    names = [
        urn.rsplit("::", 1)[-1] for urn in keep if not urn.split("$")[-1].startswith("triplane")
    ]
    print(f"\nKept, still managed by stack {stack.name}:\n  " + "\n  ".join(names))
    print(
        "`make up` builds the rest around it again. To destroy it, too: make destroy DATA=destroy"
    )


def show(outputs: dict[str, Any]) -> None:
    """The outputs, a line each; the key stays where it is."""
    shown = {
        name: value for name, value in outputs.items() if name not in ("readme", "gateway_key")
    }
    if "gateway_key" in outputs:
        shown["gateway_key"] = "(secret: pulumi stack output gateway_key --show-secrets)"
    print()
    for name, value in shown.items():
        print(f"  {name:<14} {value}")


def outputs(stack: Stack) -> None:
    whole(stack)
    found = stack.outputs()
    if not found:
        fail(f"Stack {stack.name} has no outputs yet. Bring it up with `make up`.")
    show(found)


def ask(stack: Stack) -> None:
    whole(stack)
    predict(stack, stack.outputs())


def start_rehearsal() -> None:
    refuse(disk_shortages())
    if subprocess.run([str(PYTHON), "-m", "rehearsal", "start"], cwd=HOME).returncode:
        fail("The rehearsal did not start; the reason is above.")


COMMANDS = {"up": up, "preview": preview, "destroy": destroy, "outputs": outputs, "predict": ask}
