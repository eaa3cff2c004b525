"""`make judge AZURERM=1`: the plans of Azure validated by the azurerm provider's own code. No finding, or a waiver.

The provider is a Go module (tools/azurerm), built once: about 16 minutes on two cores, and 3.6 GB of memory. It needs
no account: what is asked of it is the validation that precedes every request.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from api_models.resource import Plan, Resource
from policy import azurerm, record, waivers
from policy.terraform_plugin import NotASchema, Provider, running
from policy.tool_environment import HOME, VENV
from policy.waivers import Failed

MODULE = HOME / "tools" / "azurerm"
WAIVERS = HOME / "policy" / "azurerm_waivers.toml"
PACKAGE = "github.com/hashicorp/terraform-provider-azurerm"
WRONG = ("azurerm_log_analytics_workspace", {"retention_in_days": 1})
"""A configuration that the provider must refuse. It proves that it examined the others."""


def built() -> Path:
    """Where the provider is, once it is built; another place when the module changes."""
    digest = hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()[:12]
    return VENV / "azurerm" / digest / "terraform-provider-azurerm"


def binary() -> Path:
    """The provider, built if it is not there. Leaves with a reason if there is no Go."""
    file = built()
    if not file.exists():
        if shutil.which("go") is None:
            sys.exit(
                "make judge AZURERM=1 builds the azurerm provider, and there is no Go: install it"
            )
        print(
            f"Building {PACKAGE} (about 16 minutes and 3.6 GB, once)", file=sys.stderr, flush=True
        )
        shutil.rmtree(VENV / "azurerm", ignore_errors=True)
        subprocess.run(["go", "build", "-o", str(file), PACKAGE], cwd=MODULE, check=True)
    return file


def problems(provider: Provider, resource: Resource, plan: Plan) -> list[str]:
    """What the provider refuses of a resource. Raises NotConverted."""
    type_, configuration = azurerm.configuration(resource, plan)
    try:
        return provider.problems(type_, configuration)
    except NotASchema as error:
        raise azurerm.NotConverted(f"policy/azurerm.py: {error}") from None


def findings(provider: Provider, plan: Plan) -> Iterator[Failed]:
    """What the provider refuses of a plan. Raises NotConverted."""
    for each in azurerm.judged(plan):
        for problem in problems(provider, each, plan):
            yield Failed("azurerm", "azure", f"{each.type}.{each.name}", problem)


def not_judged(plan: Plan) -> Iterator[str]:
    """A line for each type and each input that the provider has no place for."""
    for each in sorted({each.type for each in plan if each.type.startswith(azurerm.NATIVE)}):
        short = each.removeprefix(azurerm.NATIVE)
        if reason := azurerm.NOT_CONVERTED.get(short):
            yield f"  not judged {each}: {reason}"
        elif short in azurerm.CONVERSIONS:
            for path, why in azurerm.CONVERSIONS[short].not_judged.items():
                yield f"  not judged {each} ({path}): {why}"


def main() -> None:
    plans = [record.of_program("azure", settings) for settings in record.VARIANTS.values()]
    with running(binary()) as provider:
        if not provider.problems(*WRONG):
            raise RuntimeError("azurerm accepts a configuration that is wrong on purpose")
        failed = {each for plan in plans for each in findings(provider, plan)}
    known = waivers.read(WAIVERS)
    lines = {line for plan in plans for line in not_judged(plan)}
    for line in (*sorted(lines), *waivers.report(failed, known, WAIVERS)):
        print(line)
    open_ = waivers.not_waived(failed, known)
    judged = sum(len(azurerm.judged(plan)) for plan in plans)
    print(
        f"azurerm: {len(plans)} plans, {judged} resources, {len(failed)} findings, of which {len(open_)} are neither"
        " fixed nor waived"
    )
    sys.exit(bool(open_ or waivers.unused(failed, known)))


if __name__ == "__main__":
    main()
