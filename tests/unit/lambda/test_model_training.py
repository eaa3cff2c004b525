"""Training, the request contract and the model store."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from model_server import data, recipe, schema, train
from model_server.encoder import Encoder
from model_server.store import NAME, ModelStore, archive

LAMBDA = Path(schema.__file__).resolve().parent.parent
MODEL = b"any bytes: the store does not read them"
VERSION = hashlib.sha256(MODEL).hexdigest()


def start_training(store: Path, **environment: str) -> subprocess.Popen[str]:
    """Training on January, the fastest training, in a separate process."""
    return subprocess.Popen(
        [sys.executable, "-m", "model_server", "train", "--months", "1-1", "--store", str(store)],
        env={**os.environ, "PYTHONPATH": str(LAMBDA), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_same_data_and_code_give_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    runs = [
        start_training(tmp_path / "one", PYTHONHASHSEED="1", OMP_NUM_THREADS="1"),
        start_training(tmp_path / "two", PYTHONHASHSEED="2", OMP_NUM_THREADS="2"),
    ]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    one, two = (output.strip() for output, _ in outputs)
    assert one == two
    folders = [tmp_path / name / NAME / one for name in ("one", "two")]
    for name in ("model.onnx", "model.tar.gz", "card.json"):
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second, name
    card = json.loads((folders[0] / "card.json").read_text())
    assert card["version"] == one
    assert card["largest_difference_from_scikit_learn"] <= train.TOLERANCE
    assert card["data"]["training_rows"] == 26398
    assert card["holdout"]["auc"] > 0.6

    again, progress = start_training(tmp_path / "one").communicate(timeout=120)
    assert again.strip() == one
    assert progress.startswith("There is this version already: months 1-1"), (
        "it is not trained again"
    )
    assert "Training" not in progress


@pytest.mark.parametrize("months", ["10-12", "0-3", "5-2", "1-10", "june", "3"])
def test_months_outside_the_training_part_of_the_year_are_refused(months: str) -> None:
    command = [sys.executable, "-m", "model_server", "train", "--months", months]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(LAMBDA)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"MONTHS={months}: " in done.stderr
    assert "Allowed: 1-1 to 1-9, such as MONTHS=1-6" in done.stderr
    assert "Nothing was trained." in done.stderr


def test_an_unknown_model_is_refused_with_the_list() -> None:
    command = [sys.executable, "-m", "model_server", "train", "--model", "churn", "--months", ""]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(LAMBDA)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "MODEL=churn: no such model. There are: flight-delay." in done.stderr


def test_other_months_are_another_recipe() -> None:
    assert recipe.recipe((1, 6)) == recipe.recipe((1, 6)) != recipe.recipe((1, 9))


def test_the_contract_file_is_current() -> None:
    assert schema.FILE.read_text(encoding="utf-8") == schema.render(schema.build()), (
        "write it again: PYTHONPATH=lambda python -m model_server.schema --write"
    )


def test_every_flight_that_arrived_fits_the_contract() -> None:
    flights = data.flights(schema.LIMITS)
    flights = flights[flights["arr_delay"].notna()]
    assert len(flights) == 327346
    for field in schema.load()["fields"]:
        values = flights[field["name"]].dropna()
        if field["type"] == "category":
            assert set(values) == set(field["values"]), field["name"]
        else:
            assert values.min() >= field["minimum"], field["name"]
            assert values.max() <= field["maximum"], field["name"]


def test_a_reading_outside_its_limits_counts_as_missing() -> None:
    whole, cut = (
        data.flights({"wind_speed": limits})["wind_speed"] for limits in ((0, 120), (5, 20))
    )
    assert whole.max() > 20
    assert cut.max() <= 20
    assert cut.min() >= 5
    assert cut.isna().sum() == whole.isna().sum() + (~whole.dropna().between(5, 20)).sum()


def test_the_example_can_be_encoded() -> None:
    (row,) = Encoder(train.columns()).rows([schema.load()["example"]]).tolist()
    named = dict(zip([column["name"] for column in train.columns()], row, strict=True))
    assert named["day_of_week"] == 6  # 17 November 2013, a Sunday
    assert named["minute_of_day"] == 18 * 60 + 1
    assert named["dest_latitude"] == pytest.approx(41.98, abs=0.01)
    assert named["wind_gust"] != named["wind_gust"], "a missing field becomes NaN"


def test_a_version_is_added_completely_and_found_by_its_recipe(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.trained("recipe") is None
    assert store.add(MODEL, {"auc": 0.7}, "recipe") == VERSION
    assert store.trained("recipe") == VERSION
    assert [file.name for file in (tmp_path / NAME).iterdir()] == [VERSION], "and nothing else"
    card = json.loads((tmp_path / NAME / VERSION / "card.json").read_text())
    assert card == {"name": NAME, "version": VERSION, "auc": 0.7}


def test_the_code_in_a_card_does_not_depend_on_the_depth_of_the_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True)

    def named(clone: str) -> str | None:
        monkeypatch.setattr(train, "__file__", str(tmp_path / clone / "code/train.py"))
        return train.code_version()

    (tmp_path / "full/code").mkdir(parents=True)
    git("init", "--quiet", "full")
    for file in ("code/train.py", "README.md"):
        (tmp_path / "full" / file).write_text("first")
        git("-C", "full", "add", file)
        git("-C", "full", "commit", "--quiet", "-m", file)
        git(
            "clone",
            "--quiet",
            "--depth=1",
            (tmp_path / "full").as_uri(),
            f"after-{Path(file).stem}",
        )
    assert named("full")
    assert named("after-train") == named("after-README") == named("full")
    (tmp_path / "full/code/train.py").write_text("second")
    assert named("full") == f"{named('after-train')}+changes"


def test_a_card_is_never_rewritten(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.add(MODEL, {"git_tree": "first"}, "recipe")
    store.add(MODEL, {"git_tree": "second"}, "other recipe")
    card = json.loads((tmp_path / NAME / VERSION / "card.json").read_text())
    assert card["git_tree"] == "first"


def test_a_damaged_version_counts_as_missing_and_can_be_added_again(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.add(MODEL, {}, "recipe")
    store.promote(VERSION)
    file = tmp_path / NAME / VERSION / "model.onnx"
    file.write_bytes(MODEL[:10])
    assert store.trained("recipe") is None
    assert store.champion is None
    store.add(MODEL, {}, "recipe")
    assert file.read_bytes() == MODEL
    assert store.champion == VERSION


def test_the_archive_has_only_the_model_and_no_time() -> None:
    packed = archive(MODEL)
    assert packed == archive(MODEL)
    assert packed[4:8] == b"\0\0\0\0", "the time in the header of gzip"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        (entry,) = tar.getmembers()
        assert (entry.name, entry.mtime, entry.uname) == ("model.onnx", 0, "")
        content = tar.extractfile(entry)
        assert content is not None
        assert content.read() == MODEL
