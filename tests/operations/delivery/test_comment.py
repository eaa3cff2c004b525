"""The comment on a pull request, from a preview that the real engine gave.

``previews/aws-to-instances.json``: `pulumi preview --json --show-sames` of the platform on AWS after the endpoint
was moved from serverless to instances and the key rotated; states cut down to what tells the parts apart.
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


def test_what_is_lost_comes_first(preview: dict[str, Any]) -> None:
    preview["steps"].append(step("delete", "an-old-bucket"))
    text = comment.render(preview, "Preview")
    places = [text.index(heading) for heading in comment.HEADINGS.values() if heading in text]
    assert places == sorted(places)
    assert len(places) == 4
    # The two that lose something are open, the others folded.
    assert (
        text.index("an-old-bucket") < text.index("triplane-endpoint-model") < text.index("<details")
    )


def test_it_counts_as_the_engine_does(preview: dict[str, Any]) -> None:
    found = comment.changes(preview)
    groups = 1  # the foundation, a component, which the engine counts too
    counted = preview["changeSummary"]
    assert sum(each.verb == "replace" for each in found) == counted["replace"] == 6
    assert sum(each.verb == "create" for each in found) == counted["create"] == 4
    assert sum(each.verb == "update" for each in found) == counted["update"] - groups
    assert "**6 to replace**, **3 to update**, **4 to create**" in comment.render(preview, "")


def test_a_replacement_in_several_steps_is_one_change() -> None:
    steps = [step(op, "lake") for op in ("create-replacement", "replace", "delete-replaced")]
    assert [each.verb for each in comment.changes({"steps": steps})] == ["replace"]


def test_the_reason_of_a_replacement_is_named(preview: dict[str, Any]) -> None:
    (row,) = (
        line for line in comment.render(preview, "").splitlines() if "triplane-key-version`" in line
    )
    assert "`secretString`" in row


def test_no_value_gets_into_a_comment() -> None:
    secret = step("update", "key", diffReasons=["secretString"])
    secret["newState"]["inputs"] = {"secretString": "hunter2"}
    secret["detailedDiff"] = {"secretString": {"kind": "update", "value": "hunter2"}}
    assert "hunter2" not in comment.render({"steps": [secret]}, "Preview")


def test_the_picture_shows_what_depends_on_what_and_what_changes(preview: dict[str, Any]) -> None:
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


def test_nothing_changed_is_said_in_one_line() -> None:
    assert "**No change**: 1 stay as they are." in comment.render(
        {"steps": [step("same", "lake")]}, ""
    )


def test_a_name_cannot_break_the_table_nor_a_policy_its_block() -> None:
    text = comment.render({"steps": [step("delete", "a|b`c\nd")]}, "", policy="```\nescaped")
    assert "`a\\|b'c d`" in text
    assert "````\n```\nescaped\n````" in text


def test_a_thousand_changes_still_fit_in_a_comment() -> None:
    # https://docs.github.com/rest/issues/comments: 65,536 characters
    text = comment.render({"steps": [step("create", f"bucket-{n}") for n in range(1000)]}, "")
    assert len(text) < 65_536
    assert "… and 900 more" in text


def test_the_engines_warnings_are_told() -> None:
    said = [{"severity": "warning", "message": "deprecated"}, {"severity": "info", "message": "hi"}]
    text = comment.render({"steps": [], "diagnostics": said}, "")
    assert "> **warning**: deprecated" in text
    assert "hi" not in text
