"""Regions and machines on which the platform can run, from catalogue.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from config.clouds import CLOUD_NAMES
from config.messages import did_you_mean

CATALOGUE = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text())


def catalogue_entry(
    cloud: str, table: Literal["regions", "machines", "app_service_plans"], value: str
) -> str:
    """``value``, if the catalogue has it for this cloud.

    Raises ValueError otherwise, which names the cloud that has it, or the most similar entry.
    """
    allowed: Collection[str] = CATALOGUE[cloud][table]
    if value in allowed:
        return value
    thing = table.removesuffix("s").replace("_", " ")
    for other, name in CLOUD_NAMES.items():
        if value in CATALOGUE[other].get(table, ()):
            problem = f"This is a {thing} of {name}, and the setting is for {CLOUD_NAMES[cloud]}."
            break
    else:
        problem = f"No {thing} of {CLOUD_NAMES[cloud]} on which the platform can run."
    raise ValueError(
        f"{problem} Allowed: {', '.join(allowed)}.{did_you_mean(value, allowed)}"
        " (Does another one have every service that is needed? Add it to config/catalogue.toml.)"
    )
