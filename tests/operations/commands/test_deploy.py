"""The commands on a stack whose state cannot be read, is lost, or was never there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from operations.commands import backup, check_account, deploy, preparation
from operations.commands.registry import COMMANDS
from operations.commands.update import guard_stack
from operations.delivery.drift import report_drift
from operations.delivery.evidence_archive import collect_evidence
from operations.engine import rehearsed_stack
from operations.engine.rehearsed_stack import RehearsedStack
from operations.recovery import copy_search

FUNCTIONS: dict[str, Any] = {
    **COMMANDS,
    "drift": report_drift,
    "evidence": collect_evidence,
    "guard": guard_stack,
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (preparation, check_account):
        monkeypatch.setattr(module, "ensure_models", lambda *_: None)
        config = SimpleNamespace(cloud="aws", artifacts=[None])
        monkeypatch.setattr(module, "read_settings", lambda _, config=config: config)
    monkeypatch.setattr(preparation, "refuse_unfit_models", lambda _: None)


SERVING = {"resources": [{"type": "triplane:aws:Gateway"}]}


def stack(**answers: Any) -> Any:
    """A stack that answers nothing but what every command asks first, and these."""
    known = {
        "exists": True,
        "is_empty": False,
        "state_problem": None,
        "missing": None,
        "init": None,
        "start": None,
        "written": None,
        "recorded_state": {},
        **answers,
    }
    return SimpleNamespace(
        name="prod",
        environment={},
        backup=None,
        is_created_by_an_update=False,
        make=lambda target: f"make {target} STACK=prod",
        pulumi_line=lambda words: f"pulumi {words} --stack prod",
        **{name: lambda value=value: value for name, value in known.items()},
    )


@pytest.mark.parametrize(
    "command",
    [
        *("up", "check-account", "preview", "destroy", "outputs", "predict", "repair", "backup"),
        *("drift", "evidence", "guard"),
    ],
)
def test_every_command_refuses_an_unreadable_or_altered_state(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "open_lake", lambda _: None)
    monkeypatch.setenv("BACKUP", "s3://backups")
    broken = stack(state_problem="prod.json is half-written", resources=[])
    with pytest.raises(SystemExit, match=r"half-written.*make adopt STACK=prod"):
        FUNCTIONS[command](broken)


@pytest.mark.parametrize(
    "command", ["up", "preview", "destroy", "outputs", "predict", "repair", "backup"]
)
def test_every_command_refuses_a_stack_that_must_exist_and_does_not(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "open_lake", lambda _: None)
    monkeypatch.setenv("BACKUP", "s3://backups")
    with pytest.raises(SystemExit, match="There is no stack"):
        COMMANDS[command](stack(exists=False, missing="There is no stack prod in s3://states"))


@pytest.mark.parametrize(
    "command", ["outputs", "predict", "backup", "drift", "evidence", "destroy", "guard"]
)
def test_a_stack_of_this_clone_that_does_not_exist_has_a_way_out(
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rehearsed_stack, "HOME", tmp_path)
    monkeypatch.setattr(RehearsedStack, "start", lambda _: None)
    missing = RehearsedStack("dev-azure", tmp_path / "Pulumi.dev-azure.yaml")
    if command == "destroy":
        FUNCTIONS[command](missing)
        assert "nothing to destroy" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit, match=r"no stack dev-azure in this clone.*make up CLOUD=azure"):
        FUNCTIONS[command](missing)


def test_a_word_in_data_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "keep")
    with pytest.raises(SystemExit, match=r"Nothing was changed.*DATA=destroy"):
        COMMANDS["destroy"](stack())


def test_a_guard_of_an_empty_stack_refuses_as_an_update_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = "there is no state of stack prod, but s3://lake belongs to it"
    monkeypatch.setattr(copy_search, "reasons_not_to_create", lambda *_: [reason])
    with pytest.raises(SystemExit, match="s3://lake belongs to it"):
        guard_stack(stack(is_empty=True))


def test_a_guard_of_an_empty_stack_does_not_approve_of_an_account_that_it_did_not_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(copy_search, "reasons_not_to_create", lambda *_: [])
    guard_stack(stack(is_empty=True))
    printed = capsys.readouterr().out
    assert "prod is empty" in printed
    assert "make check-account STACK=prod" in printed
    assert "own account" not in printed


@pytest.mark.parametrize("answers", [{"exists": False}, {"is_empty": True}])
@pytest.mark.parametrize("command", ["up", "preview", "repair"])
def test_no_second_platform_is_built_while_the_first_exists_without_a_state(
    command: str, answers: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty stack hides the loss: somebody has created it again, or `make adopt` was interrupted."""

    def existing(*_: object) -> list[str]:
        return ["there is no state of stack prod, but s3://lake belongs to it"]

    monkeypatch.setattr(copy_search, "reasons_not_to_create", existing)
    with pytest.raises(SystemExit, match="s3://lake belongs to it"):
        COMMANDS[command](stack(init=AssertionError("a stack was created"), **answers))


def test_the_outputs_have_the_command_that_prints_the_key_and_never_the_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"gateway_url": "https://gateway", "gateway_key": "key-of-the-gateway"}
    COMMANDS["outputs"](stack(outputs=found, recorded_state=SERVING))
    printed = capsys.readouterr().out
    assert "gateway_key    secret: make key STACK=prod\n" in printed
    assert "key-of-the-gateway" not in printed
    COMMANDS["key"](stack(outputs=found, recorded_state=SERVING))
    assert capsys.readouterr().out == "key-of-the-gateway\n", "so that a pipe gets the key alone"


def test_a_gateway_without_a_key_is_named_in_place_of_it() -> None:
    found = {"gateway_url": "https://gateway"}
    with pytest.raises(SystemExit, match=r"takes no key.*anyone may call https://gateway"):
        COMMANDS["key"](stack(outputs=found, recorded_state=SERVING))


@pytest.mark.parametrize("command", ["outputs", "key", "predict"])
def test_dead_addresses_of_a_destroyed_gateway_are_not_shown(command: str) -> None:
    """The state keeps the outputs of the last update."""
    lake = {"resources": [{"type": "triplane:aws:DataLake"}]}
    with pytest.raises(SystemExit, match=r"prod serves nothing.*make up STACK=prod"):
        COMMANDS[command](stack(outputs={"gateway_url": "https://dead"}, recorded_state=lake))


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_backup_of_a_stack_of_the_shell_needs_a_place(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This clone's own stacks have theirs in the clone, and one may have the same name."""
    monkeypatch.delenv("BACKUP", raising=False)
    with pytest.raises(SystemExit, match="BACKUP=… is missing"):
        COMMANDS[command](stack())


@pytest.mark.parametrize(
    ("allow", "warned"), [("", True), ("triplane-lake-bucket", False)], ids=["", "allowed"]
)
def test_a_preview_says_what_an_update_would_refuse(
    allow: str,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ALLOW", allow)
    lake = "urn:pulumi:prod::triplane::aws:s3/bucket:Bucket::triplane-lake-bucket"
    steps = [{"op": "delete", "urn": lake, "oldState": None, "newState": None}]
    existing = stack(account_has_limits=False)
    existing.cli = SimpleNamespace(streamed_preview=lambda: (0, steps))
    COMMANDS["preview"](existing)
    printed = capsys.readouterr().out
    expected = (
        "`make up STACK=prod` would refuse this: this run deletes the lake triplane-lake-bucket"
    )
    assert (expected in printed) is warned


@pytest.mark.parametrize(("diff", "words"), [("", ()), ("0", ()), ("1", ("--diff",))])
def test_a_preview_shows_values_on_request(
    diff: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFF", diff)
    existing, given = stack(account_has_limits=False), []
    existing.cli = SimpleNamespace(
        streamed_preview=lambda *words: (given.append(words), (0, []))[1]
    )
    COMMANDS["preview"](existing)
    assert given == [words]
    monkeypatch.setenv("DIFF", "yes")
    with pytest.raises(SystemExit, match="DIFF=yes: 1 shows old and new values"):
        COMMANDS["preview"](existing)


def test_an_update_and_a_preview_of_a_stack_that_exists_elsewhere_are_refused_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = SimpleNamespace(cloud="gcp", keep_data=False)
    monkeypatch.setattr(preparation, "read_settings", lambda _: config)
    lake = {"type": "aws:s3/bucket:Bucket", "outputs": {}}
    existing = stack(recorded_state={"resources": [lake]})
    existing.edited = Path("Pulumi.prod.yaml")
    existing.built_elsewhere = lambda _: "make up STACK=prod-gcp"
    refused = []
    for command in ("up", "preview"):
        with pytest.raises(SystemExit) as left:
            COMMANDS[command](existing)
        refused.append(str(left.value))
    assert refused[0] == refused[1]
    assert "stack prod exists elsewhere. Nothing was created or changed." in refused[0]
    assert "make up STACK=prod-gcp" in refused[0]


def test_a_model_that_cannot_be_served_stops_an_update_and_a_preview_but_no_destroy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse_model(_: object) -> None:
        raise pulumi.RunError("model.onnx is no model that this platform can serve")

    monkeypatch.setattr(preparation, "refuse_unfit_models", refuse_model)
    steps: list[str] = []
    for step in ("create_missing_stack", "refuse_missing"):
        monkeypatch.setattr(preparation, step, lambda *_, step=step, **__: steps.append(step))
    for command in ("up", "preview", "repair"):
        with pytest.raises(SystemExit, match="no model that this platform can serve"):
            COMMANDS[command](stack(resources=[]))
    assert steps == [], "nothing was created, not even an empty stack"
    monkeypatch.setattr(preparation.interrupted_run, "recover", lambda *_: steps.append("recover"))
    monkeypatch.setattr(preparation.failed_endpoints, "delete_failed_endpoints", lambda *_: None)
    monkeypatch.setattr(deploy.account, "account_refusals", lambda *_: ["as far as the account"])
    with pytest.raises(SystemExit, match="as far as the account"):
        COMMANDS["destroy"](stack(written=None))


def test_what_stays_of_a_destroyed_platform_knows_where_its_data_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or an update with another region, by plain Pulumi too, would delete the lake and build an empty one there."""
    urn = "urn:pulumi:dev::triplane::triplane:index:Platform${}::x".format
    lake, place, gateway = (
        {"urn": urn(f"triplane:aws:{noun}"), "type": f"triplane:aws:{noun}"}
        for noun in ("DataLake", "Foundation", "Gateway")
    )
    words: list[str] = []
    existing = stack(resources=[lake, place, gateway])
    existing.update = lambda verb, *given: words.extend(given)
    monkeypatch.setattr(deploy, "copy_state_into_lake", lambda _: None)
    deploy._destroy_all_but_data(existing)
    assert words == ["--exclude", lake["urn"], "--exclude", place["urn"]]


def test_the_command_that_removes_an_empty_stack_keeps_its_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Pulumi deletes it otherwise, and with it the settings."""
    existing = stack()
    existing.update = lambda verb: None
    deploy._destroy_all(existing, SimpleNamespace(keep_data=False))  # type: ignore[arg-type]
    assert "pulumi stack rm --preserve-config --stack prod" in capsys.readouterr().out
