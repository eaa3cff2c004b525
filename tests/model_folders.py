"""The code in the folders models/<name>/, for tests: each folder has modules of the same plain names."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from training import fit
from training.interface import Contract

from config.model_contract import model_definition

MODELS = Path(__file__).resolve().parents[1] / "models"


@cache
def contract(name: str) -> Contract:
    """The contract of a model of the repository."""
    return Contract(model_definition(MODELS / name).document)


@cache
def modules(name: str) -> tuple[ModuleType, ModuleType]:
    """``data`` and ``train`` of a model."""
    before = list(sys.path)
    plain = {each.stem for each in (MODELS / name).glob("*.py")}
    try:
        return fit.module(MODELS / name, "data"), fit.module(MODELS / name, "train")
    finally:
        sys.path[:] = before
        for each in plain & sys.modules.keys():
            del sys.modules[each]


@cache
def flight_columns() -> list[Any]:
    """The columns of the flight model."""
    data, train = modules("flight-delay")
    columns: list[Any] = train.columns(contract("flight-delay"), data.airports())
    return columns
