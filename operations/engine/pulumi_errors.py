"""The errors of Pulumi's command line: which text is the reason, and the way out where Pulumi names none."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

LOCK = re.compile(r"(\S+): created by (.+)@(\S+) \(pid (\d+)\) at (\S+)$", re.MULTILINE)
"""How Pulumi names a lock in a bucket: pkg/backend/diy/lock.go, v3.250.0."""


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
    if re.search(r"stack is currently locked|Another update is currently in progress", error):
        return f"{error}\n{_way_past_lock(error, settings.stem.partition('.')[2])}"
    if "passphrase" in error or "malformed state value" in error:
        return (
            f"{error}\nThe `encryptionsalt` in {settings} does not belong to the passphrase that was used."
            " Nothing was changed. A stack of this clone has the rehearsal's passphrase, which `make` sets:"
            " take the line back from git (`git diff`). A stack of your own: set PULUMI_CONFIG_PASSPHRASE, or"
            " PULUMI_CONFIG_PASSPHRASE_FILE, to its own"
        )
    return error


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
        f" removes it: pulumi cancel --stack {stack}, in the same backend (PULUMI_BACKEND_URL), and run this"
        " again. Never while an update runs: two of them would write one state."
    )
