"""The recorded plans, built once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from api_models.resource import Plan
from policy import record

Plans = Mapping[str, Mapping[str, Plan]]


@pytest.fixture(scope="session")
def plans() -> Plans:
    """By cloud and by variant of the settings."""
    return {
        cloud: {
            variant: record.of_program(cloud, settings)
            for variant, settings in record.VARIANTS.items()
        }
        for cloud in record.CLOUDS
    }
