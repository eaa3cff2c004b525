"""Conditions of role assignments, as their documentation says that they are evaluated."""

from __future__ import annotations

from typing import cast

import pytest

from components.azure import roles
from rehearsal.azure import conditions
from rehearsal.azure.authorization import RoleAssignment
from rehearsal.azure.conditions import BLOB_PATH, BLOBS, LIST_PREFIX, LISTING, Asked
from rehearsal.core.records import CheckFailure, Inputs
from rehearsal.provider.context import Context

READ, WRITE = f"{BLOBS}/read", f"{BLOBS}/write"


@pytest.mark.parametrize(
    ("comparison", "value", "true"),
    [
        # The examples of https://learn.microsoft.com/azure/role-based-access-control/conditions-format
        ("StringLike 'a*c?'", "abcd", True),
        ("StringLike 'A*C?'", "abcd", False),
        ("StringLike 'a*c'", "abcd", False),
        (r"StringLike 'a\*c'", "abc", False),
        (r"StringLike 'a\*c'", "a*c", True),
        ("ForAnyOfAnyValues:StringEquals {'blue', 'green'}", "blue", True),
        ("ForAnyOfAnyValues:StringEquals {'orange', 'green'}", "blue", False),
        ("ForAnyOfAllValues:StringNotEquals {'orange', 'blue'}", "blue", False),
        ("StringStartsWith 'logs/'", "logs/a", True),
        ("StringStartsWith 'logs/'", None, False),
        ("StringNotEquals 'logs/'", None, False),
    ],
)
def test_a_comparison_is_evaluated_as_documented(
    comparison: str, value: str | None, true: bool
) -> None:
    asked = Asked(READ, attributes={} if value is None else {LIST_PREFIX: value})
    assert conditions.holds(f"@{LIST_PREFIX} {comparison}", asked) is true


@pytest.mark.parametrize(
    ("condition", "true"),
    [
        (f"(!(ActionMatches{{'{READ}'}}))", False),
        (f"(!(ActionMatches{{'{WRITE}'}}))", True),
        (f"ActionMatches{{'{BLOBS}/*'}} AND NOT SubOperationMatches{{'Blob.List'}}", True),
        (f"ActionMatches{{'{WRITE}'}} OR ActionMatches{{'{READ}'}}", True),
    ],
)
def test_actions_and_suboperations_are_compared(condition: str, true: bool) -> None:
    assert conditions.holds(condition, Asked(READ)) is true


@pytest.mark.parametrize(
    "condition",
    [
        "",
        f"@{BLOB_PATH} StringEquals",
        f"(@{BLOB_PATH} StringEquals 'a'",
        f"@{BLOB_PATH} Near 'b'",
        f"@{BLOB_PATH} StringEquals 'a' 'b'",
        "@Resource[a:tags] StringEquals 'a'",
        "1 AND 2",
    ],
)
def test_what_is_no_condition_is_refused(condition: str) -> None:
    with pytest.raises(conditions.Unsupported, match="the rehearsal does not evaluate"):
        conditions.check(condition)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"condition": f"@{BLOB_PATH} NumericEquals 1"}, "Azure may take it"),
        ({"condition": f"@{BLOB_PATH} StringEquals 'b'", "conditionVersion": "1.0"}, "version 2.0"),
    ],
)
def test_an_assignment_with_a_condition_that_is_not_evaluated_is_refused(
    inputs: dict[str, str], reason: str
) -> None:
    with pytest.raises(CheckFailure, match=reason):
        RoleAssignment().check(cast(Context, None), Inputs(inputs, frozenset()))


def asked(path: str = "", *, prefix: str | None = None) -> Asked:
    if prefix is None:
        return Asked(READ, attributes={BLOB_PATH: path})
    return Asked(READ, LISTING, {LIST_PREFIX: prefix})


def test_who_may_read_the_folders_of_two_models_reads_and_lists_no_others() -> None:
    condition = roles.reading_condition(["digits/", "small/"], ())
    for allowed in ("digits/1/model.onnx", "small/2/digits/contract.json"):
        assert conditions.holds(condition, asked(allowed))
    for refused in ("digits2/1/model.onnx", "flight-delay/1/model.onnx", "digits"):
        assert not conditions.holds(condition, asked(refused))
    assert conditions.holds(condition, asked(prefix="digits/1"))
    for prefix in ("", "d", "flight-delay/"):
        assert not conditions.holds(condition, asked(prefix=prefix))
    assert not conditions.holds(condition, Asked(READ, LISTING))
    assert conditions.holds(condition, Asked(WRITE)), "the role decides on other actions"


def test_who_may_read_contracts_reads_nothing_else_and_lists_nothing() -> None:
    condition = roles.reading_condition(["digits/"], ("contract.json", "version.txt"))
    assert conditions.holds(condition, asked("digits/1/contract.json"))
    for refused in ("digits/1/model.onnx", "digits/1/card.json", "other/1/contract.json"):
        assert not conditions.holds(condition, asked(refused))
    assert not conditions.holds(condition, asked(prefix="digits/"))
