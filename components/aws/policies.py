"""IAM policy documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

Statement = dict[str, Any]


def policy(*statements: Statement) -> pulumi.Output[str]:
    """The JSON of a document with these statements."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(
    actions: Sequence[str],
    *resources: pulumi.Input[str],
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    """A statement that allows these actions on these resources, under this condition."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return statement | ({"Condition": condition} if condition else {})
