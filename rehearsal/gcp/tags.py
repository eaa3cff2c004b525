"""The rules for labels, as Google Cloud calls tags, for all types that take some."""

from __future__ import annotations

import re

from rehearsal.core.records import CheckFailure, Inputs, Record

LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def check_labels(inputs: Inputs) -> None:
    """Raise `CheckFailure` for a label that Google Cloud would refuse.

    https://cloud.google.com/resource-manager/docs/labels-overview#requirements
    """
    labels = inputs.get("labels") or {}
    if len(labels) > 63:
        reason = (
            f"at most 64 labels are allowed, the provider's own among them, not {len(labels) + 1}"
        )
        raise CheckFailure("labels", reason)
    for key, value in labels.items():
        for text, pattern in ((key, LABEL_KEY), (value, LABEL_VALUE)):
            if not pattern.fullmatch(text):
                raise CheckFailure(
                    "labels",
                    f'"{text}" is not a valid label: lower-case letters, digits, hyphens and'
                    " underscores, at most 63; keys begin with a letter",
                )


def labels_of(record: Record) -> dict[str, str]:
    """A resource's labels as the API reports them: the program's, and the provider's own."""
    return dict(record.outputs.get("effectiveLabels") or {})
