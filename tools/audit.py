"""`make audit`: no package in any lock has a known vulnerability, or tools/audit.toml says why it stays, and until when.

pip-audit asks OSV (https://osv.dev), which has the advisories of PyPI and of GitHub, about each pinned version of every
lock, whatever platform it is for. OSV sees the names and versions of the packages, and nothing else. Without an answer
nothing is known, so the command fails: no network is not "no vulnerability". OSV_URL names a mirror.

Not asked about: the packages of an image's base, which the registry may scan (docs/reference/image-scanning.md), and the
npm packages of the rehearsal's Azurite.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from operations.terminal import fail
from policy import tool_environment
from tools.lock import LOCKS

HOME = Path(__file__).resolve().parents[1]
IGNORED = HOME / "tools" / "audit.toml"
OSV_URL = "https://api.osv.dev/v1/query"
"""https://google.github.io/osv.dev/post-v1-query/"""
PIN = re.compile(r"^(?P<name>[\w.-]+)(?:\[[\w,-]+\])?==(?P<version>[^\s;\\]+)", re.M)
CONTROL = ("jinja2", "2.4.1")
"""A version with advisories since 2014, which no lock has. Whoever knows none of them knows nothing."""
Pin = tuple[str, str]


class NoAnswer(Exception):
    """The service did not answer for every package. The message has the reason."""


@dataclass(frozen=True)
class Vulnerability:
    """An advisory for a pinned version."""

    package: str
    version: str
    ids: tuple[str, ...]
    """The names of the same advisory: PYSEC-…, GHSA-…, CVE-…."""
    fixed: tuple[str, ...]
    """The versions that do not have it."""
    description: str

    def __str__(self) -> str:
        way_out = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no version mends it"
        return f"{self.package} {self.version}: {', '.join(self.ids)} ({way_out}). {self.description[:160]}"


@dataclass(frozen=True)
class Ignored:
    """An advisory that may stay: why, and until when."""

    id: str
    package: str
    reason: str
    expires: date

    def covers(self, found: Vulnerability) -> bool:
        return self.package == found.package and self.id in found.ids


def pins(locks: Mapping[str, Path]) -> dict[Pin, list[str]]:
    """Each pinned version, with the names of the locks that have it."""
    found: dict[Pin, list[str]] = {}
    for name, file in locks.items():
        for pin in sorted(set(PIN.findall(file.read_text()))):
            found.setdefault(pin, []).append(name)
    return found


def vulnerabilities(pinned: Collection[Pin], url: str) -> list[Vulnerability]:
    """What the service knows about these versions. Raises NoAnswer."""
    waiting = {*pinned, CONTROL}
    found: list[Vulnerability] = []
    while waiting:
        # One version of a package at a time: pip-audit takes a second one for a mistake.
        asked = dict(sorted(waiting))
        found += _answers([*asked.items()], url)
        waiting -= {*asked.items()}
    if not any((each.package, each.version) == CONTROL for each in found):
        raise NoAnswer(
            f"{url} knows nothing of {' '.join(CONTROL)}, whose advisories are public since 2014"
        )
    return [each for each in found if (each.package, each.version) != CONTROL]


def _answers(pinned: Sequence[Pin], url: str) -> Iterator[Vulnerability]:
    program = tool_environment.created("audit") / "bin" / "pip-audit"
    with tempfile.TemporaryDirectory() as folder:
        # Without the locks' markers, which would leave out other platforms' packages. No package is installed.
        file = Path(folder) / "pinned.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in pinned))
        ran = subprocess.run(
            [
                str(program), "--requirement", str(file), "--disable-pip", "--no-deps", "--strict",
                "--vulnerability-service", "osv", "--osv-url", url,
                "--format", "json", "--progress-spinner", "off",
            ],
            capture_output=True,
            text=True,
        )  # fmt: skip
    try:
        answered = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        reasons = ran.stderr.strip().splitlines() or [f"pip-audit exited with {ran.returncode}"]
        raise NoAnswer(reasons[-1]) from None
    if missing := {name for name, _ in pinned} - {each["name"] for each in answered}:
        raise NoAnswer(f"no answer for {', '.join(sorted(missing))}")
    for each in answered:
        for known in each["vulns"]:
            yield Vulnerability(
                each["name"],
                each["version"],
                tuple(dict.fromkeys((known["id"], *known["aliases"]))),
                tuple(known["fix_versions"]),
                known["description"],
            )


def ignored(file: Path) -> list[Ignored]:
    """The entries of tools/audit.toml; each has all four values."""
    return [Ignored(**each) for each in tomllib.loads(file.read_text()).get("ignored", [])]


def problems(
    found: Collection[Vulnerability], known: Collection[Ignored], today: date
) -> Iterator[str]:
    """A line for each vulnerability that is not ignored today, and for each entry that nothing needs."""
    for each in found:
        covering = [entry for entry in known if entry.covers(each)]
        if not any(today <= entry.expires for entry in covering):
            yield str(each)
        for entry in covering:
            if entry.expires < today:
                yield f"{IGNORED.name}: {entry.id} was ignored until {entry.expires}: {entry.reason}"
    for entry in known:
        if not any(entry.covers(each) for each in found):
            yield f"{IGNORED.name}: no lock has {entry.id} of {entry.package} now; remove the entry"


def main() -> None:
    pinned = pins({name: HOME / f"{name}.txt" for name in LOCKS})
    try:
        found = vulnerabilities(pinned, os.environ.get("OSV_URL") or OSV_URL)
    except NoAnswer as error:
        fail(
            f"audit: the service did not answer, so nothing is known about {len(pinned)} packages: {error}. OSV_URL="
            " names a mirror of OSV where this machine does not reach it"
        )
    wrong = list(problems(found, ignored(IGNORED), datetime.now(UTC).date()))
    for line in wrong:
        print(f"  {line}")
    for each in found:
        locks = ", ".join(pinned[each.package, each.version])
        print(f"  {each.package} {each.version} is in {locks}")
    print(f"audit: {len(pinned)} packages, {len(found)} advisories, {len(wrong)} problems")
    if wrong:
        print(
            "A newer version: change the .in file, or `uv pip compile --upgrade-package`, then `make lock`. None, or not"
            f" for us: an entry in tools/{IGNORED.name}, with the reason and a date."
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
