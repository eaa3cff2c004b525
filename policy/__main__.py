"""`make policy`: check what the program registers, or a stack's exported state, against the rules.

Usage: python -m policy [aws|gcp|azure …] [--state EXPORT.json]
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from string import ascii_uppercase

from api_models.resource import Plan
from config.arguments import ArgumentParser
from policy import record
from policy.enforcement import check_count, violations
from policy.rules import RULES


def program_plans(clouds: list[str]) -> dict[str, Plan]:
    """What the program registers, for each cloud with each set of settings."""
    return {
        f"{cloud}, {variant}": record.of_program(cloud, settings)
        for cloud in clouds
        for variant, settings in record.VARIANTS.items()
    }


def report(plans: dict[str, Plan]) -> tuple[str, int]:
    """A table of rules by plans with all violations, and the number of violations."""
    titles = list(plans)
    letters = ascii_uppercase[: len(titles)]
    lines = [f"  {letter}: {title}, {len(plans[title])} resources"
             for letter, title in zip(letters, titles, strict=True)]  # fmt: skip
    lines.append(f"\n  {'rule':<22}" + "".join(f"{letter:>6}" for letter in letters))
    found = []
    for rule in RULES:
        row = f"  {rule.name:<22}"
        for title, plan in plans.items():
            broken = violations(rule, plan)
            found += [f"{title}: {violation}" for violation in broken]
            row += f"{'BROKEN' if broken else check_count(rule, plan) or '-':>6}"
        lines.append(row)
    lines += [
        "  (the number of checks that passed; -: no resource that could break the rule)",
        "",
        *found,
    ]
    lines.append(f"{len(plans)} plans, {len(RULES)} rules, {len(found)} violations")
    return "\n".join(lines), len(found)


def main() -> None:
    parser = ArgumentParser(prog="python -m policy", description=__doc__)
    parser.add_argument("clouds", nargs="*", choices=[*record.CLOUDS, []], metavar="CLOUD")
    parser.add_argument("--state", type=Path, help="the output of `pulumi stack export`")
    chosen = parser.parse_args()
    if chosen.state:
        try:
            exported = json.loads(chosen.state.read_text())
        except (OSError, ValueError) as error:
            sys.exit(
                f"STATE={chosen.state}: {error}. It has to be what `pulumi stack export` prints."
            )
        plans: dict[str, Plan] = {chosen.state.name: record.of_state(exported)}
    else:
        plans = program_plans(chosen.clouds or list(record.CLOUDS))
    text, broken = report(plans)
    print(text)
    sys.exit(broken > 0)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `make policy | head`
    main()
