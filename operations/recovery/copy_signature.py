"""Whether a copy of a state, from a lake or a backup, was signed with its stack's secret; if not, the refusal.

The copy says itself how it is encrypted, and who replaces the copy can name an encryption of his own. So what it says
counts only if the stack file says the same, or if it takes a secret that he does not have (`_untrusted_encryption`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from config.stack_file import StackFile
from operations.data.lake_locations import open_lake
from operations.data.state_copy import state_copy_name
from operations.engine.pulumi_errors import error_text
from operations.engine.shell_stack import ShellStack
from operations.engine.stack import NamedStack
from operations.engine.state_signature import Signature, decrypted, encryption, fits
from operations.recovery.copy_search import ALLOW_WITHOUT_COPY, StateCopy
from operations.recovery.trial_stack import empty_stack
from operations.terminal import fail, say

ALLOW_UNSIGNED_COPY = "unsigned-copy"
"""The word that takes a copy without any signature, as former versions wrote them: ``ALLOW=unsigned-copy``."""
WRITE_TIME = timedelta(minutes=5)
"""How long after its signature a copy is written, at most: seconds, but for clocks that differ."""


def refuse_unsigned(
    copy: StateCopy, owner: str, stack: NamedStack, allow: Collection[str], without: str
) -> None:
    """Leave unless the copy of the state of the stack ``owner`` was signed with that stack's secret.

    ``stack``: who asks, with its environment. ``without``: what happens without the copy.
    """
    if copy.signature is None and ALLOW_UNSIGNED_COPY in allow:
        say(f"using the copy {copy.place} of {copy.time}, which nobody has signed")
        return
    if problem := _problem(copy, owner, stack):
        unsigned = (
            " If you know that nobody else could write there, and it is of a former version:"
            f" ALLOW={ALLOW_UNSIGNED_COPY}."
            if copy.signature is None
            else ""
        )
        fail(
            f"Refused: {copy.place} has a copy of the state of stack {owner}, of {copy.time}, and {problem} Nothing was"
            f" changed.{unsigned} To go on without it: ALLOW={ALLOW_WITHOUT_COPY} ({without})."
        )


def _problem(copy: StateCopy, owner: str, stack: NamedStack) -> str | None:
    """Why the copy is not known to be its stack's own; None if it is."""
    signature = copy.signature
    if signature is None:
        return (
            "it has no signature: a former version wrote it, or somebody who does not have the stack's secret and may"
            " have altered it."
        )
    try:
        if untrusted := _untrusted_encryption(encryption(copy.state), owner, stack):
            return untrusted
    except ValueError as error:
        return f"{error}."
    return _signature_problem(copy, signature, owner, stack)


def _untrusted_encryption(named: dict[str, str], owner: str, stack: NamedStack) -> str | None:
    """Why the encryption that a copy names proves nothing; None if only who has the stack's secret can use it."""
    files = (stack.file, stack.file.with_name(f"Pulumi.{owner}.yaml"))
    own, owners = (StackFile.read(each).document if each.exists() else {} for each in files)
    if "secretsprovider" in named:
        if named.items() <= own.items() or named.items() <= owners.items():
            return None
        return (
            f"it is encrypted with {named['secretsprovider']}, and neither {stack.file.name} nor Pulumi.{owner}.yaml names"
            " that with the same encryptedkey. Whose key is it? If it is the stack's: put its file back beside the others."
        )
    if "encryptionsalt" not in named:  # Pulumi Cloud's own
        if isinstance(stack, ShellStack) and stack.backend.startswith("http"):
            return None
        return "Pulumi Cloud encrypts it, where this shell is not signed in (`pulumi login`)."
    if stack.environment.get("PULUMI_CONFIG_PASSPHRASE") == "" and "encryptionsalt" not in own:
        return (
            f"it is encrypted with the empty passphrase, which everybody has, and {stack.file.name} does not name a"
            " passphrase."
        )
    return None


def _signature_problem(
    copy: StateCopy, signature: Signature, owner: str, stack: NamedStack
) -> str | None:
    with empty_stack(owner, stack) as scratch:
        cli = scratch.cli
        if isinstance(stack, ShellStack) and not encryption(copy.state):
            cli = stack.cli_of(owner)  # only Pulumi Cloud can decrypt it, as the stack's own
        done = decrypted(signature, copy.state, cli, scratch.file)
    if done.returncode:
        return (
            f"its signature does not fit, or cannot be checked: {error_text(done)}. It fits the secret of stack {owner}"
            " alone: set PULUMI_CONFIG_PASSPHRASE (or …_FILE) to that stack's, or sign the shell in to its key. If that"
            " is what you did, somebody has altered the copy."
        )
    if not fits(signature, done.stdout.removesuffix("\n"), owner, copy.state):
        return (
            "its signature does not fit: somebody has altered the copy, or put another stack's in its place. Who can"
            " write there?"
        )
    return None


def report_replay(copy: StateCopy, stack: str) -> None:
    """Say so if the copy in a lake was put there long after it was signed: then it is an older one, put back."""
    if copy.signature is None:
        return
    name = state_copy_name(stack)
    signed = datetime.fromisoformat(copy.signature.time)
    for each in open_lake(str(copy.place)).objects(name):
        if each.name == name and each.written - signed > WRITE_TIME:
            say(
                f"the copy was signed at {signed:%Y-%m-%d %H:%M} and written at {each.written:%Y-%m-%d %H:%M}: somebody has put"
                " an older copy back. What was created since is looked for by names and tags"
            )
