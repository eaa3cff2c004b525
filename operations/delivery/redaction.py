"""Text without secrets: for what leaves this machine."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from config.credentials import CREDENTIAL_KEY, CREDENTIAL_VALUE
from operations.engine.stack import NamedStack

REDACTED = "[secret]"
"""As Pulumi writes it: https://www.pulumi.com/docs/iac/concepts/secrets/"""
# Signatures and tokens in URLs and headers, whatever their form.
SIGNED = re.compile(
    r"((?:[?&](?:sig|X-Amz-Signature|X-Amz-Security-Token|X-Goog-Signature)=)|(?:Bearer ))[^&\s\"']+"
)
OTHER_SECRETS = ("PULUMI_CONFIG_PASSPHRASE", "IDENTITY_HEADER")
"""Variables that hold a secret without saying so in their name."""
WORD = 8
"""A shorter secret may be a part of a word; it is replaced where it stands alone."""


class Redaction:
    """Replaces known secrets, and what looks like a credential."""

    def __init__(self, secrets: Iterable[str]) -> None:
        longest_first = sorted({each for each in secrets if each}, key=len, reverse=True)
        patterns = (
            re.escape(each) if len(each) >= WORD else rf"(?<!\w){re.escape(each)}(?!\w)"
            for each in longest_first
        )
        self._known = re.compile("|".join(patterns)) if longest_first else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._known:
            text = self._known.sub(REDACTED, text)
        text = SIGNED.sub(rf"\1{REDACTED}", text)
        return CREDENTIAL_VALUE.sub(REDACTED, text)

    def value(self, value: Any) -> Any:
        """A JSON value without secrets, in keys, too."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.value(each) for each in value]
            case _:
                return value


def secrets_of(stack: NamedStack) -> set[str]:
    """The secrets that are known here: the stack's outputs and settings, and those of the environment.

    Leaves with Pulumi's reason if the stack's cannot be decrypted: then nothing may be written, because nobody knows
    what to look for.
    """
    shown = stack.cli.json("stack", "output", "--json")
    plain = stack.outputs()
    found = {
        text for name in plain if shown.get(name) != plain[name] for text in texts(plain[name])
    }
    settings = stack.cli.json("config", "--json", "--show-secrets")
    for each in settings.values():
        if each.get("secret"):
            found.update(texts(each.get("value")), texts(each.get("objectValue")))
    return found | secrets_in(stack.environment)


def secrets_in(environment: Mapping[str, str]) -> set[str]:
    """The values of the variables that hold a credential, and the passphrase of a file."""
    found = {
        value
        for name, value in environment.items()
        if name in OTHER_SECRETS or CREDENTIAL_KEY.search(name)
    }
    if file := environment.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        with contextlib.suppress(OSError):  # Pulumi has refused it by then
            found.add(Path(file).read_text().strip())
    return found


def texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, and in the JSON that a text may be."""
    match value:
        case str():
            yield value
            if value[:1] in "{[":
                with contextlib.suppress(ValueError):
                    yield from texts(json.loads(value))
        case Mapping():
            for inner in value.values():
                yield from texts(inner)
        case list():
            for inner in value:
                yield from texts(inner)
