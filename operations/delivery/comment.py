"""A preview as a comment on a pull request: losses first, then the other changes, then a graph.

``pulumi preview --json | python -m operations comment TITLE`` prints it as Markdown. Names of properties are shown,
values never: a comment is read by more people than a state.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from config.clouds import Cloud

# From the engine's steps to the verbs of the comment. The worst verb is first, which is also the order of the
# comment. https://github.com/pulumi/pulumi/blob/master/sdk/go/common/apitype/history.go
VERBS = {
    "delete": "delete",
    "discard": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "update": "update",
    "create": "create",
    "import": "import",
}
HEADINGS = {
    "delete": "🔴 Deleted",
    "replace": "🟠 Replaced",
    "update": "🟡 Updated",
    "create": "🟢 Created",
    "import": "🔵 Imported",
}
COLOURS = {
    "delete": "fill:#f8d7da,stroke:#b02a37",
    "replace": "fill:#ffe5d0,stroke:#ca6510",
    "update": "fill:#fff3cd,stroke:#997404",
    "create": "fill:#d1e7dd,stroke:#146c43",
    "import": "fill:#cfe2ff,stroke:#0a58ca",
}
# A comment on GitHub has 65,536 characters at most. The job's log has the whole list.
MAX_ROWS = 100


@dataclass(frozen=True)
class Change:
    """The change of one resource."""

    urn: str
    verb: str
    properties: tuple[str, ...]
    """The names of the properties that cause it."""

    @property
    def type(self) -> str:
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]


def changes(preview: Mapping[str, Any]) -> list[Change]:
    """One entry for each resource that changes, the worst first, then in the engine's order."""
    worst = list(HEADINGS)
    found: dict[str, Change] = {}
    for step in preview.get("steps") or ():
        verb = VERBS.get(step["op"])
        if verb is None or _is_component(step):
            continue
        reasons = step.get("replaceReasons") or step.get("diffReasons") or ()
        known = found.get(step["urn"])
        if known is None or worst.index(verb) < worst.index(known.verb):
            found[step["urn"]] = Change(step["urn"], verb, tuple(sorted(set(reasons))))
    return sorted(found.values(), key=lambda change: worst.index(change.verb))


def _is_component(step: Mapping[str, Any]) -> bool:
    """Whether it is a component or the stack itself: no cloud has it, and its parts are listed."""
    state = step.get("newState") or step.get("oldState") or {}
    return not state.get("custom", True)


def render(preview: Mapping[str, Any], title: str, policy: str = "") -> str:
    """The comment, as Markdown. ``policy`` is the policies' report, word for word."""
    found = changes(preview)
    parts = [f"### {title}", _summary(found, preview)]
    parts += [_section(verb, [each for each in found if each.verb == verb]) for verb in HEADINGS]
    parts += _messages(preview)
    if policy:
        parts.append(f"#### Policies\n\n{_fenced(policy)}")
    if graph := mermaid(preview):
        parts.append(f"#### Dependencies\n\n{_fenced(graph, 'mermaid')}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(found: Sequence[Change], preview: Mapping[str, Any]) -> str:
    same = sum(
        1 for step in preview.get("steps") or () if step["op"] == "same" and not _is_component(step)
    )
    counts = Counter(change.verb for change in found)
    changing = [f"**{counts[verb]} to {verb}**" for verb in HEADINGS if counts[verb]]
    unchanged = f"{same} unchanged"
    return ", ".join([*changing, unchanged]) + "." if changing else f"**No change**: {unchanged}."


def _section(verb: str, found: Sequence[Change]) -> str:
    if not found:
        return ""
    rows = ["| resource | type | because of |", "|---|---|---|"]
    rows += [
        f"| `{_cell(each.name)}` | `{_cell(each.type)}` | {_because(each)} |"
        for each in found[:MAX_ROWS]
    ]
    if len(found) > MAX_ROWS:
        rows.append(f"| … and {len(found) - MAX_ROWS} more | | |")
    heading, table = f"{HEADINGS[verb]} ({len(found)})", "\n".join(rows)
    if verb in ("delete", "replace"):
        return f"#### {heading}\n\n{table}"
    return f"<details><summary>{heading}</summary>\n\n{table}\n\n</details>"


def _because(change: Change) -> str:
    return ", ".join(f"`{_cell(each)}`" for each in change.properties)


def _cell(text: str) -> str:
    """Text that cannot end the table's cell, nor the code in it."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("`", "'")


def _fenced(text: str, language: str = "") -> str:
    """A fenced block that its own text cannot end."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def _messages(preview: Mapping[str, Any]) -> Iterator[str]:
    """Warnings and errors of the engine."""
    for each in preview.get("diagnostics") or ():
        if each.get("severity") in ("warning", "error") and each.get("message"):
            yield f"> **{each['severity']}**: " + _cell(each["message"].strip())


def mermaid(preview: Mapping[str, Any]) -> str:
    """The platform's components as a graph: an arrow to each from its dependencies, coloured by the worst change."""
    states = {
        step["urn"]: step.get("newState") or step.get("oldState") or {}
        for step in preview.get("steps") or ()
    }
    nodes = {urn: _component(urn) for urn in states if _component(urn)}
    edges = set()
    for urn, state in states.items():
        target = _owner(urn, states, nodes)
        for dependency in state.get("dependencies") or ():
            source = _owner(dependency, states, nodes)
            if target and source and target != source:
                edges.add((source, target))
    worst = list(HEADINGS)
    colours: dict[str, str] = {}
    for change in changes(preview):
        owner = _owner(change.urn, states, nodes)
        if owner and worst.index(colours.get(owner, worst[-1])) >= worst.index(change.verb):
            colours[owner] = change.verb
    if not nodes:
        return ""
    ids = {urn: f"n{number}" for number, urn in enumerate(sorted(nodes))}
    lines = ["flowchart LR"]
    lines += [
        f'  {ids[urn]}["{nodes[urn]}"]' + (f":::{colours[urn]}" if urn in colours else "")
        for urn in sorted(nodes)
    ]
    lines += [f"  {ids[source]} --> {ids[target]}" for source, target in sorted(edges)]
    lines += [f"  classDef {verb} {COLOURS[verb]}" for verb in HEADINGS if verb in colours.values()]
    return "\n".join(lines)


def _component(urn: str) -> str:
    """``Gateway`` for a component of a cloud package, with its name where there are several; otherwise empty."""
    _, _, path, name = urn.split("::", 3)
    found = re.fullmatch(
        rf"triplane:(?:{'|'.join(get_args(Cloud))}):(\w+)", path.rpartition("$")[2]
    )
    if not found:
        return ""
    return f"{found[1]} {name.rpartition('-')[2]}" if found[1] == "Identity" else found[1]


def _owner(urn: str, states: Mapping[str, Any], nodes: Mapping[str, str]) -> str:
    """The component to which a resource belongs, or which it is; empty if there is none."""
    while urn and urn not in nodes:
        urn = (states.get(urn) or {}).get("parent") or ""
    return urn
