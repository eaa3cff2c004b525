"""What `make move` refuses, where it can be stopped, and what it says, with folders in place of lakes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations.commands import model_versions
from operations.commands import move as command
from operations.commands.move import move
from operations.data.folder_lake import FolderLake
from operations.data.origins import origins
from operations.recovery import kept_key

MODEL = "82d3633f99f9"


class BucketInFolder(FolderLake):
    """A lake that knows which of its objects are copies, as a bucket does by their metadata."""

    def write(self, name: str, data: bytes, written: datetime | None = None) -> None:
        super().write(name, data, written)
        known = self.__dict__.setdefault("originals", {})
        known[name] = written

    def original_written(self, name: str) -> datetime | None:
        found: datetime | None = self.__dict__["originals"][name]
        return found


@dataclass
class FakeStack:
    """A stack with a folder as its lake."""

    name: str
    lake: FolderLake
    up: bool = False
    model: str = MODEL
    key: str | None = "key"
    edited: Path = Path("/clone/Pulumi.dev.yaml")
    history: list[str] = field(default_factory=list)
    account_has_limits: bool = False

    def start(self) -> None:
        pass

    def make(self, target: str) -> str:
        return f"make {target} CLOUD={self.name}"

    def exists(self) -> bool:
        return self.up

    def outputs(self) -> dict[str, Any]:
        if not self.up:
            return {}
        return {
            "cloud": self.name,
            "models": {"flight-delay": {"version": self.model}},
            "lake_uri": str(self.lake.path),
            "gateway_url": f"https://{self.name}",
            "gateway_key": self.key,
        }


@dataclass
class Clouds:
    """The steps of a move, recorded, and stopped where a test says so."""

    old: FakeStack
    new: FakeStack
    stop: Callable[[str], None] = lambda _: None
    settings_model: str = MODEL
    answers: dict[str, bytes] = field(default_factory=dict)

    def step(self, name: str) -> None:
        self.new.history.append(name)
        self.stop(name)

    def move(self) -> None:
        move(self.old, self.new)  # type: ignore[arg-type]


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clouds:
    old = FakeStack("old", BucketInFolder(tmp_path / "old"), up=True)
    new = FakeStack("new", BucketInFolder(tmp_path / "new"), key="another")
    for name in ("raw/a", "curated/b", "captures/c", "models/m", "builds/d", "state/e"):
        old.lake.write(name, name.encode())
    here = Clouds(old, new)

    def bring_up(stack: FakeStack) -> None:
        here.step("up")
        stack.up = True

    def put_key(stack: FakeStack, key: str) -> None:
        here.step("key")
        stack.key = key

    real_copied = command.copied

    def copied(*words: Any) -> Any:
        here.step("copy")
        return real_copied(*words)

    def predicted(stack: FakeStack, _: Any) -> dict[str, bytes]:
        here.step("ask")
        return {"flight-delay": here.answers.get(stack.name, b"late")}

    for name in ("KEY", "ALLOW"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ensure_models", "refuse_unreadable_state", "refuse_losses"):
        monkeypatch.setattr(command, name, lambda *_: None)
    monkeypatch.setattr(command, "copy_models", lambda *_, **__: here.step("models") or True)
    monkeypatch.setattr(command, "prepare", lambda *_, **__: here.step("prepare"))
    monkeypatch.setattr(command, "bring_up", bring_up)
    monkeypatch.setattr(command, "copied", copied)
    monkeypatch.setattr(command, "predicted_bytes", predicted)
    monkeypatch.setattr(command, "lake_of", lambda stack: stack.lake if stack.up else None)
    monkeypatch.setattr(kept_key, "key_of", lambda stack: stack.key if stack.up else None)
    monkeypatch.setattr(kept_key, "put_key", put_key)
    monkeypatch.setattr(
        command,
        "read_settings",
        lambda _: SimpleNamespace(
            cloud="gcp",
            artifacts=[SimpleNamespace(name="flight-delay", version=here.settings_model)],
        ),
    )
    return here


def test_a_move_brings_the_data_and_says_which_address_to_switch(
    clouds: Clouds, capsys: pytest.CaptureFixture[str]
) -> None:
    clouds.move()
    assert clouds.new.history == ["models", "prepare", "up", "copy", "ask", "ask", "copy"]
    names = {*clouds.new.lake.names()} - {"state/moved-from.json"}
    assert names == {"raw/a", "curated/b", "captures/c", "models/m"}
    printed = capsys.readouterr().out
    assert re.search(r"(?s)Switch your callers\s+from  https://old\s+to    https://new", printed)
    assert "1 of 1 are in" in printed
    assert "another one, which callers need" in printed
    assert not re.search(r"\bkey\b.*another\b.*secret", printed)


def test_a_key_is_taken_along_before_the_first_update(
    clouds: Clouds, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", "keep")
    clouds.move()
    assert clouds.new.history[:4] == ["models", "prepare", "key", "up"]
    assert "the same, callers keep it" in capsys.readouterr().out


@pytest.mark.parametrize("stopped_at", ["models", "prepare", "key", "up", "copy", "ask"])
@pytest.mark.parametrize(
    "how", [KeyboardInterrupt(), SystemExit(255), OSError(28, "No space left")]
)
def test_a_move_that_was_stopped_anywhere_is_continued_by_the_same_command(
    stopped_at: str, how: BaseException, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "keep")
    before = {name: clouds.old.lake.read(name) for name in clouds.old.lake.names()}

    def stop(step: str) -> None:
        if step == stopped_at:
            raise how

    clouds.stop = stop
    with pytest.raises(SystemExit, match=r"(?s)old is unchanged.*Run the same\s+command again"):
        clouds.move()
    clouds.stop = lambda _: None
    clouds.move()
    clouds.move()
    assert {name: clouds.old.lake.read(name) for name in clouds.old.lake.names()} == before
    assert clouds.new.lake.read("captures/c") == b"captures/c"
    assert clouds.new.key == "key"


@pytest.mark.parametrize("step", ["models", "copy"])
def test_a_mistake_of_ours_keeps_its_traceback_and_says_that_nothing_is_lost(
    step: str, clouds: Clouds, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(reached: str) -> None:
        if reached == step:
            raise TypeError("NoneType is not iterable")

    clouds.stop = stop
    with pytest.raises(TypeError, match="not iterable"):
        clouds.move()
    assert "old is unchanged" in capsys.readouterr().err


def test_a_lake_without_models_is_named_as_such_and_not_as_a_backup(
    clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "copy_models", model_versions.copy_models)
    (clouds.old.lake.path / "models/m").unlink()
    with pytest.raises(SystemExit) as left:
        clouds.move()
    assert f"{clouds.old.lake.path}, the lake of stack old, has no models" in str(left.value.code)
    assert "`make repair CLOUD=old`" in str(left.value.code)
    assert "BACKUP" not in str(left.value.code)


def test_a_gateway_that_does_not_answer_yet_is_asked_again_by_the_same_command(
    clouds: Clouds,
) -> None:
    def stop(step: str) -> None:
        if step == "ask":
            raise SystemExit("https://new gave no prediction within 60 s: 503")

    clouds.stop = stop
    with pytest.raises(SystemExit, match=r"(?s)within 60 s: 503.*old is unchanged.*Run the same"):
        clouds.move()


def test_the_final_copy_has_what_came_during_the_move_and_another_run_what_came_after(
    clouds: Clouds,
) -> None:
    def stop(step: str) -> None:
        if step == "ask":
            clouds.old.lake.write("captures/during", b"1")

    clouds.stop = stop
    clouds.move()
    assert clouds.new.lake.read("captures/during") == b"1"
    clouds.stop = lambda _: None
    clouds.old.lake.write("captures/after", b"2")
    clouds.new.lake.write("captures/of-a-new-caller", b"3")
    clouds.move()
    assert clouds.new.lake.read("captures/after") == b"2"
    assert clouds.new.lake.read("captures/of-a-new-caller") == b"3"


def test_what_the_new_platform_has_written_itself_is_not_overwritten(
    clouds: Clouds, capsys: pytest.CaptureFixture[str]
) -> None:
    clouds.move()
    clouds.new.lake.write("curated/b", b"of the new one")
    clouds.old.lake.write("curated/b", b"of the old one")
    clouds.old.lake.write("raw/a", b"written again")
    clouds.move()
    assert clouds.new.lake.read("curated/b") == b"of the new one"
    assert clouds.new.lake.read("raw/a") == b"written again"
    assert "1 stay as new has them itself" in capsys.readouterr().out


def test_a_platform_can_move_back_to_the_lake_that_it_came_from(clouds: Clouds) -> None:
    clouds.move()
    clouds.new.lake.write("captures/of-a-new-caller", b"3")
    clouds.old.lake.write("captures/of-an-old-caller", b"4")
    move(clouds.new, clouds.old)  # type: ignore[arg-type]
    assert clouds.old.lake.read("captures/of-a-new-caller") == b"3"
    assert clouds.old.lake.read("captures/of-an-old-caller") == b"4"
    assert origins(clouds.old.lake) == [str(clouds.new.lake.path)]


def another_prediction(clouds: Clouds) -> None:
    clouds.answers = {"new": b"on time"}


def other_data(clouds: Clouds) -> None:
    clouds.new.up = True
    clouds.new.lake.write("captures/of-somebody", b"1")


def other_model_in_target(clouds: Clouds) -> None:
    clouds.new.up, clouds.new.model = True, "510cf62e52fc"


def other_model_in_settings(clouds: Clouds) -> None:
    clouds.settings_model = "510cf62e52fc"


def gone(clouds: Clouds) -> None:
    clouds.old.up = False


def same(clouds: Clouds) -> None:
    clouds.new.name = clouds.old.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (same, "FROM and TO are the same stack, old"),
        (
            gone,
            r"Stack old does not exist, or serves nothing.*make restore BACKUP=… KEY=keep CLOUD=new",
        ),
        (
            other_model_in_settings,
            r"flight-delay is 510.*, not 82d.*Nothing was changed.*flight-delay: 82d",
        ),
        (
            other_model_in_target,
            r"new does not serve.*flight-delay is 510.*, not 82d.*Nothing was changed.*make up CLOUD=new",
        ),
        (other_data, r"1 objects of another platform, such as captures/of-somebody.*other-data"),
    ],
)
def test_a_target_or_source_that_does_not_fit_is_refused_before_anything_is_built(
    change: Callable[[Clouds], None], message: str, clouds: Clouds
) -> None:
    change(clouds)
    with pytest.raises(SystemExit, match=f"(?s){message}"):
        clouds.move()
    assert set(clouds.new.history) <= {"models"}, "neither prepared nor changed"


def test_a_target_that_serves_callers_with_another_key_is_refused(
    clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "keep")
    clouds.new.up = True
    with pytest.raises(SystemExit, match=r"new has a key of its own.*Nothing was changed"):
        clouds.move()
    assert clouds.new.history == ["models"]


def test_data_of_another_platform_is_added_to_on_request_and_stays(
    clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_data(clouds)
    monkeypatch.setenv("ALLOW", "other-data")
    clouds.move()
    assert clouds.new.lake.read("captures/of-somebody") == b"1"


def test_nobody_is_told_to_switch_to_a_platform_that_predicts_otherwise(
    clouds: Clouds, capsys: pytest.CaptureFixture[str]
) -> None:
    another_prediction(clouds)
    named = r"`make drift CLOUD=old`,\s+`make drift CLOUD=new`"
    with pytest.raises(SystemExit, match=rf"(?s)late.*on time.*{named}.*do not switch callers"):
        clouds.move()
    assert "Switch your callers" not in capsys.readouterr().out


def test_another_prediction_is_accepted_on_request_and_reported(
    clouds: Clouds, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    another_prediction(clouds)
    monkeypatch.setenv("ALLOW", "prediction")
    clouds.move()
    printed = capsys.readouterr().out
    assert "new gives another prediction, which is allowed, than stack old." in printed
    assert "byte for byte" not in printed


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("aws", "", "make move FROM=aws TO=gcp"),
        ("", "", "make move FROM=aws TO=gcp"),
        ("aws", "prod", "Write two clouds, or two stacks"),
        ("no-such", "stack", r"there is no Pulumi.no-such.yaml"),
    ],
)
def test_from_and_to_are_two_clouds_or_two_stacks(source: str, target: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        command.stacks_of_move(source, target)
