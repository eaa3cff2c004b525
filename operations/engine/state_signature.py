"""The signature of a copy of a state: only who has the stack's secret can write one that fits.

A copy lies in a lake or in a backup, and more may write there than have the secret. So each copy has a sentence about
itself (its stack, the time, its SHA-256), encrypted by Pulumi with the secrets provider of the stack. All providers
encrypt with AES-256-GCM, which nobody without the key can make to decrypt to another sentence:
https://github.com/pulumi/pulumi/blob/v3.250.0/sdk/go/common/resource/config/crypt.go
Of Pulumi Cloud's own provider this is believed. The key is only in the engine: no passphrase is read here, and no
client of a cloud's keys is needed. What the signature does not stop is in docs/design/recovery.md.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from config.stack_file import SECTION, StackFile
from operations.engine.pulumi_cli import PulumiCli
from operations.engine.stack import Stack

SIGNATURE = "signature"
"""The key of the signature in a copy, beside what `pulumi stack export` prints."""
SETTING = "state-copy:signature"
"""The setting, in a stack file of its own, as which Pulumi encrypts and decrypts the sentence."""


@dataclass(frozen=True)
class Signature:
    """When a copy was signed, in ISO 8601, and the sentence about it, encrypted."""

    time: str
    encrypted: str


def with_signature(stack: Stack, state: Mapping[str, Any]) -> dict[str, Any]:
    """The exported state of a stack, with its signature. Leaves with Pulumi's reason if it cannot be encrypted."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    with TemporaryDirectory() as folder:
        file = Path(folder, f"Pulumi.{stack.name}.yaml")
        file.write_text(json.dumps(encryption(state)))  # JSON is YAML
        words = ("config", "set", "--secret", SETTING)
        replace(stack.cli, settings=file).output(*words, stdin=_sentence(stack.name, time, state))
        encrypted = StackFile.read(file).settings[SETTING]["secure"]
    return {**state, SIGNATURE: {"time": time, "encrypted": encrypted}}


def without_signature(copy: Mapping[str, Any]) -> tuple[dict[str, Any], Signature | None]:
    """The state in a copy, and its signature; None if it has none, or one of another form."""
    state = {key: value for key, value in copy.items() if key != SIGNATURE}
    match copy.get(SIGNATURE):
        case {"time": str(time), "encrypted": str(encrypted)}:
            return state, Signature(time, encrypted)
    return state, None


def fits(signature: Signature, decrypted: str, stack: str, state: Mapping[str, Any]) -> bool:
    """Whether a decrypted signature is about this state of this stack."""
    return decrypted == _sentence(stack, signature.time, state)


def decrypted(
    signature: Signature, state: Mapping[str, Any], cli: PulumiCli, file: Path
) -> subprocess.CompletedProcess[str]:
    """Pulumi's answer with the decrypted sentence, or its reason. ``file`` becomes the stack file for that."""
    settings = {SECTION: {SETTING: {"secure": signature.encrypted}}}
    file.write_text(json.dumps({**encryption(state), **settings}))
    return replace(cli, settings=file).capture("config", "get", SETTING)


def encryption(state: Mapping[str, Any]) -> dict[str, str]:
    """What encrypts a state's secrets, as a stack file names it; nothing for Pulumi Cloud's own provider.

    Raises ValueError for a state that names none, or one that is not known.
    https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/cmd/pulumi/stack/secrets.go
    """
    match (state.get("deployment") or {}).get("secrets_providers"):
        case {"type": "passphrase", "state": {"salt": str(salt)}}:
            return {"encryptionsalt": salt}
        case {"type": "cloud", "state": {"url": str(url), "encryptedkey": str(key)}}:
            return {"secretsprovider": url, "encryptedkey": key}
        case {"type": "service"}:
            return {}
    raise ValueError("it names no encryption of its secrets that is known")


def _sentence(stack: str, time: str, state: Mapping[str, Any]) -> str:
    """What is signed. It is no JSON, and every secret of a state is: none of those can pass for a signature."""
    content = json.dumps(state, sort_keys=True).encode()
    return f"triplane: copy of the state of {stack}, {time}, {hashlib.sha256(content).hexdigest()}"
