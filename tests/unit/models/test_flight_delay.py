"""The flight model: its contract held against the data, and its training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_server.encoder import Encoder

from tests.model_folders import contract, flight_columns, modules
from tests.unit.training.test_runs import start_training

NAME = "flight-delay"
CONTRACT = contract(NAME)
DATA, TRAIN = modules(NAME)


def test_the_same_data_and_code_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    def start(store: str, **environment: str):  # type: ignore[no-untyped-def]
        january = ("--model", NAME, "--months", "1-1", "--store", str(tmp_path / store))
        return start_training(*january, **environment)  # the fastest training

    runs = [
        start("one", PYTHONHASHSEED="1", OMP_NUM_THREADS="1"),
        start("two", PYTHONHASHSEED="2", OMP_NUM_THREADS="2"),
    ]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    one, two = (output.strip() for output, _ in outputs)
    assert one == two
    folders = [tmp_path / name / NAME / one for name in ("one", "two")]
    for name in ("model.onnx", "contract.json", "version.txt", "model.tar.gz", "card.json"):
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second, name
    card = json.loads((folders[0] / "card.json").read_text())
    assert card["version"] == one
    assert card["largest_difference_from_scikit_learn"] <= TRAIN.TOLERANCE
    assert card["data"]["training_rows"] == 26398
    assert card["holdout"]["auc"] > 0.6

    again, progress = start("one").communicate(timeout=120)
    assert again.strip() == one
    assert progress.startswith(f"There is this version of {NAME} already"), "no training"
    assert "Training" not in progress


def test_the_contract_has_the_airlines_and_airports_of_the_data() -> None:
    names = {code: name for code, (name, _, _) in DATA.airports().items()}
    flown = DATA.load(CONTRACT).flights
    assert CONTRACT.fields["carrier"].values == DATA.airlines()
    for field, column in (("origin", "origin"), ("dest", "dest")):
        codes = sorted(flown[column].unique())
        assert CONTRACT.fields[field].values == {code: names[code] for code in codes}


def test_every_flight_that_arrived_fits_the_contract() -> None:
    flights = DATA.load(CONTRACT).flights
    assert len(flights) == 327346
    for field in CONTRACT.fields.values():
        values = flights[field.name].dropna()
        if field.type != "category" and field.minimum is not None:
            assert values.min() >= field.minimum, field.name
            assert values.max() <= field.maximum, field.name


def test_a_reading_outside_its_limits_counts_as_missing() -> None:
    whole, cut = (
        DATA.flights({"wind_speed": limits})["wind_speed"] for limits in ((0, 120), (5, 20))
    )
    assert whole.max() > 20
    assert cut.max() <= 20
    assert cut.min() >= 5
    assert cut.isna().sum() == whole.isna().sum() + (~whole.dropna().between(5, 20)).sum()


def test_the_example_can_be_encoded() -> None:
    (row,) = Encoder(flight_columns()).rows([CONTRACT.example]).tolist()
    named = dict(zip([column["name"] for column in flight_columns()], row, strict=True))
    assert named["day_of_week"] == 6  # 17 November 2013, a Sunday
    assert named["minute_of_day"] == 18 * 60 + 1
    assert named["dest_latitude"] == pytest.approx(41.98, abs=0.01)
    assert named["wind_gust"] != named["wind_gust"], "a missing field becomes NaN"
