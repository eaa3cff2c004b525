"""`make up`, `preview`, `destroy`, `outputs` and `predict`, on a stack of either kind."""

from __future__ import annotations

import os
import sys
from typing import Any

from config.schema import StackConfig
from operations.commands.check_account import refuse_unprepared_account, unprepared_account
from operations.commands.preparation import (
    create_missing_stack,
    prepare,
    read_ready,
    refuse_another_place,
    refuse_missing,
    refuse_models,
    refuse_unreadable_state,
)
from operations.commands.update import bring_up_to_date, print_outputs
from operations.data.state_copy import copy_state_into_lake
from operations.engine import account
from operations.engine.gateway import chosen_models, print_predictions, refuse_without_gateway
from operations.engine.guards import preview_refusals, refuse
from operations.engine.resources import resource_name, resource_type, urns_with_dependencies
from operations.engine.stack import NamedStack
from operations.terminal import fail

DATA_COMPONENTS = ("DataLake", "ImageRegistry", "ModelArtifact")
"""The components that `make destroy` keeps: no program can create their content again."""


def up(stack: NamedStack) -> None:
    """Bring the platform up, and ask it for a prediction."""
    config = prepare(stack)
    refuse_unprepared_account(stack, config)
    bring_up_to_date(stack)


def preview(stack: NamedStack) -> None:
    """Show what `up` would change, and what it would refuse. ``DIFF=1``: with old and new values, secret ones hidden."""
    diff = os.environ.get("DIFF", "")
    if diff not in ("", "0", "1"):
        fail(f"DIFF={diff}: 1 shows old and new values; nothing, or 0, only what changes.")
    config = read_ready(stack)
    refuse_another_place(stack, config)
    refuse_models(config)
    create_missing_stack(stack, config)
    refused = unprepared_account(stack, config)
    code, steps = stack.cli.streamed_preview(*(["--diff"] if diff == "1" else []))
    if code:
        sys.exit(code)
    for reason in refused or preview_refusals(steps):
        print(f"`{stack.make('up')}` would refuse this: {reason}")


def destroy(stack: NamedStack) -> None:
    """Take down everything but the data; with ``DATA=destroy`` the data, too, if the settings allow it."""
    data = os.environ.get("DATA", "")
    if data not in ("", "destroy"):
        fail(
            "DATA has a word that means nothing here, so it is not known whether the data is to stay. Nothing was"
            " changed. Without DATA it stays. To destroy it, too: DATA=destroy"
        )
    stack.start()
    if not stack.exists() and stack.is_created_by_an_update:
        print(f"There is no stack {stack.name}: nothing to destroy.")
        return
    refuse_missing(stack)
    config = prepare(stack, builds=False)
    refuse(account.account_refusals(stack, config))
    if data:
        _destroy_all(stack, config)
    else:
        _destroy_all_but_data(stack)


def _destroy_all(stack: NamedStack, config: StackConfig) -> None:
    if config.keep_data:
        fail(
            f"DATA=destroy, but {stack.edited.name} has triplane:keep_data: true (or nothing, which is"
            f" the same). Set it to false, run `{stack.make('up')}`, and then destroy."
        )
    stack.update("destroy")
    # Without the option Pulumi deletes the stack's file, too: here it is the settings, and in git.
    # https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_rm/
    print(
        f"\nStack {stack.name} is empty. To build it again: {stack.make('up')}. To remove it: {stack.pulumi_line('stack rm --preserve-config')}"
    )


def _destroy_all_but_data(stack: NamedStack) -> None:
    resources = stack.resources()
    kept = urns_with_dependencies(resources, DATA_COMPONENTS)
    # It has the region and project of the data. Without them an update would take a changed setting for the first one, and
    # replace the lake (`components.stack_place`).
    place = [each["urn"] for each in resources if each["type"].endswith(":Foundation")]
    stack.update(
        "destroy", *(word for urn in dict.fromkeys([*kept, *place]) for word in ("--exclude", urn))
    )
    copy_state_into_lake(stack)
    names = [resource_name(urn) for urn in kept if not resource_type(urn).startswith("triplane")]
    # Pulumi's last sentence is about what it was to delete, and sounds as if nothing were left.
    print(f"\nNot deleted, and still managed by stack {stack.name}:\n  " + "\n  ".join(names))
    print(
        f"To build the rest around it again: {stack.make('up')}. To destroy it, too: {stack.make('destroy DATA=destroy')}"
    )


def outputs(stack: NamedStack) -> None:
    """Show the stack's outputs."""
    print_outputs(stack, _serving_outputs(stack))


def key(stack: NamedStack) -> None:
    """Print the gateway's key; at a terminal also how to copy it."""
    found = _serving_outputs(stack)
    if "gateway_key" not in found:
        fail(
            f"The gateway of stack {stack.name} takes no key (triplane:gateway: access is public): anyone may call"
            f" {found['gateway_url']}"
        )
    if sys.stdout.isatty():
        print(
            f"The key for {found['gateway_url']}. To copy it without showing it: {stack.make('-s key')} | pbcopy (macOS), wl-copy or"
            " xclip -selection clipboard (Linux), clip.exe (WSL)",
            file=sys.stderr,
        )
    print(found["gateway_key"])


def predict(stack: NamedStack) -> None:
    """Ask each model of the running platform about its example, or that of ``MODEL=``."""
    outputs = _serving_outputs(stack)
    print_predictions(stack, outputs, chosen_models(outputs))


def _serving_outputs(stack: NamedStack) -> dict[str, Any]:
    """The outputs of a stack whose gateway exists. After `make destroy` they are still in the state, and their addresses
    are dead."""
    refuse_unreadable_state(stack)
    refuse_missing(stack)
    refuse_without_gateway(stack)
    return stack.outputs()
