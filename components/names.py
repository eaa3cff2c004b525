"""Tags, labels, names and content hashes: pure functions of their arguments, never of the time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

TAGS = ("project", "environment", "managed-by", "stack")
"""The tags that every resource carries. Lower case with hyphens: the spelling all three clouds take.

The stack's name tells two platforms of one environment apart when only the cloud is left to be asked, as
`make adopt` does: most names are Pulumi's, and the same but for a random end.
"""


def tags(environment: str, stack: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The tags, or labels, of every resource: the platform's own and the stack's."""
    return {**extra, **dict(zip(TAGS, ("triplane", environment, "pulumi", stack), strict=True))}


def own(all_tags: Mapping[str, str]) -> dict[str, str]:
    """Of a resource's tags only the platform's own, for what takes fewer of them than the stack may set."""
    return {key: all_tags[key] for key in TAGS}


def described(own: Mapping[str, str]) -> str:
    """Tags as text, for what takes none; in at most 256 characters, what is longer is cut.

    Google Cloud's service accounts: https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts
    """
    return " ".join(f"{key}={own[key]}" for key in TAGS if key in own)[:256]


def label_value(text: str) -> str:
    """``text`` as a Google Cloud label value: lower case, other characters become hyphens, 63 at most.

    https://cloud.google.com/resource-manager/docs/labels-overview#requirements
    """
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:63].strip("-")


def short(name: str, limit: int, alphabet: str = "a-z0-9-") -> str:
    """``name`` in at most ``limit`` characters of ``alphabet`` (the inside of a ``[…]`` pattern).

    A name that already fits is left as it is. From any other the readable part is cut and a suffix
    made of the whole name keeps two names apart that look alike afterwards.
    """
    if len(name) <= limit and re.fullmatch(f"[{alphabet}]*", name):
        return name
    separator = "-" if re.fullmatch(f"[{alphabet}]", "-") else ""
    suffix = separator + hashlib.sha256(name.encode()).hexdigest()[:6]
    if limit <= len(suffix):
        raise ValueError(f"{limit} characters cannot hold a unique suffix of {len(suffix)}")
    readable = re.sub(f"[^{alphabet}]", "", name if "A-Z" in alphabet else name.lower())
    return readable[: limit - len(suffix)].rstrip("-") + suffix


def numeric_id(*parts: str) -> str:
    """Nine digits, the first not 0, that depend on ``parts`` alone.

    Vertex AI takes an endpoint's name so. (Its provider's documentation says ten, the API's nine:
    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/create)
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return str(10**8 + int.from_bytes(digest[:16]) % (9 * 10**8))


def context_files(folder: Path) -> list[Path]:
    """The files of a build context, sorted, relative to ``folder``.

    Left out: hidden files, Python's byte code, and what ``.dockerignore`` names (patterns of one
    path each; of its exceptions, ``!…``, none are understood, and one raises ValueError).
    """
    ignored = _dockerignore(folder / ".dockerignore")

    def wanted(path: Path) -> bool:
        parts = path.parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            return False
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return path.suffix != ".pyc" and not any(
            fnmatchcase(prefix, pattern) for prefix in prefixes for pattern in ignored
        )

    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted((path for path in files if wanted(path)), key=Path.as_posix)


def content_hash(folder: Path) -> str:
    """16 hexadecimal digits that change if, and only if, a path or a byte of the context does."""
    digest = hashlib.sha256()
    for path in context_files(folder):
        content = (folder / path).read_bytes()
        digest.update(f"{path.as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _dockerignore(file: Path) -> list[str]:
    patterns = []
    for line in file.read_text().splitlines() if file.exists() else ():
        pattern = line.strip().strip("/")
        if pattern.startswith("!"):
            raise ValueError(f"{file.name}: an exception ({pattern}) is not understood here")
        if pattern and not pattern.startswith("#"):
            # Docker's `**/` also matches no folder at all; fnmatch's `*` crosses folders anyway.
            patterns += [pattern, pattern.removeprefix("**/")]
    return patterns
