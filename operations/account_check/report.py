"""`make check-account`: what the account lacks for a stack; asked again by the first deployment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from config.clouds import CLOUD_NAMES
from config.schema import StackConfig
from operations.account_check import aws, azure, gcp
from operations.account_check.checks import SECONDS, Finding, answered, findings_of
from operations.account_check.plan import plan_of
from operations.engine.guards import allowed
from operations.terminal import fail, say

ALLOW_ACCOUNT = "account"
"""The word that goes on though something is missing: ``ALLOW=account``. A check may be wrong."""
MODULES: dict[str, ModuleType] = {"aws": aws, "gcp": gcp, "azure": azure}
SIGN_IN = {
    "aws": "aws sso login, or set AWS_PROFILE",
    "gcp": "gcloud auth application-default login",
    "azure": "az login, then az account set --subscription …, or set ARM_SUBSCRIPTION_ID",
}


@dataclass(frozen=True, kw_only=True)
class CheckedAccount:
    """What the checks of an account found."""

    caller: str
    """Who is signed in, and where."""
    count: int
    """How many checks were made."""
    findings: Sequence[Finding]


def print_account_check(config: StackConfig, existing: Sequence[Mapping[str, Any]]) -> None:
    """Print who is signed in and what the account lacks. Leaves with 1 if anything is missing.

    The clouds' clients read the environment of this process.
    """
    checked = checked_account(config, existing)
    findings = checked.findings
    print(f"Signed in: {checked.caller}.")
    print(text_of(findings))
    if any(each.severity == "missing" for each in findings):
        fail(f"{_counted(findings)} of {checked.count} checks. Nothing was changed.")
    print(f"{_counted(findings) if findings else 'Nothing is missing'}; {checked.count} checks.")


def first_deployment_refusals(config: StackConfig) -> list[str]:
    """Reasons to refuse a first deployment: what the account lacks, which is printed, unless ``ALLOW=account``."""
    checked = checked_account(config, ())
    findings = checked.findings
    say(f"checking {checked.caller}")
    if findings:
        print(text_of(findings))
    if ALLOW_ACCOUNT in allowed() or all(each.severity != "missing" for each in findings):
        return []
    return [
        f"{_counted(findings)}. Nothing was created. Mend what is missing, and run this again; if a"
        f" check is wrong: ALLOW={ALLOW_ACCOUNT}"
    ]


def text_of(findings: Iterable[Finding]) -> str:
    """The findings, what is missing first."""
    lines: list[str] = []
    for each in sorted(findings, key=lambda finding: finding.severity):
        lines += [f"{each.severity}: {each.what}", f"    {each.rule}.", f"    {each.way_out}", ""]
    return "\n".join(lines)


def checked_account(config: StackConfig, existing: Sequence[Mapping[str, Any]]) -> CheckedAccount:
    """The account of these credentials, and what its checks found. Leaves if nobody is signed in."""
    cloud = MODULES[config.cloud]
    plan = plan_of(config, existing)
    began = time.monotonic()
    try:
        caller, checks = answered(lambda: (cloud.signed_in_as(plan), cloud.checks(plan)), SECONDS)
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        fail(
            f"Not signed in to {CLOUD_NAMES[config.cloud]}: {reason}. Nothing was changed."
            f" Sign in: {SIGN_IN[config.cloud]}"
        )
    findings = findings_of(checks, max(1.0, SECONDS - (time.monotonic() - began)))
    return CheckedAccount(caller=caller, count=len(checks), findings=findings)


def _counted(findings: Sequence[Finding]) -> str:
    counts = {
        severity: sum(each.severity == severity for each in findings)
        for severity in ("missing", "not known")
    }
    return ", ".join(f"{count} {severity}" for severity, count in counts.items() if count)
