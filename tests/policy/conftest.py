"""The recorded plans, made once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from policy import record

Plans = Mapping[str, Mapping[str, record.Plan]]


@pytest.fixture(scope="session")
def plans() -> Plans:
    """By cloud and by what the settings ask for."""
    return {
        cloud: {
            variant: record.of_program(cloud, settings)
            for variant, settings in record.VARIANTS.items()
        }
        for cloud in record.CLOUDS
    }
