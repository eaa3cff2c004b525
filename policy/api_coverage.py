"""`make api-coverage`: write docs/reference/api-coverage.md, which lists the registered types and their API models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from api_models.matching import NotChecked
from api_models.resource import Plan, Resource
from policy import record, request_models

HOME = Path(__file__).resolve().parents[1]
DOCUMENT = HOME / "docs" / "reference" / "api-coverage.md"
HEAD = """# Coverage by the clouds' own API models

`make api-coverage` generates this page; a test fails when it is not current. It lists every type that the program
registers, in any of the variants of `policy/record.py`. "Checked against" means: the inputs, put together as the
provider sends them, have only properties that the request model knows, of the right types, with all that is
required, within its lengths, ranges, patterns and enumerations, as far as that model states them:

- AWS's models (botocore) state all of these.
- Google's models (discovery documents) state types, formats, enumerations, what is required and what is output
  only. The rules of the names in a URL are prose there; they are checked, too. Other rules in prose are not
  checked: ranges of numbers, and the words of Cloud Storage (`enforced`, `Delete`), which are plain strings.
- Azure's models (azure-mgmt packages) state types, required and read-only properties, enumerations, durations, a
  few ranges and patterns, and the rules of names in a URL as far as packages generated before 2025 have them.

"Not checked" lists the inputs of which the model states nothing but the name, and the inputs that are not part of
a request: they control the provider. The content of a string or of the user's own map (a policy, an environment)
is not examined here; `policy/access/` examines policies, and the rehearsal (`rehearsal/`) has the rules of most
names. Nothing on this page sends a request to a cloud.
"""


def not_checked(cloud: str, resources: Iterable[Resource]) -> list[str]:
    """The paths in some resources' inputs that are not checked, without the numbers of list items."""
    return sorted(
        {
            re.sub(r"\[\d+\]", "", path)
            for each in resources
            for path in request_models.findings(cloud, each)
            if isinstance(path, NotChecked)
        }
    )


def document(plans: Mapping[str, Sequence[Plan]]) -> str:
    """The whole page, of plans by cloud."""
    return HEAD + "".join(line for cloud in plans for line in section(cloud, plans[cloud]))


def section(cloud: str, plans: Sequence[Plan]) -> Iterator[str]:
    """The lines of one cloud."""
    by_type: dict[str, list[Resource]] = {}
    for each in (each for plan in plans for each in plan):
        by_type.setdefault(each.type, []).append(each)
    covered = [each for each in by_type if request_models.is_covered(cloud, each)]
    yield (
        f"\n## {cloud}: {len(covered)} of {len(by_type)} types\n\n"
        "| type | checked against | not checked |\n|---|---|---|\n"
    )
    for type_, resources in sorted(by_type.items()):
        if type_ in covered:
            paths = ", ".join(f"`{path}`" for path in not_checked(cloud, resources))
            yield f"| `{type_}` | `{request_models.title(cloud, type_)}` | {paths} |\n"
        else:
            reason = request_models.reason_not_covered(cloud, type_)
            yield f"| `{type_}` | not checked: {reason} | |\n"


def main() -> None:
    plans: dict[str, Sequence[Plan]] = {
        cloud: [record.of_program(cloud, settings) for settings in record.VARIANTS.values()]
        for cloud in record.CLOUDS
    }
    DOCUMENT.write_text(document(plans))
    print(f"{DOCUMENT.name} written")


if __name__ == "__main__":
    main()
