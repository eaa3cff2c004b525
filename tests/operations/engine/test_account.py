"""The account of the current credentials, compared with the account in which the stack was created."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from components.azure import arm
from operations.engine import account

AZURE: Any = SimpleNamespace(cloud="azure")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


def test_an_invisible_subscription_is_refused_by_a_message_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arm, "get", lambda *_: None)
    [reason] = account.credential_refusals(AZURE, SUBSCRIPTION)
    assert f"created in the subscription {SUBSCRIPTION}" in reason
    assert "these credentials do not see it" in reason
    assert "lead to" not in reason, "no account is known that they lead to"


def test_a_visible_subscription_is_the_account_of_the_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arm, "get", lambda *_: {"subscriptionId": SUBSCRIPTION})
    assert account.credential_refusals(AZURE, SUBSCRIPTION) == []
