"""The arrival delay: a training on January, held against its card, its contract and the model server."""

from __future__ import annotations

import onnx
import pandas as pd
import pytest
from model_server.model import Model
from threadpoolctl import threadpool_limits
from training.interface import BadSetting, Trained

from config.model_contract import canonical_json
from tests.model_folders import contract, modules

NAME = "arrival-delay"
CONTRACT = contract(NAME)
DATA, TRAIN = modules(NAME)


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    found: pd.DataFrame = DATA.load(CONTRACT)
    return found


@pytest.fixture(scope="module")
def trained(flights: pd.DataFrame) -> Trained:
    with threadpool_limits(
        1
    ):  # beside other tests, threads that wait for each other take most of the time
        found = TRAIN.train(flights, CONTRACT, {"months": "1-1"})
    assert isinstance(found, Trained)
    return found


def test_every_flight_that_arrived_fits_the_contract(flights: pd.DataFrame) -> None:
    assert len(flights) == 327346
    for field in CONTRACT.fields.values():
        values = flights[field.name]
        if field.type == "category":
            assert set(values) <= set(field.values), field.name
        elif field.type != "time":
            assert values.min() >= field.minimum, field.name
            assert values.max() <= field.maximum, field.name


def test_the_card_says_the_baseline_and_the_difference_from_scikit_learn(trained: Trained) -> None:
    assert set(trained.metrics) == {"mae", "rmse", "r2"} == set(trained.baseline) - {"model"}
    assert 0.7 < trained.metrics["r2"] < 0.9
    assert trained.card["largest_difference_from_scikit_learn"] < 0.05
    assert trained.card["data"]["training_rows"] == 26398


def test_a_later_departure_is_a_later_arrival_and_distance_may_be_left_out(
    trained: Trained,
) -> None:
    model = Model(trained.model, canonical_json(CONTRACT.document))
    late = {**CONTRACT.example, "departure_delay": 119}
    bare = {name: value for name, value in late.items() if name != "distance"}
    answers = [each["delay"] for each in model.predictions([CONTRACT.example, late, bare])]
    assert answers[1] - answers[0] == pytest.approx(120, abs=15)
    assert answers[2] == pytest.approx(answers[1], abs=15)


@pytest.mark.parametrize("months", ["10-12", "5-2", "june"])
def test_months_outside_the_training_part_of_the_year_are_refused(
    flights: pd.DataFrame, months: str
) -> None:
    with pytest.raises(BadSetting, match="Allowed: 1-1 to 1-9"):
        TRAIN.train(flights, CONTRACT, {"months": months})


def test_the_bytes_do_not_depend_on_the_order_of_a_set(trained: Trained) -> None:
    domains = [each.domain for each in onnx.load_model_from_string(trained.model).opset_import]
    assert domains == sorted(domains)
