"""The comment on a pull request, from a preview that the real engine printed.

``previews/aws-to-instances.json``: `pulumi preview --json --show-sames` of the platform on AWS after the endpoint
was moved from serverless to instances and the key was rotated. Its states are cut down to what the tests need.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from operations.delivery import comment

RECORDED = Path(__file__).parent / "previews" / "aws-to-instances.json"


@pytest.fixture
def preview() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RECORDED.read_text())
    return recorded


def step(op: str, name: str, **more: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:dev::triplane::aws:s3/bucket:Bucket::{name}"
    return {"op": op, "urn": urn, "newState": {"urn": urn, "custom": True}, **more}


def test_losses_come_first_and_the_other_changes_are_folded(preview: dict[str, Any]) -> None:
    preview["steps"].append(step("delete", "an-old-bucket"))
    text = comment.render(preview, "Preview")
    places = [text.index(heading) for heading in comment.HEADINGS.values() if heading in text]
    assert places == sorted(places)
    assert len(places) == 4
    # Deletions and replacements are open, the others folded.
    assert (
        text.index("an-old-bucket") < text.index("triplane-endpoint-model") < text.index("<details")
    )


def test_the_counts_are_those_of_the_engine(preview: dict[str, Any]) -> None:
    found = comment.changes(preview)
    components = 1  # the foundation, which the engine counts too
    counted = preview["changeSummary"]
    assert sum(each.verb == "replace" for each in found) == counted["replace"] == 6
    assert sum(each.verb == "create" for each in found) == counted["create"] == 4
    assert sum(each.verb == "update" for each in found) == counted["update"] - components
    assert "**6 to replace**, **3 to update**, **4 to create**" in comment.render(preview, "")


def test_a_replacement_in_several_steps_is_one_change() -> None:
    steps = [step(op, "lake") for op in ("create-replacement", "replace", "delete-replaced")]
    assert [each.verb for each in comment.changes({"steps": steps})] == ["replace"]


def test_a_replacement_is_shown_with_the_property_that_causes_it(preview: dict[str, Any]) -> None:
    (row,) = (
        line for line in comment.render(preview, "").splitlines() if "triplane-key-version`" in line
    )
    assert "`secretString`" in row


def test_a_comment_has_no_values_of_properties() -> None:
    secret = step("update", "key", diffReasons=["secretString"])
    secret["newState"]["inputs"] = {"secretString": "hunter2"}
    secret["detailedDiff"] = {"secretString": {"kind": "update", "value": "hunter2"}}
    assert "hunter2" not in comment.render({"steps": [secret]}, "Preview")


def test_the_graph_shows_the_dependencies_and_colours_the_changes(preview: dict[str, Any]) -> None:
    graph = comment.mermaid(preview)
    ids = {
        line.split('"')[1]: line.split("[")[0].strip()
        for line in graph.splitlines()
        if '["' in line
    }
    assert f"{ids['ModelEndpoint']} --> {ids['Gateway']}" in graph
    assert f"{ids['ImageRegistry']} --> {ids['ImageBuild']}" in graph
    assert f'{ids["ModelEndpoint"]}["ModelEndpoint"]:::replace' in graph
    assert f'{ids["DataLake"]}["DataLake"]\n' in graph
    assert "classDef replace" in graph
    assert "classDef delete" not in graph


def test_a_preview_without_changes_is_one_line() -> None:
    assert "**No change**: 1 unchanged." in comment.render({"steps": [step("same", "lake")]}, "")


def test_a_name_cannot_break_the_table_and_a_report_cannot_end_its_block() -> None:
    text = comment.render({"steps": [step("delete", "a|b`c\nd")]}, "", policy="```\nescaped")
    assert "`a\\|b'c d`" in text
    assert "````\n```\nescaped\n````" in text


def test_a_thousand_changes_fit_into_one_comment() -> None:
    # https://docs.github.com/rest/issues/comments: 65,536 characters
    text = comment.render({"steps": [step("create", f"bucket-{n}") for n in range(1000)]}, "")
    assert len(text) < 65_536
    assert "… and 900 more" in text


def test_the_comment_has_the_warnings_of_the_engine() -> None:
    diagnostics = [
        {"severity": "warning", "message": "deprecated"},
        {"severity": "info", "message": "hi"},
    ]
    text = comment.render({"steps": [], "diagnostics": diagnostics}, "")
    assert "> **warning**: deprecated" in text
    assert "hi" not in text
