"""The platform that the tests of a cloud's components check."""

from __future__ import annotations

import pytest

from policy.mock_engine import Build, Built


@pytest.fixture(scope="module")
def built(request: pytest.FixtureRequest, platform: Build) -> Built:
    """The platform on the cloud in the test module's name, with limits and tags that are no defaults."""
    return platform(
        request.module.__name__.rpartition("test_")[2],
        keep_data=True,
        tags={"team": "flights"},
        lake={"captures_days": 31, "noncurrent_days": 7},
        gateway={"max_concurrency": 5, "max_body_kib": 64},
    )
