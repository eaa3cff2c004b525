"""`make judge`: how sharp the outside judges are, shown with bad values. cfn-lint runs in its own environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from api_models.resource import Plan, Resource
from policy import cloudformation, judge, record
from policy.waivers import Failed
from tests.judge import bad_values
from tests.judge.bad_values import BadValue
from tests.policy.changes import add, put

pytestmark = pytest.mark.slow
AWS = [*bad_values.CAUGHT_BY_CFN_LINT, *bad_values.MISSED_BY_CFN_LINT]
SHORT_KMS_WINDOW = "kms"
UNCHANGED = "unchanged"


@pytest.fixture(scope="module")
def plans() -> Mapping[str, Mapping[str, Plan]]:
    """By cloud and by variant of the settings."""
    used = {each.variant for each in (*AWS, *bad_values.CAUGHT_BY_DISCOVERY)}
    return {
        cloud: {variant: record.of_program(cloud, record.VARIANTS[variant]) for variant in used}
        for cloud in ("aws", "gcp")
    }


def with_bad_value(plan: Plan, bad: BadValue) -> list[Resource]:
    return put(bad.type, bad.path, bad.value, bad.name)(list(plan))


def changed(before: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The part of a plan's template that differs: a whole template takes cfn-lint a second."""
    after, _ = cloudformation.template(plan)
    return {name: each for name, each in after["Resources"].items() if before.get(name) != each}


@pytest.fixture(scope="module")
def verdicts(plans: Mapping[str, Mapping[str, Plan]]) -> Mapping[str, list[Failed]]:
    """cfn-lint's findings for each bad value, by its number, and for the same resources without it."""
    templates: dict[str, Any] = {}
    original: dict[str, Any] = {}
    for number, bad in enumerate(AWS):
        plan = plans["aws"][bad.variant]
        before = cloudformation.template(plan)[0]["Resources"]
        resources = changed(before, with_bad_value(plan, bad))
        assert resources or bad.path == "recoveryWindowInDays", f"{bad} changes nothing"
        templates[str(number)] = {"Resources": resources}
        original |= {f"{name}{bad.variant[:2].title()}": before[name] for name in resources}
    window = add(bad_values.KMS_KEY, deletionWindowInDays=3)([])
    templates[SHORT_KMS_WINDOW] = cloudformation.template(window)[0]
    templates[UNCHANGED] = {"Resources": original}
    return judge.cfn_lint(templates)


@pytest.mark.parametrize("bad", bad_values.CAUGHT_BY_CFN_LINT, ids=str)
def test_cfn_lint_catches_the_value(bad: BadValue, verdicts: Mapping[str, list[Failed]]) -> None:
    assert verdicts[str(AWS.index(bad))]


@pytest.mark.parametrize("bad", bad_values.MISSED_BY_CFN_LINT, ids=str)
def test_cfn_lint_is_not_sharper_than_listed(
    bad: BadValue, verdicts: Mapping[str, list[Failed]]
) -> None:
    """The version is pinned. If a newer one catches the value, move it to CAUGHT_BY_CFN_LINT."""
    assert not verdicts[str(AWS.index(bad))]


def test_cfn_lint_catches_a_window_of_three_days_for_a_kms_key(
    verdicts: Mapping[str, list[Failed]],
) -> None:
    [found] = verdicts[SHORT_KMS_WINDOW]
    assert "3 is less than the minimum of 7" in found.message
    assert found.resource == "AWS::KMS::Key.Added"


def test_the_same_resources_without_the_bad_values_have_no_finding(
    verdicts: Mapping[str, list[Failed]],
) -> None:
    assert verdicts[UNCHANGED] == []


@pytest.mark.parametrize("bad", bad_values.CAUGHT_BY_DISCOVERY, ids=str)
def test_googles_documents_catch_the_value(
    bad: BadValue, plans: Mapping[str, Mapping[str, Plan]]
) -> None:
    assert list(judge.discovery(with_bad_value(plans["gcp"][bad.variant], bad)))


def test_googles_documents_have_no_finding_without_the_bad_values(
    plans: Mapping[str, Mapping[str, Plan]],
) -> None:
    assert [each for plan in plans["gcp"].values() for each in judge.discovery(plan)] == []


def sharpness() -> Iterator[str]:
    """What the documentation says of the judges."""
    caught, missed = len(bad_values.CAUGHT_BY_CFN_LINT) + 1, len(bad_values.MISSED_BY_CFN_LINT)
    yield f"cfn-lint catches {caught} of {caught + missed}"
    caught, missed = len(bad_values.CAUGHT_BY_DISCOVERY), len(bad_values.MISSED_BY_DISCOVERY)
    yield f"Google's documents {caught} of {caught + missed}"


def test_the_documentation_states_how_sharp_the_judges_are() -> None:
    page = " ".join((judge.HOME / "docs/reference/policies.md").read_text().split())
    for sentence in sharpness():
        assert sentence in page
