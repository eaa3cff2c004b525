"""Text without secrets: for what leaves this machine.

What cannot be told from ordinary text is left out with the value or line that it is in, and not replaced in it: a
word that is missing in a known place would tell the reader what the word is.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from config.credentials import CREDENTIAL_KEY
from operations.engine.environment import REHEARSAL_PASSPHRASE
from operations.engine.stack import NamedStack

REDACTED = "[secret]"
"""As Pulumi writes it: https://www.pulumi.com/docs/iac/concepts/secrets/"""
OTHER_SECRETS = ("PULUMI_CONFIG_PASSPHRASE", "IDENTITY_HEADER")
"""Variables that hold a secret without saying so in their name."""
NOT_SECRETS = ("PWD", "GOOGLE_APPLICATION_CREDENTIALS")
"""Variables that sound like one and hold a path."""
WORD = 8
"""A shorter secret may be a part of a word; it is looked for where it stands alone."""
SHORTEST = 4
"""An even shorter one is in every text; it is looked for as a whole value or line only."""

# The patterns of config/credentials.py find that there is a credential; these take all of it.
_QUOTE = r"\\*[\"']"  # also within JSON that is itself a text in JSON
_QUOTED = rf"(?P<quote>{_QUOTE})(?s:.*?)(?:(?<!\\)(?P=quote)|\Z)"
_NAME = (
    r"(?:passwords?|passwd|passphrase|pwd|secret|token|credentials?|signature|(?<![a-z])sig"
    r"|connection_?string|[\w-]key)"
)
# A name in the middle of a URN or an ARN is no setting: aws:secretsmanager/secret:Secret, …:secret:triplane-key.
NAMED = re.compile(
    rf"(?i)(?P<head>(?:(?<![\w.-])[\w.-]*{_NAME}(?:{_QUOTE}\s*:|(?:{_QUOTE})?\s*(?:=+>?|:=)|\s*:(?=\s|{_QUOTE})|>)"
    rf"|(?<![\w.:/$-])[\w.-]*{_NAME}:(?=[^\s:])"
    rf"|(?<![\w.-])key(?!=keep\b)(?:{_QUOTE}\s*:|\s*=)"  # KEY=keep is our own advice
    rf"|(?<!\S)--?[\w-]*{_NAME}(?=\s))"
    rf"\s*(?:\[\s*(?={_QUOTE}))?)"
    rf"(?!(?:{_QUOTE})?(?:projects/|/subscriptions/|arn:|urn:))"  # the place of a secret
    rf"(?:{_QUOTED}|(?:(?:Basic|Bearer|Digest)\s+)?(?:(?!</)[^\s\"'&;])+)"
)
HEADER = re.compile(
    rf"(?i)(?P<head>(?<![\w.:/$-])(?:[\w-]*-)?(?:authorization|cookie)(?:{_QUOTE})?\s*[:=]\s*)(?:{_QUOTED}|[^\r\n]+)"
)
CHANGED = re.compile(rf"(?P<head>\[secret\](?:{_QUOTE})?\s*[=-]>\s*)(?:{_QUOTED}|\S+)")
"""The other side of a difference."""
SCHEME = re.compile(r"(?i)(?P<head>\bBearer\s+|\bBasic\s+(?=\S*[\d=]))(?P<quote>)[^\s\"',]{8,}")
IN_URL = re.compile(r"(?P<head>://)(?P<quote>)[^\s/@\"']+(?=@)")
KEYS = re.compile(
    r"(?s)-----BEGIN [A-Z0-9 ]+.*?(?:-----END [A-Z0-9 ]+-----|\Z)"  # one that is cut off: to the end
    r"|\A(?:(?!-----BEGIN ).)*-----END [A-Z0-9 ]+-----"  # and from the beginning
)
TOKENS = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS access key ids
    r"|\bAIza[\w-]{35}|\bya29\.[\w.-]{20,}|\bGOCSPX-[\w-]{20,}|\b1//0[\w-]{20,}"  # Google: API keys, tokens
    r"|\beyJ[\w-]{10,}(?:\.[\w-]*)+"  # JWT, all parts
    r"|\b\w{3}\dQ~[\w.~-]{30,}"  # secrets of Entra ID's applications
    r"|\bgh[pousr]_\w{36,}|\bgithub_pat_\w{20,}|\bsk-[\w-]{20,}|\bpul-[0-9a-f]{40}"  # GitHub, models, Pulumi
)
NAME = re.compile(rf"(?i)(?:{_NAME}|(?:^|[.:])key|authorization|cookie)$")


class Redaction:
    """Leaves out known secrets, and what looks like a credential."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for each in secrets for form in _forms(each)}
        self._random = _any(re.escape(each) for each in _longest_first(forms) if _is_random(each))
        self._words = _any(_alone(each) for each in _longest_first(forms) if not _is_random(each))

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._words and self._words.search(text):
            lines = [REDACTED if self._words.search(each) else each for each in text.split("\n")]
            text = "\n".join(lines)
            if self._words.search(text):  # a secret of several lines
                return REDACTED
        if self._random:
            text = self._random.sub(REDACTED, text)
        text = KEYS.sub(REDACTED, text)
        for pattern in (HEADER, NAMED, CHANGED, SCHEME, IN_URL):
            text = pattern.sub(rf"\g<head>\g<quote>{REDACTED}\g<quote>", text)
        return TOKENS.sub(REDACTED, text)

    def value(self, value: Any) -> Any:
        """A JSON value without secrets, in keys, too. The text of a key that names a credential is left out."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {
                    self.text(str(key)): REDACTED
                    if inner and isinstance(inner, str) and NAME.search(str(key))
                    else self.value(inner)
                    for key, inner in value.items()
                }
            case list() | tuple():
                return [self.value(each) for each in value]
            case _:
                return value


def _is_random(secret: str) -> bool:
    """Whether it was generated, as far as one can see: then it is in no text by chance."""
    digits, letters = re.search(r"\d", secret), re.search(r"[A-Za-z]", secret)
    mixed = re.search(r"[a-z]", secret) and re.search(r"[A-Z]", secret)
    return bool(digits and letters and len(secret) >= (16 if mixed else 32))


def _alone(secret: str) -> str:
    """The pattern of a secret that may be a word."""
    if len(secret) < SHORTEST:
        return rf"^{re.escape(secret)}$"
    if len(secret) < WORD:
        return rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])"
    return re.escape(secret)


def _forms(secret: str) -> Iterator[str]:
    """The secret as it may be written: in JSON, in JSON within JSON, in a URL, in base64, line by line."""
    for plain in {secret, secret.strip()} - {""}:
        in_json = [json.dumps(plain, ensure_ascii=ascii)[1:-1] for ascii in (True, False)]
        yield from (plain, *in_json, *(json.dumps(each)[1:-1] for each in in_json))
        yield from (repr(plain)[1:-1], quote(plain, safe=""), quote(plain), quote_plus(plain))
        if len(plain) >= WORD:
            yield base64.b64encode(plain.encode()).decode().rstrip("=")
        yield from (line.strip() for line in plain.splitlines() if _is_random(line.strip()))


def _longest_first(texts: Iterable[str]) -> list[str]:
    return sorted(texts, key=len, reverse=True)


def _any(patterns: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(patterns)
    return re.compile(joined, re.MULTILINE) if joined else None


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
        if name in OTHER_SECRETS or (CREDENTIAL_KEY.search(name) and name not in NOT_SECRETS)
    }
    if file := environment.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        with contextlib.suppress(OSError):  # Pulumi has refused it by then
            found.add(Path(file).read_text().strip())
    return found - {REHEARSAL_PASSPHRASE}  # which is public


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
