"""`make checkov`: check the recorded plans with checkov, offline. Every failed check is fixed or waived.

checkov pins packages that the platform needs in other versions. So it has an environment of its own
(policy/requirements.txt), which the first call creates.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api_models import arm
from api_models.resource import Plan
from components.resource_type import DYNAMIC
from policy import record, terraform, tool_environment, waivers
from policy.terraform import NotConverted
from policy.waivers import Failed

HOME = Path(__file__).resolve().parents[1]
WAIVERS = HOME / "policy" / "waivers.toml"


def document(cloud: str, plan: Plan) -> dict[str, Any]:
    """A plan as checkov reads it. Raises NotConverted instead of leaving a resource out silently.

    Only dynamic resources are left out: they use the clouds' own APIs, and no scanner knows their types.
    """
    converted, left = arm.template(plan) if cloud == "azure" else terraform.converted(plan)
    unknown = sorted({each.type for each in left if not each.type.startswith(DYNAMIC)})
    if unknown:
        raise NotConverted(
            f"{'api_models/arm' if cloud == 'azure' else 'policy/terraform'}.py cannot convert"
            f" {', '.join(unknown)}: add the missing types to its table"
        )
    return converted


def environment() -> Path:
    """checkov's own environment; re-created when its lock changes."""
    return tool_environment.created("policy")


def scan(plans: Mapping[str, Plan]) -> tuple[list[Failed], int]:
    """Every failed check of these plans (named ``aws-1`` …), and the number of checks that passed."""
    with tempfile.TemporaryDirectory() as folder:
        for name, plan in plans.items():
            cloud = name.partition("-")[0]
            # checkov recognizes both kinds of file by their content.
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
        raise RuntimeError(f"checkov exited with {scanned.returncode}:\n{scanned.stderr[-4000:]}")
    output = json.loads(scanned.stdout)
    reports = output if isinstance(output, list) else [output]
    if any(report.get("summary", {}).get("parsing_errors") for report in reports):
        raise RuntimeError(f"checkov could not read a plan: {scanned.stdout[:2000]}")
    scanned_plans = {Path(each).stem for report in reports for each in checked_files(report)}
    if scanned_plans != set(plans):
        raise RuntimeError(f"checkov checked only {sorted(scanned_plans)} of {sorted(plans)}")
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


def checked_files(report: dict[str, Any]) -> set[str]:
    """The files in which checkov checked at least one resource."""
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
    known = waivers.read(WAIVERS)
    for line in waivers.report(failed, known, WAIVERS):
        print(line)
    open_ = waivers.not_waived(failed, known)
    print(
        f"checkov: {len(plans)} plans, {passed} checks passed, {len(failed)} failed and waived"
        if not open_
        else f"checkov: {len(open_)} failed checks are neither fixed nor waived"
    )
    sys.exit(bool(open_ or waivers.unused(failed, known)))


if __name__ == "__main__":
    main()
