"""Findings of an outside checker, and the waivers that let some of them pass: with a reason and a date."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path


@dataclass(frozen=True)
class Failed:
    """A check that failed."""

    check: str
    cloud: str
    resource: str
    """``aws_s3_bucket.triplane-lake-bucket``, ``Microsoft.Storage/storageAccounts.…``"""
    message: str


@dataclass(frozen=True)
class Waiver:
    """A check that may fail: on which resources, and why."""

    check: str
    resources: tuple[str, ...]
    reason: str
    date: date

    def covers(self, failed: Failed) -> bool:
        return failed.check == self.check and any(
            fnmatchcase(failed.resource, pattern) for pattern in self.resources
        )


def read(file: Path) -> list[Waiver]:
    """All waivers of a file; each has all four values."""
    return [
        Waiver(each["check"], tuple(each["resources"]), each["reason"], each["date"])
        for each in tomllib.loads(file.read_text()).get("waiver", [])
    ]


def not_waived(failed: Collection[Failed], known: Sequence[Waiver]) -> list[Failed]:
    """The failed checks that no waiver covers, each once, in order."""
    return sorted(
        {each for each in failed if not any(w.covers(each) for w in known)},
        key=lambda each: (each.check, each.resource),
    )


def unused(failed: Collection[Failed], known: Sequence[Waiver]) -> list[Waiver]:
    """The waivers that no failed check needs."""
    return [w for w in known if not any(w.covers(each) for each in failed)]


def report(failed: Collection[Failed], known: Sequence[Waiver], file: Path) -> Iterator[str]:
    """A line for each waiver that is used, each failed check that is not waived, and each unused waiver."""
    for waiver in known:
        count = Counter(each.cloud for each in failed if waiver.covers(each))
        if count:
            yield f"  waived {waiver.check:<14}{dict(count)!s:<28}{waiver.reason.strip()[:70]}"
    for each in not_waived(failed, known):
        yield f"  FAILED {each.check:<14}{each.resource}: {each.message}"
    for waiver in unused(failed, known):
        yield f"  UNUSED {waiver.check}: no check fails it now; remove it from {file.name}"
