"""`make judge`: hold the recorded plans against judges that are not ours, offline. No finding, or a waiver.

- AWS: cfn-lint, whose schemas are those of CloudFormation, over the plans as templates (policy/cloudformation.py).
- Azure: the azurerm provider, in a module of its own (policy/azurerm_judge.py), because its build takes long.
- Google Cloud: Google's own discovery documents, over the requests as the provider sends them (api_models/gcp.py).

The rehearsal proves only what it believes. These judges believe something else. What they cannot see is printed.
cfn-lint has an environment of its own (policy/judge.txt), which the first call creates.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from api_models.matching import NotChecked
from api_models.resource import Plan
from policy import cloudformation, record, request_models, tool_environment, waivers
from policy.cloudformation import NotJudged
from policy.waivers import Failed

HOME = Path(__file__).resolve().parents[1]
WAIVERS = HOME / "policy" / "judge_waivers.toml"
CATALOGUE = HOME / "config" / "catalogue.toml"
CONTROL = "ControlSample"
"""A resource that cfn-lint must refuse, in each template. It proves that the template was examined, and that no
configuration file of the machine switches rules off."""
WRONG = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 31}}

NO_RULE = "in the URL, for the provider alone, or without a rule in the document"


def environment() -> Path:
    """cfn-lint's own environment; re-created when its lock changes."""
    return tool_environment.created("judge")


def regions() -> tuple[list[str], list[str]]:
    """The regions of the catalogue that cfn-lint has schemas of, and those that it does not have."""
    wanted = tomllib.loads(CATALOGUE.read_text())["aws"]["regions"]
    [providers] = environment().glob("**/cfnlint/data/schemas/providers")
    known = [each for each in wanted if (providers / f"{each}.json").exists()]
    return known, [each for each in wanted if each not in known]


def cfn_lint(templates: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Failed]]:
    """What cfn-lint finds in each template, errors and warnings. All are examined in one process."""
    with tempfile.TemporaryDirectory() as folder:
        for name, template in templates.items():
            resources = {**template["Resources"], CONTROL: WRONG}
            (Path(folder) / f"{name}.json").write_text(
                json.dumps({**template, "Resources": resources})
            )
        ran = subprocess.run(
            [
                str(environment() / "bin" / "cfn-lint"), "--format", "json",
                "--regions", *regions()[0],
                "--", *(f"{name}.json" for name in templates),
            ],
            cwd=folder,
            env={**os.environ, "HOME": folder, "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=600,
        )  # fmt: skip
    try:
        findings = json.loads(ran.stdout)
    except ValueError:
        raise RuntimeError(
            f"cfn-lint exited with {ran.returncode}:\n{ran.stderr[-4000:]}"
        ) from None
    return by_template(findings, templates)


def by_template(
    findings: Iterable[Mapping[str, Any]], templates: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[Failed]]:
    """cfn-lint's findings for each template. Raises RuntimeError for a template whose control sample it passed."""
    found: dict[str, list[Failed]] = {name: [] for name in templates}
    refused = set()
    for each in findings:
        name = Path(each["Filename"]).stem
        path = each["Location"]["Path"] or []
        if path[:2] == ["Resources", CONTROL]:
            refused.add(name)
        else:
            found[name].append(as_failed(each, path, templates[name]))
    if passed := sorted(set(templates) - refused):
        raise RuntimeError(
            f"cfn-lint did not examine {', '.join(passed)}: it passed a resource that is wrong on purpose"
        )
    return found


def as_failed(found: Mapping[str, Any], path: Sequence[Any], template: Mapping[str, Any]) -> Failed:
    """A finding of cfn-lint as a failed check of a resource."""
    resource = "the template"
    if len(path) > 1 and path[0] == "Resources":
        resource = f"{template['Resources'][path[1]]['Type']}.{path[1]}"
    place = ".".join(map(str, path[3:]))
    return Failed(found["Rule"]["Id"], "aws", resource, f"{place}: {found['Message']}")


def discovery(plan: Plan) -> Iterator[Failed]:
    """What Google's discovery documents refuse of a plan."""
    for each in plan:
        if request_models.is_covered("gcp", each.type):
            for problem in request_models.problems("gcp", each):
                yield Failed("discovery", "gcp", f"{each.type}.{each.name}", problem)


def not_in_discovery(plan: Plan) -> Iterator[NotJudged]:
    """What Google's documents do not judge. Raises NotConverted for a type without a model and without a reason."""
    for each in plan:
        if request_models.is_covered("gcp", each.type):
            for path in request_models.findings("gcp", each):
                if isinstance(path, NotChecked):
                    yield NotJudged(each.type, str(path), NO_RULE)
        elif reason := request_models.reason_not_covered("gcp", each.type):
            yield NotJudged(each.type, "", reason)
        else:
            raise cloudformation.NotConverted(
                f"api_models/gcp.py does not know {each.type}: add it to BODIES, or to NOT_COVERED with the reason"
            )


def not_judged_lines(not_judged: Iterable[NotJudged]) -> Iterator[str]:
    """A line for each type and reason."""
    grouped: dict[tuple[str, str], set[str]] = {}
    for each in not_judged:
        grouped.setdefault((each.type, each.reason), set()).add(each.what)
    for (type_, reason), inputs in sorted(grouped.items()):
        named = ", ".join(sorted(inputs - {""}))
        yield f"  not judged {type_}{f' ({named})' if named else ''}: {reason}"


def main() -> None:
    plans = {
        cloud: [record.of_program(cloud, settings) for settings in record.VARIANTS.values()]
        for cloud in ("aws", "gcp")
    }
    converted = [cloudformation.template(plan) for plan in plans["aws"]]
    found = cfn_lint({f"aws-{number}": each for number, (each, _) in enumerate(converted)})
    # A set: the variants share most resources, and so most findings.
    failed = {each for findings in found.values() for each in findings}
    failed |= {each for plan in plans["gcp"] for each in discovery(plan)}
    known = waivers.read(WAIVERS)
    left = [each for _, parts in converted for each in parts]
    left += [each for plan in plans["gcp"] for each in not_in_discovery(plan)]
    for line in (*not_judged_lines(left), *waivers.report(failed, known, WAIVERS)):
        print(line)
    if missing := regions()[1]:
        print(f"  not judged: regions that cfn-lint has no schemas of: {', '.join(missing)}")
    print("  not judged: Azure, unless with AZURERM=1 (docs/reference/policies.md)")
    open_ = waivers.not_waived(failed, known)
    count = sum(map(len, plans.values()))
    print(
        f"judge: {count} plans, {len(failed)} findings, of which {len(open_)} are neither fixed nor waived"
    )
    sys.exit(bool(open_ or waivers.unused(failed, known)))


if __name__ == "__main__":
    main()
