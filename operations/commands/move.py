"""`make move FROM=… TO=…`: the platform on another cloud, while the old one still serves.

The new platform is built with the model version that serves, gets a copy of the data, and must give the same
prediction, byte for byte. Then what has come meanwhile is copied. The old platform is only read, and never changed:
callers are switched by a person. Each step finds what an earlier run has done, so a run that was stopped anywhere
is continued by the same command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

from components.contracts import Zone
from config.clouds import Cloud
from operations.commands.backup import MIB, copied
from operations.commands.check_account import refuse_unprepared_account
from operations.commands.model_versions import copy_models, other_models
from operations.commands.preparation import (
    ensure_models,
    prepare,
    read_settings,
    refuse_unreadable_state,
)
from operations.commands.update import bring_up, refuse_losses
from operations.data.lake import Lake
from operations.data.origins import add_origin, foreign_objects, origins
from operations.data.state_copy import lake_of
from operations.engine import cloud_errors
from operations.engine.gateway import different_versions, predicted_bytes, served_versions
from operations.engine.guards import allowed, refuse
from operations.engine.rehearsed_stack import RehearsedStack
from operations.engine.shell_stack import ShellStack
from operations.engine.stack import NamedStack
from operations.recovery import kept_key
from operations.terminal import fail, say

ALLOW_OTHER_DATA = "other-data"
"""The word that adds the data to a lake that has data of another platform: ``ALLOW=other-data``."""

ALLOW_OTHER_PREDICTION = "prediction"
"""The word that accepts another answer about the model's example: ``ALLOW=prediction``. Other processors may
calculate otherwise in the last digit (believed: that they do not)."""


@dataclass(frozen=True)
class Platform:
    """A platform that serves: its stack, outputs and lake."""

    stack: NamedStack
    outputs: dict[str, Any]
    lake: Lake

    @property
    def lake_uri(self) -> str:
        return str(self.outputs["lake_uri"])


def stacks_of_move(source: str, target: str) -> tuple[NamedStack, NamedStack]:
    """The stacks for ``FROM`` and ``TO``: two clouds of the rehearsal, or two stacks of the shell's environment."""
    if not source or not target:
        fail(
            "Write which platform is left and which one comes: make move FROM=aws TO=gcp in the rehearsal, or with the"
            " names of two stacks of your shell's environment."
        )
    clouds = [each in get_args(Cloud) for each in (source, target)]
    if all(clouds):
        return RehearsedStack.for_cloud(source), RehearsedStack.for_cloud(target)
    if any(clouds):
        fail(
            f"FROM={source} and TO={target}: a cloud's name means a stack of this clone's rehearsal, and any other name"
            " a stack of your shell's environment. Write two clouds, or two stacks."
        )
    return ShellStack.named(source), ShellStack.named(target)


def move(source: NamedStack, target: NamedStack) -> None:
    """Build the source's platform on the target, with its data; says which address to switch."""
    if source.name == target.name:
        fail(
            f"FROM and TO are the same stack, {source.name}. Nothing was changed. Name another cloud or stack in TO."
        )
    keep_key = kept_key.is_wanted()
    for each in (source, target):
        each.start()
    old = _serving(source, successor=target)
    with _continued_by_another_run(source, begun=False):
        key = _refuse_unfit_target(old, target, keep_key)
    with _continued_by_another_run(source, begun=True):
        new = _built(old, target, key)
        _copy(old, new, "copying the data")
        equal = _check_prediction(old, new)
        _copy(old, new, "copying what has come meanwhile")
    _report(old, new, equal)


def _serving(stack: NamedStack, successor: NamedStack) -> Platform:
    """The platform of a stack. Leaves with a reason unless it serves; a backup could be restored in ``successor``."""
    refuse_unreadable_state(stack)
    outputs = stack.outputs() if stack.exists() else {}
    lake = lake_of(stack) if outputs else None
    if lake is None or "gateway_url" not in outputs:
        fail(
            f"Stack {stack.name} does not exist, or serves nothing: nothing can be moved from it. Nothing was"
            f" changed. If its cloud is gone: `{successor.make('restore BACKUP=… KEY=keep')}`"
        )
    return Platform(stack, outputs, lake)


def _refuse_unfit_target(old: Platform, target: NamedStack, keep_key: bool) -> str | None:
    """Leave with a reason if the target cannot take the platform, before it is changed; returns the key to put there."""
    refuse_unreadable_state(target)
    served = served_versions(old.outputs)
    if not copy_models(old.lake, champions=served):
        fail(
            f"{old.lake_uri}, the lake of stack {old.stack.name}, has no models: the same platform cannot be built elsewhere."
            f" Nothing was changed. `{old.stack.make('repair')}` puts back what is lost."
        )
    ensure_models(target)
    refuse(other_models(target, read_settings(target), served))
    key = kept_key.key_of(old.stack) if keep_key else None
    if keep_key and key is None:
        fail(
            f"KEY=keep: the gateway of stack {old.stack.name} has no key. Nothing was changed. Leave out KEY=keep."
        )
    if target.exists():
        found = served_versions(target.outputs()) or served
        if differences := different_versions(found, served):
            fail(
                f"Refused: stack {target.name} does not serve what stack {old.stack.name} serves: {differences}."
                f" Nothing was changed. Bring it to those versions first: {target.make('up')}"
            )
        if lake := lake_of(target):
            refuse(_other_data(old, target, lake))
        if key:
            refuse(kept_key.another_key(target, key))
    return key


def _other_data(old: Platform, target: NamedStack, lake: Lake) -> list[str]:
    """Reasons to refuse: the target's lake has data that no move from the source explains."""
    uri = str(target.outputs().get("lake_uri"))
    # Either of the two has been filled from the other one: also when a platform moves back.
    if old.lake_uri in origins(lake) or uri in origins(old.lake) or ALLOW_OTHER_DATA in allowed():
        return []
    foreign = sorted(foreign_objects(lake, old.lake))
    if not foreign:
        return []
    return [
        f"{uri} has {len(foreign)} objects of another platform, such as {foreign[0]}: afterwards nobody could"
        f" tell them from those of stack {old.stack.name}. Nothing was changed. Choose an empty stack for TO; or add"
        f" to what is there, which overwrites none of it: ALLOW={ALLOW_OTHER_DATA}"
    ]


def _built(old: Platform, target: NamedStack, key: str | None) -> Platform:
    """The new platform, brought up; with the old one's key if there is one to put there."""
    say(f"building stack {target.name}; stack {old.stack.name} goes on serving")
    refuse_unprepared_account(target, prepare(target, create=True))
    refuse_losses(target)
    if key:
        kept_key.put_key(target, key)
    bring_up(target)
    new = _serving(target, successor=target)
    add_origin(new.lake, old.lake_uri)
    return new


def _copy(old: Platform, new: Platform, what: str) -> None:
    say(what)
    result = copied(old.lake, new.lake, "copies")
    kept = f"; {result.kept} stay as {new.stack.name} has them itself" if result.kept else ""
    print(f"Copied {result.copied} of {result.found} objects, {result.size / MIB:.1f} MiB{kept}.")


def _check_prediction(old: Platform, new: Platform) -> bool:
    """Ask both about each model's example: whether the answers are equal, byte for byte.

    Leaves with a reason if they are not, unless that is allowed.
    """
    say("asking both about each model's example")
    first, second = (predicted_bytes(each.stack, each.outputs) for each in (old, new))
    if first != second and ALLOW_OTHER_PREDICTION not in allowed():
        fail(
            f"Stack {new.stack.name} answers otherwise than stack {old.stack.name}:\n{_different(first, second)}\nLook for the cause (`{old.stack.make('drift')}`,"
            f" `{new.stack.make('drift')}`, the models' cards)."
            f" If only the last digit differs, and that is good enough:"
            f" ALLOW={ALLOW_OTHER_PREDICTION}"
        )
    return first == second


def _different(first: dict[str, bytes], second: dict[str, bytes]) -> str:
    """The answers that differ, each beside the other."""
    return "\n".join(
        f"  {name}: {first[name].decode()}\n  {' ' * len(name)}  {second.get(name, b'').decode()}"
        for name in first
        if first[name] != second.get(name)
    )


def _report(old: Platform, new: Platform, equal: bool) -> None:
    names = [set(each.lake.names(f"{Zone.CAPTURES}/")) for each in (old, new)]
    keys = [each.outputs.get("gateway_key") for each in (old, new)]
    key = "the same, callers keep it" if keys[0] == keys[1] else "another one, which callers need"
    prediction = "the same prediction as" if equal else "another prediction, which is allowed, than"
    exactly = ", byte for byte" if equal else ""
    models = "\n".join(
        f"  model     {name} {version}" for name, version in served_versions(new.outputs).items()
    )
    print(f"""
Stack {new.stack.name} gives {prediction} stack {old.stack.name}{exactly}.
{models}
  captures  {len(names[0] & names[1])} of {len(names[0])} are in {new.lake_uri}
  key       {key}

Switch your callers
  from  {old.outputs["gateway_url"]}
  to    {new.outputs["gateway_url"]}
Then run the same command again: it brings what {old.stack.name} has recorded until then. Stack {old.stack.name} is
unchanged; when nobody calls it any more, `{old.stack.make("destroy")}` takes it down. Not moved: former versions of
objects, images (they are built again), and what only {old.stack.name}'s cloud has (logs, alarms' history).""")


@contextmanager
def _continued_by_another_run(source: NamedStack, *, begun: bool) -> Iterator[None]:
    """Whatever stops a run, say that nothing is lost and what to do. ``begun``: not only refusals can stop it."""
    advice = (
        f"Stopped before the end. Stack {source.name} is unchanged and serves on; do not switch callers yet. Run the same"
        " command again: it goes on from here."
    )
    try:
        yield
    except KeyboardInterrupt:
        fail(f"\n{advice}")
    except SystemExit as left:
        if isinstance(left.code, int) and left.code:  # the engine's: its reason is above
            fail(advice)
        if begun and left.code:
            fail(f"{left.code}\n{advice}")
        raise
    except Exception as error:  # each cloud's client has errors of its own
        try:
            reason = cloud_errors.reason_of_stop(error)
        except type(error):  # a mistake of ours: its traceback comes below
            print(advice, file=sys.stderr)
            raise
        fail(f"{reason}\n{advice}")
