"""`make secrets`: no file of the repository has a credential in it.

detect-secrets looks for what has a credential's form, in every file that git does not ignore. It looks for values
of names that mean one (`password = …`) in settings, scripts and data: in Python ruff does (S105 to S107), texts are
prose, and the secrets of tests are made up. What it finds and is none is in tools/secrets.toml, with the reason. Not
found: a random text in an innocent place, and what is in no text file.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

from operations.engine.source_files import files_not_ignored

HOME = Path(__file__).resolve().parents[1]
ALLOWED = HOME / "tools" / "secrets.toml"
FORMS = (
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "NpmDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SlackDetector",
)
"""Detectors of forms. Those of high entropy take each hash and each stored provider for a secret."""
FILTERS = ("is_templated_secret", "is_prefixed_with_dollar_sign", "is_indirect_reference")
"""What is no literal. A comment in the line allows nothing: it would have no reason."""


@dataclass(frozen=True, order=True)
class Finding:
    """What may be a secret, without its value."""

    file: str
    sha1: str
    """Of the value, as in baselines of detect-secrets."""
    line: int
    kind: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: {self.kind} (file = "{self.file}", sha1 = "{self.sha1}")'


def settings(*, keywords: bool) -> dict[str, object]:
    """The settings of detect-secrets. It asks no service whether a credential is valid."""
    own = {
        "name": "CredentialDetector",
        "path": (HOME / "tools" / "secret_patterns.py").as_uri(),
    }
    names = (*FORMS, "KeywordDetector") if keywords else FORMS
    return {
        "plugins_used": [*({"name": name} for name in names), own],
        "filters_used": [{"path": f"detect_secrets.filters.heuristic.{each}"} for each in FILTERS],
    }


def findings(folder: Path, files: Iterable[str]) -> Iterator[Finding]:
    """What looks like a secret in these files; each value once a file, in its first line."""
    assigned = {
        each
        for each in files
        if not each.startswith("tests/") and not each.endswith((".py", ".md"))
    }
    for chosen, keywords in ((assigned, True), (set(files) - assigned, False)):
        with transient_settings(settings(keywords=keywords)):
            for name in sorted(chosen):
                found: dict[str, Finding] = {}
                for each in scan_file(str(folder / name)):
                    here = Finding(name, each.secret_hash, each.line_number, each.type)
                    found[here.sha1] = min(here, found.get(here.sha1, here))
                yield from sorted(found.values())


def problems(found: Iterable[Finding], allowed: Path) -> Iterator[str]:
    """A line for each finding that is not allowed, and for each entry that allows nothing or has no reason."""
    entries = tomllib.loads(allowed.read_text())["allowed"]
    known = {(each["file"], sha1) for each in entries for sha1 in each["sha1"]}
    used = set()
    for each in found:
        used.add((each.file, each.sha1))
        if (each.file, each.sha1) not in known:
            yield str(each)
    for file, sha1 in sorted(known - used):
        yield f"{allowed.name}: nothing in {file} has {sha1} now; remove it"
    for entry in entries:
        if not entry["reason"].strip():
            yield f"{allowed.name}: {entry['file']} has no reason"


def main() -> None:
    files = files_not_ignored(HOME)
    wrong = list(problems(findings(HOME, files), ALLOWED))
    for line in wrong:
        print(f"  {line}")
    print(f"secrets: {len(files)} files, {len(wrong)} problems")
    if wrong:
        print(
            "Is it a secret? Replace it wherever it is valid, then remove it: once pushed it is public, in the history"
            f" too. Is it none? An entry in tools/{ALLOWED.name}, with the reason."
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
