"""The clouds, and where on them the platform can run: regions and machines, from catalogue.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from config.clouds import CLOUD_NAMES
from config.messages import did_you_mean

CATALOGUE = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text())


def one_of(cloud: str, table: Literal["regions", "machines"], value: str) -> str:
    """``value``, if the catalogue has it for this cloud; else ValueError names the other cloud's or the nearest."""
    allowed: list[str] = CATALOGUE[cloud][table]
    if value in allowed:
        return value
    thing = table.removesuffix("s")
    for other, name in CLOUD_NAMES.items():
        if value in CATALOGUE[other][table]:
            says = f"This is a {thing} of {name}, and the setting is for {CLOUD_NAMES[cloud]}."
            break
    else:
        says = f"Not a {thing} of {CLOUD_NAMES[cloud]} on which the platform can stand."
    raise ValueError(
        f"{says} Allowed: {', '.join(allowed)}.{did_you_mean(value, allowed)}"
        " (Another one that has every service needed: add it to config/catalogue.toml.)"
    )
