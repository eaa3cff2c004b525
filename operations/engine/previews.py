"""What a preview reports: the JSON of ``pulumi preview --json``, and the event log of a refresh."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from operations.engine.resources import is_cloud_resource

Step = dict[str, Any]
"""One of ``steps`` in that JSON: an operation on a resource, with its state before and after."""
UNNAMED = "a secret or another value that the engine does not show"
"""Of a drifted resource whose changed property is not known: the event log has no secrets."""


def parse_preview(text: str) -> list[Step]:
    """The steps of a preview; raises ValueError unless the text is complete and the preview succeeded.

    A pipe loses Pulumi's exit code. A failed preview shows in its diagnostics, and an interrupted one in its
    missing summary.
    """
    preview = preview_document(text)
    errors = [
        str(each.get("message", "")).strip()
        for each in preview.get("diagnostics") or ()
        if each.get("severity") == "error"
    ]
    if errors:
        raise ValueError(f"the preview failed: {errors[0].rstrip('.')}")
    if not preview.get("changeSummary"):
        raise ValueError(
            "the preview has no summary: it was interrupted, or it is not one of Pulumi's"
        )
    return list(preview.get("steps") or ())


def preview_document(text: str) -> dict[str, Any]:
    """What ``pulumi preview --json`` printed, of a failed preview, too; raises ValueError for any other text."""
    try:
        preview = json.loads(text)
    except ValueError as error:
        raise ValueError(_not_a_preview(str(error))) from error
    if not isinstance(preview, dict) or not preview.keys() & {
        "steps",
        "diagnostics",
        "changeSummary",
    }:
        raise ValueError(_not_a_preview("JSON of another kind"))
    return preview


def _not_a_preview(reason: str) -> str:
    return f"the preview is not, or not completely, what `pulumi preview --json` prints ({reason})"


def refresh_steps(event_log: str) -> list[Step]:
    """What a refresh found of each resource: the steps in its event log. Raises ValueError unless it has ended.

    The operation is ``same``, ``update`` or ``delete``: the engine has the provider compare the resource with what the
    program asks for. The steps in the JSON of a refresh are not enough. There an update is an update only if the
    provider has listed the changed properties, and Python's dynamic providers never do.
    https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/resource/deploy/step.go (RefreshStep.ResultOp)
    https://github.com/pulumi/pulumi/blob/v3.250.0/pkg/backend/display/json.go (ResourceOutputsEvent)
    """
    events = [json.loads(line) for line in event_log.splitlines()]
    if not any(event.get("summaryEvent") for event in events):
        raise ValueError("the refresh has no summary: it was interrupted")
    return [
        _step(event["resOutputsEvent"]["metadata"])
        for event in events
        if "resOutputsEvent" in event
    ]


def previewed_steps(event_log: str) -> list[Step]:
    """The steps of a preview, in its event log, in their order."""
    events = [json.loads(line) for line in event_log.splitlines()]
    return [
        _step(event["resourcePreEvent"]["metadata"])
        for event in events
        if "resourcePreEvent" in event
    ]


def errors_in(event_log: str) -> str:
    """The error messages in an event log, which ends in the middle of a line if the run was killed."""
    found = []
    for line in event_log.splitlines():
        try:
            diagnostic = json.loads(line).get("diagnosticEvent") or {}
        except ValueError:
            continue
        if diagnostic.get("severity") == "error":
            found.append(str(diagnostic.get("message", "")))
    return "\n".join(found)


def _step(metadata: dict[str, Any]) -> Step:
    """The metadata of an event, with the names that the JSON of a preview has for the same."""
    return {
        "op": metadata["op"],
        "urn": metadata["urn"],
        "oldState": metadata.get("old"),
        "newState": metadata.get("new"),
        "detailedDiff": metadata.get("detailedDiff"),
        "diffReasons": metadata.get("diffs"),
        "replaceReasons": metadata.get("keys"),
    }


def drift(steps: Iterable[Step]) -> dict[str, list[str]]:
    """What a refresh found: the URN of each changed resource, with its changed properties.

    A resource that does not exist any more has the one entry ``gone``.
    """
    found = {}
    for step in steps:
        if step["op"] == "delete":
            found[step["urn"]] = ["gone"]
        elif step["op"] == "update" and is_cloud_resource(step["urn"]):
            found[step["urn"]] = _changed_properties(step)
    return found


def _changed_properties(step: Step) -> list[str]:
    """The properties that the provider lists; without a list, what the program asks for and does not exist."""
    if paths := step.get("detailedDiff"):
        return sorted({re.split(r"[.\[]", path)[0] for path in paths})
    new = step.get("newState") or {}
    inputs, outputs = new.get("inputs") or {}, new.get("outputs") or {}
    names = (n for n in inputs if not n.startswith("__") and outputs.get(n) != inputs[n])
    return sorted(names) or [UNNAMED]
