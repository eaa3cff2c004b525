"""The errors of Pulumi's command line: which text is the reason, and the way out where Pulumi names none.

The texts are those of Pulumi v3.250.0: pkg/backend/diy (buckets and folders), pkg/backend/httpstate (Pulumi Cloud)
and the clouds' own SDKs, which the backends pass on. tests/e2e/test_shell_stack.py has the engine print them.
"""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from operations.engine import cloud_errors
from operations.engine.installation import typed_pulumi

LOCK = re.compile(r"(\S+): created by (.+)@(\S+) \(pid (\d+)\) at (\S+)$", re.MULTILINE)
"""How Pulumi names a lock in a bucket: pkg/backend/diy/lock.go, v3.250.0."""
MISSING_STACK = re.compile(r"no stack named '[^']*' found")
UNREADABLE_STATE = re.compile(
    r"failed to load checkpoint: .*(unexpected end of JSON|invalid character|cannot unmarshal)",
    re.S,
)
NEWER_PULUMI = re.compile(
    r"not supported by this version of the Pulumi CLI|unsupported checkpoint version"
    r"|newer than what this version|update your version of the Pulumi CLI"
)
UNREACHABLE = re.compile(
    r"could not list bucket|read \"\.pulumi/meta\.yaml\"|error listing stacks|unable to (check|open) bucket"
    r"|problem logging in|could not query endpoint|api\.pulumi\.com|no storage scheme|unable to open"
)
"""What a backend says that cannot be opened."""
NO_ACCOUNT = "Options.AccountName is required"
"""What a backend in Azure's storage says without an account: gocloud.dev/blob/azureblob."""


def error_text(done: subprocess.CompletedProcess[str]) -> str:
    """Pulumi's reason: with ``--json`` it is in the diagnostics on stdout, otherwise on stderr."""
    try:
        printed = json.loads(done.stdout)
    except ValueError:
        printed = None
    diagnostics = (printed.get("diagnostics") if isinstance(printed, dict) else None) or ()
    messages = "\n".join(each["message"] for each in diagnostics).strip()
    return messages or done.stderr.strip() or done.stdout.strip()


def explained(error: str, settings: Path) -> str:
    """Pulumi's error, with the way out where Pulumi names none."""
    way_out = _way_out(error, settings)
    return f"{error}\n{way_out}" if way_out else error


def _way_out(error: str, settings: Path) -> str | None:
    stack = settings.stem.partition(".")[2]
    if re.search(r"stack is currently locked|Another update is currently in progress", error):
        return _way_past_lock(error, stack)
    if NEWER_PULUMI.search(error):
        return (
            "The state, or its backend, was written by a newer Pulumi than this one. Nothing was changed. Install a"
            " Pulumi that is at least as new (https://www.pulumi.com/docs/install/; `pulumi version` shows this"
            " one's), and run the same command again."
        )
    if "passphrase" in error or "malformed state value" in error:
        return (
            f"The `encryptionsalt` in {settings} does not belong to the passphrase that was used."
            " Nothing was changed. A stack of this clone has the rehearsal's passphrase, which `make` sets:"
            " take the line back from git (`git diff`). A stack of your own: set PULUMI_CONFIG_PASSPHRASE, or"
            " PULUMI_CONFIG_PASSPHRASE_FILE, to its own"
        )
    if NO_ACCOUNT in error:
        return (
            "azblob://CONTAINER does not say in which storage account. Nothing was changed. Name it in the address,"
            " azblob://CONTAINER?storage_account=ACCOUNT, or in AZURE_STORAGE_ACCOUNT, and run the same command again."
        )
    if way_out := cloud_errors.way_past(error):
        return way_out
    if UNREACHABLE.search(error):
        return (
            "The backend with the state cannot be read. Nothing was changed. Is it the right one (PULUMI_BACKEND_URL,"
            " or `pulumi login`), does it exist, and is it reachable from here? Then run the same command again."
        )
    return None


def _way_past_lock(error: str, stack: str) -> str:
    """The way past a lock that only a person can judge: this machine does not see the process that has it."""
    locks = []
    for lock, user, host, pid, since in LOCK.findall(error):
        minutes = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds() / 60
        locks.append(
            f"{lock}, created {minutes:.0f} minutes ago by process {pid} of {user} on {host}"
        )
    owners = "; ".join(locks) or "the backend does not report by whom or since when"
    return (
        f"Stack {stack} is locked: {owners}. This run changed nothing. If that update still runs, wait for it"
        f" and run this again. If its machine is gone (see the CI's runs), the lock stays until somebody"
        f" removes it: {typed_pulumi()} cancel --stack {stack}, in the same backend (PULUMI_BACKEND_URL), and run this"
        " again. Never while an update runs: two of them would write one state."
    )
