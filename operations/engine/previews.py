"""What a preview reports: the JSON of ``pulumi preview --json`` and ``pulumi refresh --preview-only --json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from operations.engine.resources import is_cloud_resource

Step = dict[str, Any]
"""One of ``steps`` in that JSON: an operation on a resource, with its state before and after."""


def parse_preview(text: str) -> list[Step]:
    """The steps of a preview; raises ValueError unless the text is complete and the preview succeeded.

    A pipe loses Pulumi's exit code. A failed preview shows in its diagnostics, and an interrupted one in its
    missing summary.
    """
    try:
        preview = json.loads(text)
    except ValueError as error:
        raise ValueError(_not_a_preview(str(error))) from error
    if not isinstance(preview, dict):
        raise ValueError(_not_a_preview("JSON of another kind"))
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


def _not_a_preview(reason: str) -> str:
    return f"the preview is not, or not completely, what `pulumi preview --json` prints ({reason})"


def drift(steps: Iterable[Step]) -> dict[str, list[str]]:
    """What a refresh found: the URN of each changed resource, with its changed properties.

    A resource that does not exist any more has the one entry ``gone``.
    """
    found = {}
    for step in steps:
        if step["op"] == "delete":
            found[step["urn"]] = ["gone"]
        elif is_cloud_resource(step["urn"]) and (changed := _changed_properties(step)):
            found[step["urn"]] = changed
    return found


def _changed_properties(step: Step) -> list[str]:
    """The inputs that differ, or else the outputs. Inputs first: most outputs follow from them."""
    old, new = step.get("oldState") or {}, step.get("newState") or {}
    for part in ("inputs", "outputs"):
        before, after = old.get(part) or {}, new.get(part) or {}
        if names := sorted(n for n in before | after if before.get(n) != after.get(n)):
            return names
    return []
