"""The tables by cloud: each has every cloud of `config.clouds`, so that a fourth cloud is not left out silently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from config import clouds, credentials, tags
from config.clouds import Cloud
from operations.account_check.report import MODULES, SIGN_IN
from operations.drill.disasters import CHANGES_BY_HAND
from tools.prerequisites import SECTIONS

TABLES = {
    "config.clouds.CLOUD_NAMES": clouds.CLOUD_NAMES,
    "config.clouds.REGION_KEYS": clouds.REGION_KEYS,
    "config.clouds.PACKAGES": clouds.PACKAGES,
    "config.credentials.PROVIDER_CREDENTIALS": credentials.PROVIDER_CREDENTIALS,
    "config.tags.TAG_RULES": tags.TAG_RULES,
    "config.tags.MAX_TAGS": tags.MAX_TAGS,
    "operations.account_check.report.MODULES": MODULES,
    "operations.account_check.report.SIGN_IN": SIGN_IN,
    "tools.prerequisites.SECTIONS": SECTIONS,
    "operations.drill.disasters.CHANGES_BY_HAND": CHANGES_BY_HAND,
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_by_cloud_has_every_cloud(table: str) -> None:
    by_cloud: Mapping[str, Any] = TABLES[table]
    assert set(by_cloud) == set(get_args(Cloud)), f"write the missing line into {table}"


@pytest.mark.parametrize("cloud", get_args(Cloud))
def test_a_credential_setting_belongs_to_the_provider_of_its_cloud(cloud: Cloud) -> None:
    package = clouds.PACKAGES[cloud]
    assert all(key.startswith(f"{package}:") for key in credentials.PROVIDER_CREDENTIALS[cloud])
