"""`make evidence`: what is collected, what is said of the rest, and that nothing secret is in it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations.account_check.checks import missing
from operations.account_check.report import CheckedAccount
from operations.delivery import evidence_archive
from operations.terminal import fail

KEY = "Zx3f-QmD_9aP7vLk2"
PASSPHRASE = 'the "passphrase" of \\prod'
PREFIX = "urn:pulumi:prod::triplane::triplane:aws:Gateway$aws:lambda/function:Function::"
URN = f"{PREFIX}triplane-gateway-function"


def event(time: int, **content: Any) -> str:
    return json.dumps({"timestamp": time, **content})


EVENTS = [
    event(100, resourcePreEvent={"metadata": {"urn": URN, "op": "update"}}),
    event(
        107,
        resOutputsEvent={
            "metadata": {"urn": URN, "op": "update", "new": {"outputs": {"key": KEY}}}
        },
    ),
    event(
        108,
        diagnosticEvent={
            "urn": URN,
            "severity": "error",
            "message": f"403 refused the key {KEY}\n",
        },
    ),
    event(109, diagnosticEvent={"severity": "debug", "message": "noise"}),
    event(110, summaryEvent={"durationSeconds": 10, "resourceChanges": {"update": 1}}),
]


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(evidence_archive, "EVIDENCE_FOLDER", tmp_path / ".evidence")
    monkeypatch.setattr(evidence_archive, "DELIVERY_FOLDER", tmp_path / ".delivery")
    monkeypatch.setattr(evidence_archive, "HOME", tmp_path)
    monkeypatch.setattr(evidence_archive.preparation, "read_ready", lambda stack: None)
    monkeypatch.setattr(evidence_archive.preparation, "read_settings", lambda stack: None)
    lacking = missing("Lambda", f"with the key {KEY} it has 10", "ask for 1,000")
    monkeypatch.setattr(
        evidence_archive,
        "checked_account",
        lambda *_: CheckedAccount(caller="me", count=3, findings=[lacking]),
    )
    monkeypatch.setattr(evidence_archive.gateway, "code_version", lambda *_: "abc")
    monkeypatch.setattr(
        evidence_archive.gateway,
        "predictions",
        lambda *_: {"flight-delay": {"model_version": "m" * 64}},
    )
    log, file = tmp_path / "events.json", tmp_path / "Pulumi.prod.yaml"
    log.write_text("\n".join(EVENTS))
    file.write_text(
        "encryptionsalt: v1:c2FsdA==:v1:abc\nconfig:\n  triplane:cloud: aws\n  aws:token:\n    secure: v1:xyz\n"
        "  triplane:delivery:\n    repository: a/b\n    token:\n      secure: v1:inner\n"
        "  other:password: of-another-program\n"
    )
    (tmp_path / ".delivery").mkdir()
    delivered = {"steps": [{"step": "up", "failed": f"refused {KEY}"}, {"failed": PASSPHRASE}]}
    (tmp_path / ".delivery" / "release-prod.json").write_text(json.dumps(delivered))
    (tmp_path / ".delivery" / "drift-prod.md").write_text("# Drift of prod: 0 resources\n")
    outputs = {"gateway_url": "https://gateway", "gateway_key": KEY}
    steps = [
        {
            "urn": URN,
            "op": "update",
            "diffReasons": ["environment"],
            "newState": {"inputs": {"key": KEY}},
        },
        {"urn": f"{PREFIX}other", "op": "same"},
    ]

    def answer(*words: str) -> Any:
        return {**outputs, "gateway_key": "[secret]"} if words[0] == "stack" else {}

    return SimpleNamespace(
        name="prod",
        file=file,
        event_log=log,
        environment={"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE},
        missing=lambda: None,
        outputs=lambda: outputs,
        resources=lambda: [
            {"urn": URN, "type": "aws:lambda/function:Function", "id": "fn", "inputs": {"key": KEY}}
        ],
        preview_steps=lambda *_: steps,
        cli=SimpleNamespace(
            json=answer,
            unnamed=lambda *_: "v3.250.0\n",
            refresh_steps=lambda: [{"urn": URN, "op": "delete"}],
        ),
    )


def collected(stack: Any, folder: Path) -> dict[str, str]:
    evidence_archive.collect_evidence(stack)
    (file,) = (folder / ".evidence").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_archive_has_versions_times_differences_and_refusals(
    stack: Any, tmp_path: Path
) -> None:
    texts = collected(stack, tmp_path)
    assert set(texts) == {
        "README.md",
        "deliveries/release-prod.json",
        "deliveries/drift-prod.md",
        *(f"{part}.json" for part in evidence_archive.PARTS),
    }
    update = json.loads(texts["last_update.json"])
    assert update["seconds"] == 10
    assert update["resources"] == {"triplane-gateway-function": {"op": "update", "seconds": 7}}
    assert [each["message"] for each in update["refusals"]] == ["403 refused the key [secret]"]
    assert json.loads(texts["versions.json"])["pulumi"] == "v3.250.0"
    assert json.loads(texts["account.json"])["findings"][0]["way_out"] == "ask for 1,000"
    (change,) = json.loads(texts["preview.json"])
    assert change["diffReasons"] == ["environment"]
    assert json.loads(texts["drift.json"]) == {"triplane-gateway-function": ["gone"]}
    assert json.loads(texts["settings.json"]) == {
        "triplane:cloud": "aws",
        "triplane:delivery": {"repository": "a/b", "token": "[secret]"},
        "aws:token": "[secret]",
        "other:password": "[secret]",
    }
    assert json.loads(texts["answers.json"])["models"] == {"flight-delay": "m" * 64}


def test_no_secret_is_in_the_archive(stack: Any, tmp_path: Path) -> None:
    texts = "\n".join(collected(stack, tmp_path).values())
    for secret in (KEY, "passphrase", "v1:xyz", "v1:inner", "of-another-program", "c2FsdA=="):
        assert secret not in texts


def test_only_the_deliveries_of_this_very_stack_are_taken(stack: Any, tmp_path: Path) -> None:
    """Another stack's secrets are not known here."""
    for name in ("release-production", "drift-prod-gcp", "merge-prod", "preview-preprod", "prod"):
        for suffix in ("json", "md"):
            (tmp_path / ".delivery" / f"{name}.{suffix}").write_text('{"of": "another stack"}')
    texts = collected(stack, tmp_path)
    assert {name for name in texts if name.startswith("deliveries/")} == {
        "deliveries/release-prod.json",
        "deliveries/drift-prod.md",
    }


def test_a_delivery_that_was_cut_off_is_left_out_and_said(stack: Any, tmp_path: Path) -> None:
    (tmp_path / ".delivery" / "release-prod.json").write_text('{"steps": [{"found": "opaq')
    text = collected(stack, tmp_path)["deliveries/release-prod.json"]
    assert text.startswith("not collected: ")
    assert "opaq" not in text


def test_a_passphrase_that_is_a_word_does_not_show_by_the_gap_that_it_leaves(
    stack: Any, tmp_path: Path
) -> None:
    stack.environment = {"PULUMI_CONFIG_PASSPHRASE": "triplane"}
    (change,) = json.loads(collected(stack, tmp_path)["preview.json"])
    assert change["resource"] == "[secret]"


def test_the_rehearsals_passphrase_is_public_and_hides_nothing(stack: Any, tmp_path: Path) -> None:
    stack.environment = {"PULUMI_CONFIG_PASSPHRASE": "rehearsal"}
    (tmp_path / ".delivery" / "drift-prod.md").write_text("engineer@triplane-rehearsal.iam\n")
    text = collected(stack, tmp_path)["deliveries/drift-prod.md"]
    assert text == "engineer@triplane-rehearsal.iam\n"


def test_a_part_that_cannot_be_had_says_why_and_the_others_are_there(
    stack: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended() -> Any:
        fail(f"the credentials have ended: {KEY}")

    def broken(*_: str) -> Any:
        raise OSError("no route to the cloud")

    stack.cli.refresh_steps = ended
    stack.preview_steps = broken
    stack.event_log.unlink()
    texts = collected(stack, tmp_path)
    assert json.loads(texts["drift.json"]) == {
        "not collected": "the credentials have ended: [secret]"
    }
    assert "no route" in json.loads(texts["preview.json"])["not collected"]
    assert "no update" in json.loads(texts["last_update.json"])["not collected"]
    assert json.loads(texts["resources.json"])
    printed = capsys.readouterr().out
    assert "drift: not collected" in printed
    assert KEY not in printed


def test_the_log_of_a_killed_engine_is_read_as_far_as_it_goes(stack: Any, tmp_path: Path) -> None:
    stack.event_log.write_text("\n".join([*EVENTS[:3], EVENTS[4][:20]]))
    update = json.loads(collected(stack, tmp_path)["last_update.json"])
    assert update["seconds"] == "interrupted"
    assert len(update["refusals"]) == 1


def test_nothing_is_written_if_the_stacks_secrets_cannot_be_decrypted(
    stack: Any, tmp_path: Path
) -> None:
    stack.outputs = lambda: fail("incorrect passphrase")
    with pytest.raises(SystemExit, match="incorrect passphrase"):
        evidence_archive.collect_evidence(stack)
    assert not (tmp_path / ".evidence").exists()


def test_a_stack_that_does_not_exist_is_refused(stack: Any, tmp_path: Path) -> None:
    stack.missing = lambda: "There is no stack prod in s3://states"
    with pytest.raises(SystemExit, match="There is no stack prod"):
        evidence_archive.collect_evidence(stack)
    assert not (tmp_path / ".evidence").exists()
