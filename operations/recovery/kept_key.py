"""Take the gateway's key of one stack along to another one (``KEY=keep``), so that its callers keep theirs.

The engine decrypts the key from the first stack's state, or from the copy of it in a backup, with that state's own
passphrase or secrets provider. Through pipes it goes into the other stack's state before that stack's first update,
and the engine encrypts it there with the other stack's. So it is in no file, log, environment or list of processes,
and no second key ever exists that somebody may have begun to use.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from components.resource_type import RANDOM_KEY
from operations.engine.installation import typed_pulumi
from operations.engine.pulumi_errors import error_text
from operations.engine.resources import Resource
from operations.engine.stack import NamedStack, Stack
from operations.engine.wire import SECRET, SIGNATURE
from operations.recovery.copy_search import StateCopy
from operations.recovery.deployment import provider_urn
from operations.recovery.gateway_key import key_resource
from operations.recovery.importer import with_providers_and_components
from operations.recovery.program_preview import Preview, previewed
from operations.recovery.trial_stack import former_stack, trial_stack
from operations.terminal import fail, say

KEEP = "keep"
"""The word that takes the key along: ``KEY=keep``."""


def is_wanted() -> bool:
    """Whether ``KEY=keep`` is set. Leaves with a reason if it is another word."""
    word = os.environ.get("KEY", "")
    if word not in ("", KEEP):
        fail(
            f"KEY={KEEP} takes the callers' key along. KEY has another word, and a key itself must never be on a"
            " command line. Nothing was changed. Write KEY=keep, or leave it out: then the gateway gets a key of its own."
        )
    return word == KEEP


def key_of(stack: Stack) -> str | None:
    """The key in the stack's state; None if it has no key, or does not exist."""
    if not stack.exists():
        return None
    return _key_among(stack.cli.json("stack", "export", "--show-secrets"))


def key_in_copy(stack: Stack, former: str, copy: StateCopy) -> str | None:
    """The key in a copy of the state of the stack ``former``; None if that had no key.

    Leaves with a reason if it cannot be decrypted.
    """
    with former_stack(former, copy, stack) as scratch:
        done = scratch.cli.capture("stack", "export", "--show-secrets")
        if done.returncode:
            fail(
                f"Refused: the key in {copy.place} cannot be decrypted: {error_text(done)}\nNothing was changed. It is"
                f" encrypted with the passphrase or the secrets provider of stack {former}: set"
                " PULUMI_CONFIG_PASSPHRASE (or …_FILE) to that one, and give both stacks the same. Without it:"
                " leave out KEY=keep, and the gateway gets a key of its own."
            )
        return _key_among(json.loads(done.stdout))


def _key_among(state: dict[str, Any]) -> str | None:
    """The key in an exported state whose secrets are in plain text."""
    for each in (state.get("deployment") or {}).get("resources") or ():
        value = (each.get("outputs") or {}).get("value")
        if each["type"] == RANDOM_KEY and value:
            return str(json.loads(value["plaintext"]))
    return None


def another_key(stack: NamedStack, key: str) -> list[str]:
    """Reasons to refuse: the stack has a key already, which its callers may use, and it is another one."""
    if key_of(stack) in (None, key):
        return []
    return [
        f"the gateway of stack {stack.name} has a key of its own, and its callers would be locked out by another"
        f" one. Nothing was changed. To go on with two keys, run it without KEY={KEEP}. If nobody calls {stack.name}"
        f" yet: {stack.make('destroy')}, and then this again."
    ]


def put_key(stack: Stack, key: str) -> None:
    """Put the key into the state of a stack that has none yet, before the update that would create one."""
    if key_of(stack) is not None:
        return
    state = stack.export()
    with trial_stack(
        stack, StateCopy(f"stack {stack.name}", state) if _resources(state) else None
    ) as trial:
        preview = previewed(trial)
    missing = next((each for each in preview.missing if each["type"] == RANDOM_KEY), None)
    if missing is None:
        fail(
            f"Refused: the gateway of stack {stack.name} takes no key (triplane:gateway: access is public), so"
            f" there is none to keep. Nothing was changed. Leave out KEY={KEEP}, or set access to key."
        )
    deployment = with_providers_and_components(
        state.get("deployment") or {}, _around(missing, preview)
    )
    # Every stack that Pulumi creates names its encryption from the beginning; an import uses that one. Without
    # it the engine would end with a panic, and write nothing.
    # https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/cmd/pulumi/stack/io.go (CreateStack)
    # https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/resource/stack/deployment.go (NewPanicCrypter)
    if not deployment.get("secrets_providers"):
        fail(
            f"Refused: the state of stack {stack.name} names no encryption, so the key cannot be put there. Nothing"
            f" was changed. Create the stack with `{typed_pulumi()} stack init {stack.name}`, or leave out KEY={KEEP}."
        )
    value = {SIGNATURE: SECRET, "plaintext": json.dumps(key)}
    resources = deployment["resources"]
    resources.append(key_resource(missing, value, resources))
    stack.import_state({**state, "deployment": deployment})
    say(f"the callers' key is in the state of stack {stack.name}, encrypted")


def _around(key: Resource, preview: Preview) -> Preview:
    """Of a preview what the key needs in a state: its provider, and the components that it is part of."""
    created = {each["urn"]: each for each in preview.created}
    chain: list[str] = []
    urn = key.get("parent", "")
    while urn in created:
        chain.insert(0, urn)
        urn = created[urn].get("parent", "")
    steps = [each for each in preview.steps if each["op"] == "create" and each["urn"] in chain]
    providers = [each for each in preview.providers if each["urn"] == provider_urn(key)]
    return Preview(steps, providers)


def _resources(state: dict[str, Any]) -> Sequence[Resource]:
    return (state.get("deployment") or {}).get("resources") or ()
