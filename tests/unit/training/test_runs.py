"""`python -m training`: which models, with which settings, and what is kept of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pulumi
import pytest
from onnx import helper
from training import fit, runs
from training.interface import BadSetting
from training.runs import NotTrained
from training.store import ModelStore

from config.model_contract import model_definition
from config.model_store import model_folders
from tests.model_folders import modules
from tests.onnx_models import model
from tests.processes import becomes

ROOT = Path(__file__).resolve().parents[3]
IMAGE = f"a/b@sha256:{'00' * 32}"
FLIGHTS = model_definition(ROOT / "models" / "flight-delay")


def start_training(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambda")])}
    return subprocess.Popen(
        [sys.executable, "-m", "training", "train", *arguments],
        env={**os.environ, **path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(*arguments: str) -> str:
    process = start_training(*arguments)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == ""
    return errors


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of the form of the flight model, whose training takes no time."""
    folder = tmp_path / "models" / "flight-delay"
    folder.mkdir(parents=True)
    shutil.copy(FLIGHTS.folder / "model.toml", folder)
    (tmp_path / "model.onnx").write_bytes(model().SerializeToString())
    (folder / "data.py").write_text("def load(contract):\n    return 1\n")
    (folder / "train.py").write_text(
        "from pathlib import Path\n"
        "from training.interface import Trained\n"
        "def train(data, contract, settings):\n"
        f"    model = Path({str(tmp_path / 'model.onnx')!r}).read_bytes()\n"
        "    return Trained(model=model, metrics={'auc': 0.5}, baseline={'model': 'always late', 'auc': 0.25, 'by_month': {}}, card={'months': settings['months']})\n"
    )
    monkeypatch.setattr(runs, "MODELS", folder.parent)
    return folder


def test_a_folder_is_trained_checked_kept_and_found_again(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = ModelStore(tmp_path / "store")
    version = runs.train("flight-delay", store, {}, promote=None)
    assert store.champion("flight-delay") == version
    card = store.card("flight-delay", version)
    assert card["holdout"] == {"auc": 0.5}
    assert card["question"] == FLIGHTS.document["question"]
    said = capfd.readouterr().err
    assert "on data that it has not seen: auc 0.5" in said
    assert "always late: auc 0.25\n" in said, "the baseline, without its tables"
    assert f"card: {store.root}/flight-delay/{version}/card.json" in said
    assert f"{version[:12]} is the champion of flight-delay" in said
    assert "TODO" not in said
    (folder / "train.py").write_text((folder / "train.py").read_text() + "# another line\n")
    assert runs.train("flight-delay", store, {}, promote=None) == version
    assert "already" not in capfd.readouterr().err, "other code is trained again"
    assert runs.train("flight-delay", store, {}, promote=None) == version
    assert "There is this version of flight-delay already" in capfd.readouterr().err


def test_a_second_version_says_both_ways_to_serve_it(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = ModelStore(tmp_path / "store")
    first = runs.train("flight-delay", store, {}, promote=None)
    (tmp_path / "model.onnx").write_bytes(
        model(before=[helper.make_node("Cos", ["known"], ["c"])]).SerializeToString()
    )
    (folder / "train.py").write_text((folder / "train.py").read_text() + "# other\n")
    capfd.readouterr()
    second = runs.train("flight-delay", store, {}, promote=None)
    said = capfd.readouterr().err
    assert f"The champion of flight-delay is still {first[:12]}." in said
    assert "with the same settings:\n  make train MODEL=flight-delay PROMOTE=1\n" in said
    assert f'below triplane:models:\n    flight-delay: "{second[:12]}"\n' in said
    assert runs.train("flight-delay", store, {}, promote=True) == second
    assert f"{second[:12]} is the champion of flight-delay" in capfd.readouterr().err


def test_a_version_that_was_removed_is_trained_again(folder: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    version = runs.train("flight-delay", store, {}, promote=None)
    shutil.rmtree(store.root / "flight-delay" / version)
    assert runs.train("flight-delay", store, {}, promote=None) == version
    assert store.is_intact("flight-delay", version)


def test_a_model_that_contradicts_its_contract_is_not_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(model(classes=10).SerializeToString())
    store = ModelStore(tmp_path / "store")
    with pytest.raises(
        NotTrained, match=r"(?s)does not fit models/flight-delay/model\.toml.*outputs"
    ) as refused:
        runs.train("flight-delay", store, {}, promote=None)
    assert "make train" not in str(refused.value), "it was"
    assert [each for each in store.root.rglob("*") if each.is_file()] == []


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("train.py", None, "models/flight-delay/train.py: there is none"),
        ("data.py", None, "models/flight-delay/data.py: there is none"),
        ("train.py", "def fit(): ...", "models/flight-delay/train.py: it has no function train"),
        ("train.py", "def train(a, b, c): return b''", "train returned bytes"),
        ("train.py", "from training.interface import Trained\ndef train(a, b, c): return Trained(model=b'', metrics={'auc': float('nan')})", "have to be JSON"),
        ("train.py", "from training.interface import BadSetting\ndef train(a, b, c): raise BadSetting('months', 13, 'too many.')", "months=13: too many."),
        ("train.py", "from training.interface import DoesNotFit\ndef train(a, b, c): raise DoesNotFit('it has 3 classes')", "models/flight-delay/train.py and model.toml do not fit together: it has 3 classes."),
        ("train.py", "def train(a, b, c): return 1 / 0", "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_code_that_does_not_keep_the_interface_is_named(
    folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    file: str,
    text: str,
    words: str,
) -> None:
    (folder / file).unlink()
    if text:
        (folder / file).write_text(text)
    with pytest.raises(NotTrained, match="reason is above"):
        runs.train("flight-delay", ModelStore(tmp_path / "store"), {}, promote=None)
    assert words in capfd.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_model_with_packages_of_its_own_is_trained_where_only_they_are(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "ENVIRONMENTS", tmp_path / "environments")
    (folder / "requirements.txt").write_text("# none\n")
    code = (folder / "train.py").read_text()
    (folder / "train.py").write_text(
        "import importlib.util\nassert not importlib.util.find_spec('numpy')\n" + code
    )
    store = ModelStore(tmp_path / "store")
    version = runs.train("flight-delay", store, {}, promote=None)
    assert "numpy" not in store.card("flight-delay", version)["libraries"]
    assert "Installing models/flight-delay/requirements.txt" in capfd.readouterr().err
    runs.train("flight-delay", store, {}, promote=None)
    assert "Installing" not in capfd.readouterr().err, "the environment is kept"
    (folder / "requirements.txt").write_text("./no-such-folder\n")
    with pytest.raises(NotTrained, match=r"requirements\.txt: its packages could not be installed"):
        runs.train("flight-delay", store, {}, promote=None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_ends_with_the_command_that_is_killed(
    folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    begun = tmp_path / "begun"
    (folder / "data.py").write_text(
        "import os, pathlib, time\n"
        "def load(contract):\n"
        f"    pathlib.Path({str(begun)!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(300)\n"
    )
    code = (
        "from pathlib import Path\n"
        "from training import runs\n"
        "from training.store import ModelStore\n"
        f"runs.MODELS = Path({str(folder.parent)!r})\n"
        f"runs.train('flight-delay', ModelStore(Path({str(tmp_path / 'store')!r})), {{}}, promote=None)\n"
    )
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambda")])}
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **path}) as command:
        assert becomes(lambda: begun.exists() and begun.read_text(), 60)
        command.send_signal(number)
    assert becomes(lambda: not psutil.pid_exists(int(begun.read_text())), 10)


def test_an_unknown_model_is_refused_with_the_list_and_the_nearest_name() -> None:
    message = refusal("--model", "flight-dely")
    assert "MODEL=flight-dely: no such model. Did you mean flight-delay?" in message
    assert f"There are: {', '.join(model_folders())}." in message
    assert "make model NAME=flight-dely" in message
    assert "Nothing was trained." in message


@pytest.mark.parametrize("months", ["10-12", "0-3", "5-2", "1-10", "june", "3"])
def test_months_outside_the_training_part_of_the_year_are_refused(months: str) -> None:
    _, train = modules("flight-delay")
    with pytest.raises(BadSetting, match=rf"months={months}: .*Allowed: 1-1 to 1-9, such as 1-6"):
        train.months({"months": months})


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("monts=1-6", "monts=1-6: the model flight-delay has no such setting in [training]. Did you mean months?"),
        ("1-6", "1-6 is no setting"),
        ("months=1-2 months=1-3", "months is written twice"),
    ],
)  # fmt: skip
def test_a_setting_that_the_model_does_not_have_is_refused(written: str, words: str) -> None:
    assert words in refusal("--model", "flight-delay", "--set", written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{triplane:cloud: aws}", ["flight-delay"]),
        ("{triplane:models: {digits: champion, arrival-delay: {version: champion}}}", ["digits", "arrival-delay"]),
        ("{triplane:models: {arrival-delay: champion, digits: {image: '" + IMAGE + "'}}}", ["arrival-delay"]),
    ],
)  # fmt: skip
def test_without_a_name_the_models_of_the_stack_file_are_trained(
    written: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(f"config: {written}\n")
    monkeypatch.setattr(runs, "HOME", tmp_path)
    assert runs.names("") == expected


def test_a_model_of_the_stack_file_without_a_folder_is_named_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {triplane:models: {digit: champion}}\n")
    monkeypatch.setattr(runs, "HOME", tmp_path)
    with pytest.raises(
        NotTrained, match=r"triplane:models\.digit: no such model\. Did you mean digits"
    ):
        runs.names("")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{triplane:models: {digits: {endpont: small}}}", "Did you mean triplane:models.digits.endpoint?"),
        ("{triplane:model: champion}", "It is triplane:models now"),
        ("{triplane:modles: {digits: champion}}", "Did you mean triplane:models?"),
        ("{triplane:models: [digits]}", "A mapping is needed"),
        ("{triplane:models: {predict: champion}}", "no name of a model"),
        ("{triplane:models: {digits: champoin}}", "Allowed: champion, or a version's SHA-256"),
        ("{triplane:models: {digits: champion, digits: null}}", "It is written several times"),
    ],
)  # fmt: skip
def test_a_training_of_the_stack_files_models_reports_what_is_wrong_with_them_as_the_settings_do(
    written: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(f"config: {written}\n")
    monkeypatch.setattr(runs, "HOME", tmp_path)
    with pytest.raises(pulumi.RunError, match=r"Pulumi\.dev\.yaml: a setting is wrong") as raised:
        runs.names("")
    assert words in str(raised.value)


def test_a_name_that_no_model_may_have_is_not_offered_for_a_new_one() -> None:
    with pytest.raises(NotTrained, match=r"Did you mean flight-delay\?") as raised:
        runs.names("flight_delay")
    assert "make model" not in str(raised.value)


def test_settings_have_the_type_of_their_defaults() -> None:
    definition = model_definition(ROOT / "models" / "digits")
    assert runs.chosen_settings(definition, {"seed": "7"})["seed"] == 7
    with pytest.raises(NotTrained, match="seed=x: a whole number is needed"):
        runs.chosen_settings(definition, {"seed": "x"})
    assert runs.written_settings("a=1 b=x=y", "1-6") == {"months": "1-6", "a": "1", "b": "x=y"}


def test_each_part_of_a_recipe_makes_another_one(folder: Path) -> None:
    contract, settings = dict(FLIGHTS.document), {"months": "1-6"}
    recipe = fit.recipe(folder, contract, settings, "data")
    assert recipe == fit.recipe(folder, contract, settings, "data")
    others = {
        fit.recipe(folder, {**contract, "title": "x"}, settings, "data"),
        fit.recipe(folder, contract, {"months": "1-9"}, "data"),
        fit.recipe(folder, contract, settings, "other data"),
    }
    (folder / "notes.csv").write_text("1")
    others.add(fit.recipe(folder, contract, settings, "data"))
    (folder / "README.md").write_text("words")
    others.add(fit.recipe(folder, contract, settings, "data"))
    assert len(others | {recipe}) == 5, "a README changes nothing"


def test_the_code_in_a_card_does_not_depend_on_the_depth_of_the_clone(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True)

    def named(clone: str) -> str | None:
        return fit.code_version(tmp_path / clone / "code")

    (tmp_path / "full/code").mkdir(parents=True)
    git("init", "--quiet", "full")
    for file in ("code/train.py", "README.md"):
        (tmp_path / "full" / file).write_text("first")
        git("-C", "full", "add", file)
        git("-C", "full", "commit", "--quiet", "-m", file)
        whole = (tmp_path / "full").as_uri()
        git("clone", "--quiet", "--depth=1", whole, f"after-{Path(file).stem}")
    assert named("full")
    assert named("after-train") == named("after-README") == named("full")
    (tmp_path / "full/code/train.py").write_text("second")
    assert named("full") == f"{named('after-train')}+changes"
