"""The request contract: the fields of a flight, with types, units, ranges and categories.

The contract is plain data in ``lambda/gateway/features.json``, because the gateway that validates requests runs on
Lambda without numpy or pandas. This module writes that file from the data
(``python -m model_server.schema --write``), and a test compares the two.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "gateway" / "features.json"
ORIGINS = ("EWR", "JFK", "LGA")

# Name, label, unit, minimum, maximum, help. The ranges are the possible readings at a New York airport, a little
# beyond the city's records. They are not the extremes of 2013.
WEATHER: tuple[tuple[str, str, str, float, float, str], ...] = (
    ("temp", "Temperature", "°F", -20, 110, ""),
    ("dewp", "Dew point", "°F", -40, 90, ""),
    ("humid", "Relative humidity", "%", 0, 100, ""),
    ("wind_dir", "Wind direction", "°", 0, 360, "0 when calm, leave out when variable"),
    ("wind_speed", "Wind speed", "mph", 0, 120, ""),
    ("wind_gust", "Wind gusts", "mph", 0, 160, "leave out when there are none"),
    ("precip", "Precipitation in the hour", "in", 0, 5, ""),
    ("pressure", "Pressure at sea level", "mbar", 930, 1065, ""),
    ("visib", "Visibility", "mi", 0, 10, "stations report 10 for anything more"),
)
LIMITS = {name: (low, high) for name, _, _, low, high, _ in WEATHER}

# United 1177 of 17 November 2013 left Newark in fog, and arrived 1 hour and 6 minutes late.
EXAMPLE = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "ORD",
    "date": "2013-11-17",
    "departure": "18:01",
    "temp": 57.02,
    "dewp": 55.94,
    "humid": 96.17,
    "wind_dir": 160,
    "wind_speed": 3.45,
    "precip": 0,
    "pressure": 1015.2,
    "visib": 0.25,
}


def build() -> dict[str, Any]:
    """The contract, built from the airlines and airports in the data."""
    from model_server import data

    names = {code: name for code, (name, _, _) in data.airports().items()}
    table = data.flights(LIMITS)
    flown = sorted(table["dest"][table["arr_delay"].notna()].unique())

    def category(name: str, label: str, values: dict[str, str]) -> dict[str, Any]:
        return {
            "name": name,
            "type": "category",
            "label": label,
            "required": True,
            "values": values,
        }

    def ordered(name: str, kind: str, label: str, low: str, high: str, note: str) -> dict[str, Any]:
        return {
            "name": name,
            "type": kind,
            "label": label,
            "required": True,
            "minimum": low,
            "maximum": high,
            "help": note,
        }

    fields = [
        category("carrier", "Airline", data.airlines()),
        category("origin", "From", {code: names[code] for code in ORIGINS}),
        category("dest", "To", {code: names[code] for code in flown}),
        ordered(
            "date", "date", "Date", f"{data.YEAR}-01-01", f"{data.YEAR}-12-31", "as YYYY-MM-DD"
        ),
        ordered(
            "departure",
            "time",
            "Scheduled departure",
            "00:00",
            "23:59",
            "as HH:MM, New York time",
        ),
    ]
    for name, label, unit, low, high, note in WEATHER:
        field = {"name": name, "type": "number", "label": label, "required": False, "unit": unit}
        field |= {"minimum": low, "maximum": high} | ({"help": note} if note else {})
        fields.append(field)
    return {"fields": fields, "max_batch": 100, "example": EXAMPLE}


def load() -> dict[str, Any]:
    """The contract as committed."""
    contract: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return contract


def render(contract: dict[str, Any]) -> str:
    """The contract as the text of its file."""
    return json.dumps(contract, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            print(render(build()), end="")
        case ["--write"]:
            FILE.write_text(render(build()), encoding="utf-8")
        case words:
            sys.exit(
                f"{' '.join(words)}: only --write, which writes {FILE.name}. Nothing was done."
            )
