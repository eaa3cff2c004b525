"""`make checkov`: the recorded plans held against checkov, offline; every failed check fixed or waived.

checkov pins packages that the platform needs in other versions, so it lives in an environment of its own
(policy/requirements.txt), made at the first call.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from api_models import arm
from policy import record, terraform

HOME = Path(__file__).resolve().parents[1]
VENV = HOME / ".venv"
LOCK = HOME / "policy" / "requirements.txt"
WAIVERS = HOME / "policy" / "waivers.toml"
ENVIRONMENT = VENV / "policy"

# Made by dynamic providers through the clouds' own APIs: no scanner has a word for them.
DYNAMIC = "pulumi-python:dynamic/"


@dataclass(frozen=True)
class Failed:
    """A check that checkov saw fail."""

    check: str
    cloud: str
    resource: str
    """``aws_s3_bucket.triplane-lake-bucket``, ``Microsoft.Storage/storageAccounts.…``"""
    says: str


@dataclass(frozen=True)
class Waiver:
    """A check that may fail, where, and why."""

    check: str
    resources: tuple[str, ...]
    reason: str
    date: date

    def covers(self, failed: Failed) -> bool:
        return failed.check == self.check and any(
            fnmatchcase(failed.resource, pattern) for pattern in self.resources
        )


class NotConverted(Exception):
    """Resources that no scanner would have seen; names them."""


def waivers(file: Path = WAIVERS) -> list[Waiver]:
    """All waivers; each must say everything."""
    return [
        Waiver(each["check"], tuple(each["resources"]), each["reason"], each["date"])
        for each in tomllib.loads(file.read_text())["waiver"]
    ]


def document(cloud: str, plan: record.Plan) -> dict[str, Any]:
    """A plan as checkov reads it. Raises NotConverted rather than leave a resource out silently."""
    made, left = arm.template(plan) if cloud == "azure" else terraform.converted(plan)
    lost = sorted({each.type for each in left if not each.type.startswith(DYNAMIC)})
    if lost:
        raise NotConverted(
            f"policy/{'arm' if cloud == 'azure' else 'terraform'}.py cannot convert"
            f" {', '.join(lost)}: add what is missing to its table"
        )
    return made


def environment() -> Path:
    """checkov's own environment, made anew when its lock changes."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = ENVIRONMENT / "requirements"
    if not stamp.exists() or stamp.read_text() != digest:
        print("making checkov's environment (about 200 MB, once)", file=sys.stderr, flush=True)
        uv = str(VENV / "bin" / "uv")
        python = str(ENVIRONMENT / "bin" / "python")
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)]
        subprocess.run(make, check=True)
        install = [uv, "pip", "install", "--quiet", "--python", python, "-r", str(LOCK)]
        subprocess.run(install, check=True)
        stamp.write_text(digest)
    return ENVIRONMENT


def scan(plans: Mapping[str, record.Plan]) -> tuple[list[Failed], int]:
    """Every failed check of these plans (named ``aws-1`` …), and how many passed."""
    with tempfile.TemporaryDirectory() as folder:
        for name, plan in plans.items():
            cloud = name.partition("-")[0]
            # checkov knows both kinds of file by what is in them.
            (Path(folder) / f"{name}.json").write_text(json.dumps(document(cloud, plan), indent=1))
        scanned = subprocess.run(
            [
                str(environment() / "bin" / "checkov"), "--directory", folder,
                "--framework", "terraform_plan", "arm",
                "--output", "json", "--quiet", "--compact", "--soft-fail", "--skip-download",
            ],
            env={**os.environ, "LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=600,
        )  # fmt: skip
    if scanned.returncode:
        raise RuntimeError(f"checkov left with {scanned.returncode}:\n{scanned.stderr[-4000:]}")
    told = json.loads(scanned.stdout)
    reports = told if isinstance(told, list) else [told]
    if any(report.get("summary", {}).get("parsing_errors") for report in reports):
        raise RuntimeError(f"checkov could not read a plan: {scanned.stdout[:2000]}")
    seen = {Path(each).stem for report in reports for each in files(report)}
    if seen != set(plans):
        raise RuntimeError(f"checkov looked at {sorted(seen)} only, of {sorted(plans)}")
    failed = [
        Failed(
            each["check_id"],
            Path(each["file_path"]).stem.partition("-")[0],
            each["resource"],
            each["check_name"],
        )
        for report in reports
        for each in report["results"]["failed_checks"]
    ]
    return failed, sum(report["summary"]["passed"] for report in reports)


def files(report: dict[str, Any]) -> set[str]:
    """The files in which checkov found something to check."""
    results = report["results"]
    return {
        each["file_path"]
        for outcome in ("passed_checks", "failed_checks")
        for each in results.get(outcome, [])
    }


def main() -> None:
    plans = {
        f"{cloud}-{number}": record.of_program(cloud, settings)
        for cloud in record.CLOUDS
        for number, settings in enumerate(record.VARIANTS.values())
    }
    failed, passed = scan(plans)
    known = waivers()
    open_ = sorted(
        {each for each in failed if not any(w.covers(each) for w in known)},
        key=lambda each: (each.check, each.resource),
    )
    unused = [w for w in known if not any(w.covers(each) for each in failed)]
    for waiver in known:
        count = Counter(each.cloud for each in failed if waiver.covers(each))
        if count:
            print(f"  waived {waiver.check:<14}{dict(count)!s:<28}{waiver.reason.strip()[:70]}")
    for each in open_:
        print(f"  FAILED {each.check:<14}{each.resource}: {each.says}")
    for waiver in unused:
        print(f"  UNUSED {waiver.check}: nothing fails it any more; take it out of {WAIVERS.name}")
    print(
        f"checkov: {len(plans)} plans, {passed} checks passed, {len(failed)} failed and waived"
        if not open_
        else f"checkov: {len(open_)} failed checks are neither fixed nor waived"
    )
    sys.exit(bool(open_ or unused))


if __name__ == "__main__":
    main()
