"""What a backup holds besides the data, and what `make restore` refuses, with folders in place of lakes."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.model_contract import version_of, version_text
from operations import terminal
from operations.commands import backup as command
from operations.commands import model_versions
from operations.data.folder_lake import FolderLake
from operations.data.state_copy import write_state_copy
from operations.engine.state_signature import SIGNATURE
from operations.recovery import copy_signature, kept_key

SERVED, OTHER = "8" * 64, "5" * 64


def state_of(name: str, model: str = SERVED) -> dict[str, Any]:
    outputs = {"models": {"flight-delay": {"version": model}}}
    stack = {"urn": name, "type": "pulumi:pulumi:Stack", "outputs": outputs}
    manifest = {"time": "2026-11-01T00:00:00Z"}
    encryption = {"type": "passphrase", "state": {"salt": "v1:a"}}
    latest = {"resources": [stack], "manifest": manifest, "secrets_providers": encryption}
    return {"version": 3, "deployment": latest}


def signed(_: Any, state: dict[str, Any]) -> dict[str, Any]:
    """With a signature that an engine would have made."""
    return {**state, SIGNATURE: {"time": "2026-11-01T00:00:00+00:00", "encrypted": "v1:a"}}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderLake:
    """A backup of the stack `dev`, which served a model."""
    made = FolderLake(tmp_path / "backup")
    made.write(f"models/flight-delay/{SERVED}/card.json", b"{}")
    write_state_copy(made, "dev", signed(None, state_of("dev")))
    monkeypatch.setenv("BACKUP", str(made.path))
    for name in ("KEY", "ALLOW"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What a restore does to a stack, recorded."""
    done: list[str] = []
    model = SimpleNamespace(name="flight-delay", version=SERVED)
    settings = SimpleNamespace(cloud="gcp", artifacts=[model])
    monkeypatch.setattr(command, "ensure_models", lambda _: None)
    monkeypatch.setattr(
        command, "copy_models", lambda _, champions: not done.append(champions.get("flight-delay"))
    )
    monkeypatch.setattr(command, "read_settings", lambda _: settings)
    monkeypatch.setattr(command, "prepare", lambda *_, **__: done.append("prepare"))
    monkeypatch.setattr(command, "refuse_losses", lambda _: None)
    monkeypatch.setattr(command, "bring_up", lambda _: done.append("up"))
    monkeypatch.setattr(command, "report_update", lambda _: done.append("report"))
    monkeypatch.setattr(command, "lake_of", lambda _: FolderLake(tmp_path / "new"))
    monkeypatch.setattr(copy_signature, "_signature_problem", lambda *_: None)
    monkeypatch.setattr(kept_key, "key_in_copy", lambda _, name, __: f"key of {name}")
    monkeypatch.setattr(kept_key, "another_key", lambda *_: [])
    monkeypatch.setattr(kept_key, "put_key", lambda _, key: done.append(key))
    return done


STACK: Any = SimpleNamespace(
    name="dev-gcp",
    file=Path("/clone/.pulumi/stacks/Pulumi.dev-gcp.yaml"),
    environment={},
    edited=Path("/clone/Pulumi.dev.yaml"),
    start=lambda: None,
    backup=None,
    account_has_limits=False,
)


def test_a_backup_has_the_state_beside_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = FolderLake(tmp_path / "lake")
    lake.write("raw/a", b"1")
    stack: Any = SimpleNamespace(
        name="dev",
        export=lambda: state_of("dev"),
        start=lambda: None,
        state_problem=lambda: None,
        missing=lambda: None,
    )
    monkeypatch.setenv("BACKUP", str(tmp_path / "backup"))
    monkeypatch.setattr(command, "lake_of", lambda _: lake)
    monkeypatch.setattr(command, "with_signature", signed)
    command.back_up(stack)
    assert list(FolderLake(tmp_path / "backup").names()) == ["raw/a", "state/triplane/dev.json"]


def test_a_restore_builds_with_the_model_that_served_and_a_key_of_its_own(
    place: FolderLake, steps: list[str]
) -> None:
    command.restore(STACK)
    assert steps == [SERVED, "prepare", "up", "report"]


def test_a_state_in_a_backup_that_nobody_has_signed_is_refused_and_a_restore_goes_on_without_it(
    place: FolderLake, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would say which model is to serve, and, with KEY=keep, which key opens the gateway."""
    write_state_copy(place, "dev", state_of("dev", OTHER))
    for key in ("", "keep"):
        monkeypatch.setenv("KEY", key)
        with pytest.raises(
            SystemExit,
            match=r"the backup of stack dev.*no signature.*Nothing was changed.*ALLOW=without-copy",
        ):
            command.restore(STACK)
    assert steps == []
    monkeypatch.setenv("ALLOW", "without-copy")
    with pytest.raises(SystemExit, match=r"KEY=keep: this backup has no state"):
        command.restore(STACK)
    monkeypatch.setenv("KEY", "")
    command.restore(STACK)
    assert steps[-3:] == ["prepare", "up", "report"]
    assert OTHER not in steps


def test_a_restore_takes_the_key_of_the_former_stack_along_before_the_update(
    place: FolderLake, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "keep")
    command.restore(STACK)
    assert steps == [SERVED, "prepare", "key of dev", "up", "report"]


def test_a_backup_of_an_older_version_is_restored_but_has_no_key(
    place: FolderLake, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.path / "state/triplane/dev.json").unlink()
    command.restore(STACK)
    assert steps == [None, "prepare", "up", "report"]
    monkeypatch.setenv("KEY", "keep")
    with pytest.raises(SystemExit, match=r"no state.*Nothing was changed.*leave out KEY=keep"):
        command.restore(STACK)


def test_a_state_in_a_backup_that_is_cut_off_is_refused(
    place: FolderLake, steps: list[str]
) -> None:
    place.write("state/triplane/dev.json", b'{"deployment": {')
    with pytest.raises(
        SystemExit,
        match=r"state/triplane/dev.json, cannot be read.*stack dev.*make backup` with the CLOUD=",
    ):
        command.restore(STACK)
    assert steps == []


def test_a_backup_of_two_stacks_is_refused(place: FolderLake, steps: list[str]) -> None:
    write_state_copy(place, "prod", signed(None, state_of("prod")))
    with pytest.raises(SystemExit, match=r"several stacks: dev, prod.*Nothing was changed"):
        command.restore(STACK)
    assert steps == []


def test_a_restore_with_another_model_is_refused_unless_it_is_allowed(
    place: FolderLake, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state_copy(place, "dev", signed(None, state_of("dev", OTHER)))
    with pytest.raises(
        SystemExit,
        match=f"(?s)is {SERVED[:12]}, not {OTHER[:12]}.*Pulumi.dev.yaml.*{OTHER}.*ALLOW=model",
    ):
        command.restore(STACK)
    assert steps == [OTHER], "nothing was built"
    monkeypatch.setenv("ALLOW", "model")
    command.restore(STACK)
    assert steps[-1] == "report"


def test_a_copy_that_stops_names_the_cause_and_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FolderLake(tmp_path / "lake")
    source.write("raw/a", b"1")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FolderLake, "write", full)
    with pytest.raises(SystemExit, match=r"(?s)No space left.*run the same command again"):
        command.copied(source, FolderLake(tmp_path / "backup"), "all")


def test_a_clone_without_models_gets_them_with_the_champion_and_the_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google Cloud's lake has no archives: restored on AWS they must exist."""
    store = tmp_path / "store"
    monkeypatch.setattr(model_versions, "STORE", store)
    lake = FolderLake(tmp_path / "lake")
    text = version_text(b"{}", b"4")
    version = version_of(text)
    lake.write(f"models/flight-delay/{version}/version.txt", text.encode())
    lake.write(f"models/flight-delay/{version}/contract.json", b"{}")
    lake.write(f"models/flight-delay/{version}/model.onnx", b"4")
    lake.write(f"models/flight-delay/{version}/card.json", b"{}")
    model_versions.copy_models(lake, champions={"flight-delay": version})
    folder = store / "flight-delay" / version
    assert sorted(each.name for each in folder.iterdir()) == [
        "card.json",
        "contract.json",
        "model.onnx",
        "model.tar.gz",
        "version.txt",
    ]
    assert (store / "flight-delay/champion").read_text().strip() == version
    (store / "flight-delay/champion").write_text("mine")
    model_versions.copy_models(lake, champions={"flight-delay": version})
    assert (store / "flight-delay/champion").read_text() == "mine", "a clone keeps its own choice"


def test_a_clone_gets_no_half_of_a_bundle_whose_models_it_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment makes the bundle again, from its models."""
    store = tmp_path / "store"
    monkeypatch.setattr(model_versions, "STORE", store)
    lake, bundle = FolderLake(tmp_path / "lake"), "0f" * 32
    for file in ("version.txt", "model.tar.gz", "digits/contract.json", "digits/model.onnx"):
        lake.write(f"models/small/{bundle}/{file}", b"1")
    assert not model_versions.copy_models(lake, champions={}), "there is no model yet"
    text = version_text(b"{}", b"4")
    for file, content in {
        "version.txt": text.encode(),
        "contract.json": b"{}",
        "model.onnx": b"4",
        "card.json": b"{}",
    }.items():
        lake.write(f"models/digits/{version_of(text)}/{file}", content)
    assert model_versions.copy_models(lake, champions={"digits": version_of(text)})
    assert (store / "digits").is_dir()
    assert not (store / "small").exists()


def test_a_place_without_a_backup_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP", str(tmp_path))
    with pytest.raises(SystemExit, match="not at the place in BACKUP"):
        command.restore(STACK)


@pytest.mark.parametrize("work", ["copy", "models"])
def test_a_mistake_of_ours_in_a_copy_keeps_its_traceback(
    work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FolderLake(tmp_path / "lake")
    source.write(f"models/flight-delay/{SERVED}/card.json", b"1")
    monkeypatch.setattr(model_versions, "STORE", tmp_path / "store")

    def mistaken(*_: Any) -> None:
        raise TypeError("unsupported operand")

    monkeypatch.setattr(FolderLake, "write", mistaken)

    def begin() -> None:
        if work == "copy":
            command.copied(source, FolderLake(tmp_path / "backup"), "all")
        else:
            model_versions.copy_models(source, champions={})

    with pytest.raises(TypeError, match="unsupported operand"):
        begin()


def test_a_copy_that_takes_long_says_how_far_it_is_and_not_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class SlowLake(FolderLake):
        def read(self, name: str) -> bytes | None:
            time.sleep(0.2)
            return super().read(name)

    source = SlowLake(tmp_path / "source")
    for number in range(3):
        source.write(f"raw/{number}", b"x")
    monkeypatch.setattr(terminal, "LONG", 0.1)
    command.copied(source, FolderLake(tmp_path / "target"), "all")
    printed = capsys.readouterr()
    assert "• waiting for the copy of the lake: 0 of 1 objects so far, 0.0 MiB\n" in printed.err
    assert printed.out == ""
