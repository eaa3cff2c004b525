"""The profiles: what takes how long, and that each time is spent somewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from rehearsal.core import behaviour
from rehearsal.core.behaviour import BEHAVIOURS, GRANT_DELAYS, OPERATION_SECONDS
from rehearsal.core.quotas import FRESH, USUAL
from rehearsal.core.settings import PACKAGE
from rehearsal.server import PROFILES


def spent() -> set[str]:
    """The operations whose time some module of the rehearsal spends, or asks for."""
    found = set()
    for file in Path(PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("spend", "operation_seconds")
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(str(node.args[0].value))
    return found


def test_each_operation_with_a_time_is_one_that_takes_it_and_each_type_has_rules() -> None:
    types = {token for profile in PROFILES for token in profile.rules()}
    assert set(OPERATION_SECONDS) - types == spent()


def test_each_cloud_has_a_delay_of_its_grants() -> None:
    packages = {each.package for each in PROFILES}
    tokens = {token for profile in PROFILES for token in profile.rules()}
    assert packages <= set(GRANT_DELAYS) <= packages | tokens


@pytest.mark.parametrize(
    ("package", "token", "seconds"),
    [
        ("aws", "aws:iam/rolePolicy:RolePolicy", 120),
        ("aws", "aws:iam/role:Role", 30),
        # https://cloud.google.com/iam/docs/access-change-propagation
        ("gcp", "", 120),
        # https://learn.microsoft.com/azure/role-based-access-control/troubleshooting
        ("azure-native", "", 600),
    ],
)
def test_a_grant_is_as_late_as_its_cloud_says_on_the_shortened_clock(
    package: str, token: str, seconds: float
) -> None:
    realistic, instant = BEHAVIOURS["realistic"], BEHAVIOURS["instant"]
    assert realistic.grant_delay(package, token) == seconds / behaviour.CLOCK
    assert instant.grant_delay(package, token) == 0
    assert BEHAVIOURS["fresh-account"].grant_delay(package, token) == 0


def test_only_the_realistic_profile_takes_time_and_only_a_fresh_account_is_narrow() -> None:
    realistic, instant, fresh = (
        BEHAVIOURS[name] for name in ("realistic", "instant", "fresh-account")
    )
    assert realistic.operation_seconds("cloudbuild:build") == 120 / behaviour.CLOCK
    assert instant.operation_seconds("cloudbuild:build") == 0
    assert realistic.operation_seconds("nothing") == 0
    assert realistic.listing_delay() == 30 / behaviour.CLOCK
    assert instant.listing_delay() == fresh.listing_delay() == 0
    # An hour: https://docs.cloud.google.com/docs/authentication/token-types#at-lifetime
    assert (instant.token_seconds(), realistic.token_seconds()) == (3600, 120)
    assert (instant.quotas, realistic.quotas, fresh.quotas) == (USUAL, USUAL, FRESH)
    assert {name: each.profile for name, each in BEHAVIOURS.items()} == {
        name: name for name in BEHAVIOURS
    }
