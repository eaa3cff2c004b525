"""The flights that left New York in 2013, their weather, airlines and airports (CC0)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from model_server.recipe import data_folder

YEAR = 2013

# Destinations that the package's airports.csv does not list (all outside the fifty states).
OTHER_AIRPORTS = {
    "BQN": ("Aguadilla, Rafael Hernández", 18.4949, -67.1294),
    "PSE": ("Ponce, Mercedita", 18.0083, -66.5630),
    "SJU": ("San Juan, Luis Muñoz Marín", 18.4394, -66.0018),
    "STT": ("St Thomas, Cyril E King", 18.3373, -64.9734),
}


def airlines() -> dict[str, str]:
    """Airline names by their two-letter code."""
    table = pd.read_csv(data_folder() / "airlines.csv")
    return dict(sorted(zip(table["carrier"], table["name"], strict=True)))


def airports() -> dict[str, tuple[str, float, float]]:
    """Name, latitude and longitude (degrees) by airport code."""
    table = pd.read_csv(data_folder() / "airports.csv")
    # The file has backslashes before apostrophes: Martha\\'s Vineyard.
    names = table["name"].str.replace("\\", "")
    known = zip(table["faa"], zip(names, table["lat"], table["lon"], strict=True), strict=True)
    return dict(sorted({**dict(known), **OTHER_AIRPORTS}.items()))


def flights(limits: dict[str, tuple[float, float]]) -> pd.DataFrame:
    """Every scheduled flight with the fields of a request, with ``arr_delay`` (minutes, or NaN).

    Weather is the observation at the origin in the scheduled hour, joined on the UTC hour, so that
    both clock changes are correct. A reading outside its ``limits`` is a fault of the instrument (one is a wind
    of 1,048 mph) and counts as missing.
    """
    weather = pd.read_csv(data_folder() / "weather.csv")[["origin", "time_hour", *limits]]
    for name, (low, high) in limits.items():
        weather[name] = weather[name].where(weather[name].between(low, high))
    table = pd.read_csv(data_folder() / "flights.csv.zip")
    table = table.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")

    def two_digits(column: str) -> Any:
        return table[column].astype(str).str.zfill(2)

    table["date"] = f"{YEAR}-" + two_digits("month") + "-" + two_digits("day")
    table["departure"] = two_digits("hour") + ":" + two_digits("minute")
    wanted = ["carrier", "origin", "dest", "date", "departure", *limits, "month", "arr_delay"]
    return table[wanted]
