"""`make policy`: hold the rules against what the program registers, or against a stack's exported state.

Usage: python -m policy [aws|gcp|azure …] [--state EXPORT.json]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from string import ascii_uppercase

from policy import aws, azure, gcp, record, rules  # noqa: F401  # the clouds add their checks

Table = dict[str, record.Plan]


def recorded(clouds: list[str]) -> Table:
    """What the program registers, for each cloud with each set of settings."""
    return {
        f"{cloud}, {variant}": record.of_program(cloud, settings)
        for cloud in clouds
        for variant, settings in record.VARIANTS.items()
    }


def shown(table: Table) -> tuple[str, int]:
    """The verdicts as text, rules by plans; and how many violations there are."""
    titles = list(table)
    letters = ascii_uppercase[: len(titles)]
    lines = [f"  {letter}: {title}, {len(table[title])} resources"
             for letter, title in zip(letters, titles, strict=True)]  # fmt: skip
    lines.append(f"\n  {'rule':<22}" + "".join(f"{letter:>6}" for letter in letters))
    found = []
    for rule in rules.RULES:
        row = f"  {rule.name:<22}"
        for title, plan in table.items():
            broken = rules.violations(rule, plan)
            found += [f"{title}: {violation}" for violation in broken]
            row += f"{'BROKEN' if broken else rules.held(rule, plan) or '-':>6}"
        lines.append(row)
    lines += ["  (how many checks held; -: nothing there that could break it)", "", *found]
    lines.append(f"{len(table)} plans, {len(rules.RULES)} rules, {len(found)} violations")
    return "\n".join(lines), len(found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="policy", description=__doc__)
    parser.add_argument("clouds", nargs="*", choices=[*record.CLOUDS, []], metavar="CLOUD")
    parser.add_argument("--state", type=Path, help="what `pulumi stack export` printed")
    chosen = parser.parse_args()
    if chosen.state:
        table: Table = {chosen.state.name: record.of_state(json.loads(chosen.state.read_text()))}
    else:
        table = recorded(chosen.clouds or list(record.CLOUDS))
    text, broken = shown(table)
    print(text)
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
