"""Access tokens end in the middle of a run: in an hour, and in the profile `realistic` on its shortened clock."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from rehearsal.azure import credentials as azure
from rehearsal.core.behaviour import BEHAVIOURS, CLOCK, Profile
from rehearsal.core.records import Refusal
from rehearsal.gcp import credentials as gcp
from rehearsal.provider.context import Context

HOUR = 3600
LIFE: dict[Profile, int] = {"instant": HOUR, "realistic": HOUR // CLOCK}


@pytest.mark.parametrize("profile", LIFE)
def test_a_token_of_google_cloud_is_refused_when_it_has_ended(
    profile: Profile, live_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = replace(live_context, behaviour=BEHAVIOURS[profile])
    token = gcp.token(context, "worker@triplane.iam.gserviceaccount.com")
    assert token["expires_in"] == LIFE[profile]
    authorization = f"Bearer {token['access_token']}"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFE[profile] - 5)
    assert gcp.caller(context, authorization).startswith("worker@")
    monkeypatch.setattr(time, "time", lambda: now + LIFE[profile] + 5)
    with pytest.raises(Refusal, match="invalid authentication credentials"):
        gcp.caller(context, authorization)


@pytest.mark.parametrize("profile", LIFE)
def test_a_token_of_azure_ends_as_its_answer_says(profile: Profile, live_context: Context) -> None:
    context = replace(live_context, behaviour=BEHAVIOURS[profile])
    scope = "https://ml.azure.com"
    token, expires = azure.token(context, "principal", "client", scope)
    assert abs(expires - time.time() - LIFE[profile]) < 5
    assert azure.principal_of(context, f"Bearer {token}", scope) == "principal"


def test_an_ended_token_of_azure_is_refused(live_context: Context) -> None:
    ended = replace(BEHAVIOURS["realistic"])
    object.__setattr__(ended, "shortened", lambda _: -5)
    context = replace(live_context, behaviour=ended)
    scope = "https://ml.azure.com"
    token, _ = azure.token(context, "principal", "client", scope)
    assert azure.principal_of(context, f"Bearer {token}", scope) is None
