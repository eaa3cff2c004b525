"""The digits: one training, held against its card, its contract and the model server."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import onnx
import pytest
from model_server.model import Model
from PIL import Image
from training.interface import Trained

from config.model_contract import canonical_json
from tests.model_folders import contract, modules

NAME = "digits"
CONTRACT = contract(NAME)
DATA, TRAIN = modules(NAME)


@pytest.fixture(scope="module")
def trained() -> Trained:
    found = TRAIN.train(DATA.load(CONTRACT), CONTRACT, {"seed": 0})
    assert isinstance(found, Trained)
    return found


@pytest.fixture(scope="module")
def model(trained: Trained) -> Model:
    """As the model server loads it."""
    return Model(trained.model, canonical_json(CONTRACT.document))


def picture(pixels: np.ndarray, form: str = "PNG") -> str:  # type: ignore[type-arg]
    """Dark on light, in base64."""
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, form)
    return base64.b64encode(content.getvalue()).decode()


def test_the_digits_are_read_better_than_by_the_simplest_model(trained: Trained) -> None:
    assert trained.metrics["accuracy"] > 0.94 > trained.baseline["accuracy"] > 0.9
    assert trained.metrics["log_loss"] < 0.25 < trained.baseline["log_loss"]
    assert sum(map(sum, trained.metrics["confusion"])) == 450
    json.dumps(trained.card)


def test_the_example_is_the_seven_that_its_comment_says(model: Model) -> None:
    (answer,) = model.predictions([CONTRACT.example])
    assert answer["digit"] == "7"
    assert next(each["label"] for each in answer["best"]) == "7"
    assert len(answer["best"]) == 3


def test_pictures_of_the_test_set_are_read_as_well_by_the_server(model: Model) -> None:
    """Through PNG, the server's scaling and the contract's `inverted`, which training does not use."""
    known = DATA.load(CONTRACT)
    pictures = [{"image": picture(np.rint(255 - each * 255 / 16))} for each in known.images[-100:]]
    answers = model.predictions(pictures)
    right = [
        int(each["digit"]) == digit for each, digit in zip(answers, known.digit[-100:], strict=True)
    ]
    assert sum(right) >= 93


def test_a_large_drawing_is_read(model: Model) -> None:
    """A one, drawn with a thick pen on a pad of 280 pixels."""
    pad = np.full((280, 280), 255)
    pad[20:260, 120:170] = 0
    (answer,) = model.predictions([{"image": picture(pad)}])
    assert answer["digit"] == "1"


def test_the_bytes_do_not_depend_on_the_order_of_a_set(trained: Trained) -> None:
    domains = [each.domain for each in onnx.load_model_from_string(trained.model).opset_import]
    assert domains == sorted(domains)
