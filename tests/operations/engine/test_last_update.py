"""When an update is left out: only if it would write the same state again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations.commands import update
from operations.engine import last_update
from operations.engine.wire import SIGNATURE

SAME = [{"op": "same", "urn": "urn:pulumi:dev::triplane::pulumi:pulumi:Stack::triplane-dev"}]

LAKE = "urn:pulumi:dev::triplane::aws:s3/bucket:Bucket::lake"


def state(time: str = "1", **resource: Any) -> dict[str, Any]:
    resources: list[dict[str, Any]] = [
        {"type": "aws:s3/bucket:Bucket", "urn": LAKE, **resource},
        {"type": "aws:iam/role:Role", "urn": "role", "dependencies": [LAKE, f"{LAKE}-2"]},
    ]
    resources[1]["outputs"] = {"key": {SIGNATURE: "secret", "ciphertext": time}}
    if time != "1":
        resources.reverse()
        resources[0]["dependencies"].reverse()
    return {"deployment": {"manifest": {"time": time}, "resources": resources}}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stack whose last update succeeded, and a program of one file."""
    monkeypatch.setattr(last_update, "HOME", tmp_path)
    (tmp_path / "components").mkdir()
    (tmp_path / "components/platform.py").write_text("RETAIN = False")
    settings = tmp_path / "Pulumi.dev.yaml"
    settings.write_text("triplane:keep_data: false")
    found = SimpleNamespace(name="dev", file=settings, runs=tmp_path, steps=SAME, done=[])
    found.export = state
    found.preview_steps = lambda *_: found.steps
    found.update = lambda *words: found.done.append(words[0])
    last_update.remember(found, state())
    monkeypatch.setattr(update, "copy_state_into_lake", lambda _: state())
    monkeypatch.setattr(update, "report_update", lambda _, counts=None: found.done.append(counts))
    return found


def test_an_update_that_would_change_nothing_is_left_out(stack: Any) -> None:
    stack.export = lambda: state(
        time="2"
    )  # plain Pulumi has written the same again, in another order, and encrypted again
    update.bring_up_to_date(stack)
    assert stack.done == [{"same": 2}]


@pytest.mark.parametrize("change", ["a step", "the state", "the settings", "the program", "none"])
def test_an_update_runs_if_anything_differs_from_the_last_one(stack: Any, change: str) -> None:
    match change:
        case "a step":
            stack.steps = [*SAME, {"op": "update", "urn": LAKE}]
        case "the state":
            stack.export = lambda: state(protect=True)
        case "the settings":  # keep_data changes an option, which no preview shows
            stack.file.write_text("triplane:keep_data: true")
        case "the program":
            (stack.runs / "components/platform.py").write_text("RETAIN = True")
        case "none":  # another machine has made the last update
            (stack.runs / "updated-dev.json").unlink()
    update.bring_up_to_date(stack)
    assert stack.done == ["up", None]


def test_a_failed_update_is_not_taken_for_the_last_one(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: str) -> None:
        raise SystemExit(255)

    stack.file.write_text("triplane:keep_data: true")
    stack.update, done = failing, stack.update
    with pytest.raises(SystemExit):
        update.bring_up_to_date(stack)
    stack.update = done
    update.bring_up_to_date(stack)
    assert stack.done == ["up", None]
