"""The settings: each file in tests/configs gives what its name says, and no input gives a traceback.

`# says:` lines in these files are sentences of the error message, `# never says:` lines must not be in it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config import model_store
from config.catalogue import CATALOGUE
from config.clouds import CLOUD_NAMES
from config.model_store import MODEL
from config.schema import all_settings
from config.sections import Section
from config.stack_file import StackFile
from config.validation import config_of_file, config_of_values
from tests.soak.stack_files import engine_values
from tools import settings_table

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted((ROOT / "tests" / "configs").glob("*.yaml"))
VERSIONS = ("ab" * 32, "abcd" * 16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with two versions of one model, the first of which is the champion, and one of three others."""
    store = tmp_path_factory.mktemp("models")
    stored = {MODEL: VERSIONS, "digits": ("d1" * 32,), "churn": ("c4" * 32,)}
    for model, versions in {**stored, "arrival-delay": ("12345678" * 8,)}.items():
        for version in versions:
            folder = store / model / version
            folder.mkdir(parents=True)
            for file in ("card.json", "version.txt"):
                (folder / file).write_text("{}")
        (store / model / "champion").write_text(versions[0])
    return store


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_file_is_valid_or_gives_the_errors_that_it_lists(file: Path, store: Path) -> None:
    text = file.read_text()
    cloud, outcome, _ = file.stem.split(".")
    if outcome == "ok":
        assert config_of_file(StackFile(file.name, text), store).cloud == cloud
        return
    with pytest.raises(pulumi.RunError) as raised:
        config_of_file(StackFile(file.name, text), store)
    message = str(raised.value)
    assert message.startswith(file.name), "a message names the file first"
    for sentence in re.findall(r"^# says: (.*)$", text, re.MULTILINE):
        assert sentence in message
    for secret in re.findall(r"^# never says: (.*)$", text, re.MULTILINE):
        assert secret not in message
    if not re.search(r"says: \d settings", text) and "not-yaml" not in file.name:
        assert "a setting is wrong" in message, f"one error, reported once:\n{message}"


TAG_LIMITS = {"aws": (127, 255, 46), "gcp": (63, 63, 59), "azure": (128, 256, 46)}
"""The longest key, the longest value and the most tags that every resource type of a cloud allows."""


@pytest.mark.parametrize("cloud", TAG_LIMITS)
def test_tags_are_limited_by_the_strictest_resource_type_of_a_cloud(
    cloud: str, store: Path
) -> None:
    key, value, most = TAG_LIMITS[cloud]

    def allowed(tags: dict[str, str]) -> bool:
        raw = {**worked_example(), "triplane:cloud": cloud, "triplane:tags": json.dumps(tags)}
        try:
            config_of_values(raw, "Pulumi.dev.yaml", store=store)
        except pulumi.RunError:
            return False
        return True

    assert allowed({"k" * key: "v" * value})
    assert not allowed({"k" * (key + 1): ""})
    assert not allowed({"k": "v" * (value + 1)})
    assert allowed({f"k{number}": "" for number in range(most)})
    assert not allowed({f"k{number}": "" for number in range(most + 1)})


@pytest.mark.parametrize(
    "text",
    [
        *("1", "text", "- 1", "config: 1", "config: text", "config: &a [*a]"),
        *("config: {1: {2: 3}}", "config: {~: [~]}", "config: {2026-13-40: a}"),
        "config: {triplane:tags: {2026-11-22: a}}",
        "config: {triplane:lake: {1: 2}, true: off, 1.5: {secure: x}}",
    ],
)
def test_yaml_of_any_shape_gives_a_message_that_names_the_file(text: str, store: Path) -> None:
    with pytest.raises(pulumi.RunError, match=r"^Pulumi\.dev\.yaml"):
        config_of_file(StackFile("Pulumi.dev.yaml", text), store)


def worked_example() -> dict[str, str]:
    return engine_values(StackFile.read(ROOT / "Pulumi.dev.yaml").settings)


@pytest.mark.parametrize(
    ("cloud", "region", "project", "machine"),
    [
        ("aws", "eu-west-1", None, "serverless"),
        ("gcp", "europe-west1", "triplane-dev", "n1-standard-2"),
        ("azure", "westeurope", None, "Standard_DS3_v2"),
    ],
)
def test_one_changed_word_moves_the_worked_example_to_another_cloud(
    cloud: str, region: str, project: str | None, machine: str, store: Path
) -> None:
    config = config_of_values(
        {**worked_example(), "triplane:cloud": cloud}, "Pulumi.dev.yaml", store=store
    )
    (endpoint,) = config.endpoints
    assert (config.region, config.project, endpoint.machine) == (region, project, machine)
    assert not config.keep_data
    assert endpoint.served.version == VERSIONS[0]


def test_the_beginning_of_a_version_is_enough_to_name_it(store: Path) -> None:
    config = config_of_values(
        {**worked_example(), "triplane:models": '{"flight-delay": "abcdabcd"}'},
        "Pulumi.dev.yaml",
        store=store,
    )
    (artifact,) = config.artifacts
    assert artifact.version == VERSIONS[1]
    assert artifact.directory == store / "flight-delay" / VERSIONS[1]


def test_with_an_empty_model_store_the_message_says_how_to_train(tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError, match="make train"):
        config_of_values(worked_example(), "Pulumi.dev.yaml", store=tmp_path)


def test_without_a_champion_the_message_says_how_to_choose_one(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path, dirs_exist_ok=True)
    (tmp_path / MODEL / "champion").unlink()
    with pytest.raises(pulumi.RunError) as raised:
        config_of_values(worked_example(), "Pulumi.dev.yaml", store=tmp_path)
    message = str(raised.value)
    assert "No champion is chosen" in message
    assert "Do: make train MODEL=flight-delay, or name a version here" in message
    assert VERSIONS[0][:12] in message, "a version can be named instead"
    assert "No such model version" not in message


def test_a_version_of_an_earlier_release_is_named_and_the_way_to_train_another(
    store: Path, tmp_path: Path
) -> None:
    """Its version was the hash of the model alone, and nothing said what its fields are."""
    shutil.copytree(store, tmp_path, dirs_exist_ok=True)
    (tmp_path / MODEL / VERSIONS[0] / "version.txt").unlink()
    with pytest.raises(
        pulumi.RunError, match=r"champion abababababab is of an earlier release.*PROMOTE=1"
    ):
        config_of_values(worked_example(), "Pulumi.dev.yaml", store=tmp_path)
    (tmp_path / MODEL / VERSIONS[1] / "version.txt").unlink()
    with pytest.raises(
        pulumi.RunError, match=r"are of an earlier release.*make train MODEL=flight-delay"
    ):
        config_of_values(worked_example(), "Pulumi.dev.yaml", store=tmp_path)


@pytest.mark.parametrize(
    "key", ["triplane:modles", "triplane:model", "tripalne:models", "triplane:models.digits"]
)
def test_a_misspelt_key_of_the_models_is_the_one_error_and_not_the_default_that_nobody_wrote(
    key: str, tmp_path: Path
) -> None:
    values = {k: v for k, v in worked_example().items() if k != "triplane:models"}
    with pytest.raises(pulumi.RunError, match="a setting is wrong") as raised:
        config_of_values({**values, key: "champion"}, "Pulumi.dev.yaml", store=tmp_path)
    assert f"  {key}: champion" in str(raised.value)
    assert "has no version of" not in str(raised.value)


def test_training_is_offered_only_for_a_model_with_a_folder_and_a_contract(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_store, "MODELS", tmp_path)
    (tmp_path / "mine").mkdir()

    def message(models: str) -> str:
        values = {**worked_example(), "triplane:models": models}
        with pytest.raises(pulumi.RunError) as raised:
            config_of_values(values, "Pulumi.dev.yaml", store=store)
        return str(raised.value)

    text = message('{"mine": "champion"}')
    assert "triplane:models.mine.version: champion" in text
    assert "models/mine/ has no model.toml. docs/reference/model-contract.md says what" in text
    assert "make" not in text, "`make model` leaves an existing folder alone"
    text = message('{"mien": "champion"}')
    assert "There is no folder models/mien/. Did you mean mine?" in text
    assert text.index("Did you mean mine?") < text.index("make model NAME=mien")
    assert "make train" not in text
    assert "make train" not in message('{"digits": "12345678"}'), "it came from a lake"
    (tmp_path / "mine" / "model.toml").touch()
    assert message('{"mine": "champion"}').count("Do: make train MODEL=mine") == 1


def test_models_share_an_endpoint_and_its_capacity_and_the_others_have_the_defaults(
    store: Path,
) -> None:
    models = {
        "flight-delay": {"endpoint": "small", "machine": {"azure": "Standard_DS2_v2"}},
        "digits": {"endpoint": "small", "min_instances": 2},
        "churn": "champion",
    }
    raw = {**worked_example(), "triplane:cloud": "azure", "triplane:models": json.dumps(models)}
    own, shared = config_of_values(raw, "Pulumi.dev.yaml", store=store).endpoints
    assert (own.name, own.machine, own.min_instances) == ("churn", "Standard_DS3_v2", 1)
    assert own.served == own.models[0]
    assert (shared.name, shared.machine, shared.min_instances) == ("small", "Standard_DS2_v2", 2)
    assert [each.name for each in shared.models] == ["digits", "flight-delay"]
    lines = f"digits {'d1' * 32}\nflight-delay {VERSIONS[0]}\n"
    assert shared.served.version == hashlib.sha256(lines.encode()).hexdigest()


def test_the_version_of_an_own_image_follows_from_its_contract_and_its_digest(store: Path) -> None:
    def version(digest: str) -> str:
        image = f"registry.example.com/own@sha256:{digest * 32}"
        models = {"triplane:models": json.dumps({MODEL: {"image": image}})}
        config = config_of_values({**worked_example(), **models}, "Pulumi.dev.yaml", store=store)
        (artifact,) = config.artifacts
        assert artifact.directory == store / MODEL / artifact.version
        contract = hashlib.sha256(artifact.contract).hexdigest()
        text = f"{contract}  contract.json\nsha256:{digest * 32}  image\n"
        assert artifact.version == hashlib.sha256(text.encode()).hexdigest()
        return artifact.version

    assert version("0f") != version("1f")


def test_validated_settings_are_immutable(store: Path) -> None:
    config = config_of_values(worked_example(), "Pulumi.dev.yaml", store=store)
    with pytest.raises(ValueError, match="frozen"):
        config.endpoint.max_instances = 9


def test_the_defaults_keep_the_data_and_require_a_key(store: Path) -> None:
    config = config_of_values(
        {"triplane:cloud": "aws", "aws:region": "eu-west-1"}, "Pulumi.prod.yaml", store=store
    )
    assert config.keep_data
    assert config.gateway.access == "key"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3)
    ),
    max_leaves=8,
)
setting_keys = st.sampled_from(
    [
        f"triplane:{name}"
        for name in ("cloud", "environment", "models", "machine", "endpoint", "gateway")
    ]
    + ["triplane:lake", "triplane:tags", "triplane:keep_data", "gcp:project", "aws:region"]
    + ["gcp:region", "azure-native:location"]
)


def test_the_page_of_the_settings_quotes_the_programs_own_message(store: Path) -> None:
    written = {"triplane:cloud": "awz", "triplane:gateway": {"acces": "key"}}
    raw = engine_values({**worked_example(), **written})
    with pytest.raises(pulumi.RunError) as raised:
        config_of_values(raw, "Pulumi.dev.yaml", store=store)
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert str(raised.value).strip() in page


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["aws", "gcp", "azure"]),
    st.dictionaries(
        setting_keys | st.text(max_size=30).map("triplane:{}".format) | st.text(),
        values,
        max_size=6,
    ),
)
def test_any_values_give_settings_or_a_message_and_never_a_traceback(
    store: Path, cloud: str, written: dict[str, Any]
) -> None:
    raw = engine_values({**worked_example(), "triplane:cloud": cloud, **written})
    try:
        config_of_values(raw, "Pulumi.dev.yaml", store=store)
    except pulumi.RunError as error:
        assert str(error).startswith("Pulumi.dev.yaml: ")  # noqa: PT017  # not raising is fine too


def test_pulumi_yaml_declares_the_same_settings_as_the_schema() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    expected = {
        key.removeprefix("triplane:"): (default, description)
        for key, default, description in all_settings()
        if key.startswith("triplane:") and "." not in key
    }
    assert list(declared) == list(expected)
    for name, (default, description) in expected.items():
        if isinstance(default, Section):
            default = default.model_dump()
        assert declared[name]["default"] == (default if default is not None else "")
        assert declared[name]["description"] == description
        assert "type" not in declared[name], "the engine's error names neither file nor way out"


@pytest.mark.parametrize(
    ("word", "kept"), [("no", False), ("off", False), ("false", False), ("yes", True), ("on", True)]
)
def test_the_words_of_yaml_1_1_mean_the_same_in_a_file_and_from_the_engine(
    word: str, kept: bool, store: Path
) -> None:
    text = (
        f"config:\n  triplane:cloud: aws\n  aws:region: eu-west-1\n  triplane:keep_data: {word}\n"
    )
    from_file = config_of_file(StackFile("Pulumi.dev.yaml", text), store)
    raw = {"triplane:cloud": "aws", "aws:region": "eu-west-1", "triplane:keep_data": word}
    from_engine = config_of_values(raw, "Pulumi.dev.yaml", store=store)
    assert from_file.keep_data is from_engine.keep_data is kept


def test_the_settings_page_lists_the_settings_of_the_schema() -> None:
    page = settings_table.PAGE.read_text()
    assert page == settings_table.page_with_current_table(page), "run `make format`"


def test_no_region_or_machine_belongs_to_two_clouds() -> None:
    for table in ("regions", "machines"):
        listed = [entry for cloud in CLOUD_NAMES for entry in CATALOGUE[cloud][table]]
        assert len(listed) == len(set(listed))
