"""What a preview would create is held against what stands, without an engine and without a cloud."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.resource_type import RANDOM_KEY
from operations.recovery import discovery, importer
from operations.recovery.discovery import Thing
from rehearsal.core.assets import SIGNATURE
from rehearsal.core.wire import SECRET

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
URN = "urn:pulumi:dev::triplane::"
AWS = f"{URN}pulumi:providers:aws::default_7"
BUCKET, POLICY = "aws:s3/bucket:Bucket", "aws:s3/bucketPolicy:BucketPolicy"
TAGS = {"project": "triplane", "environment": "dev", "managed-by": "pulumi", "stack": "dev"}
HIDDEN = {SIGNATURE: SECRET, "ciphertext": "v1:abc"}


def wanted(type_: str, name: str, **more: Any) -> dict[str, Any]:
    """What a preview shows of something to create."""
    custom = {"custom": True, "provider": f"{AWS}::{UNKNOWN}", "parent": f"{URN}c::c"}
    return {"urn": f"{URN}{type_}::{name}", "type": type_, "inputs": {}, **custom, **more}


def state(*resources: dict[str, Any]) -> dict[str, Any]:
    provider = {"urn": AWS, "type": "pulumi:providers:aws", "id": "1", "inputs": {"region": "r"}}
    foundation = {"urn": "f", "type": "triplane:aws:Foundation", "inputs": {"account": "1"}}
    return {"resources": [provider, foundation, *resources]}


LAKE = wanted(BUCKET, "lake", inputs={"bucket": "lake-0000001", "tags": TAGS, "x": UNKNOWN})
OURS = Thing(BUCKET, "lake-1234567")


def test_a_made_up_name_becomes_the_one_that_stands_and_what_is_unknown_is_not_said() -> None:
    secret = wanted(
        BUCKET, "fixed", inputs={"bucket": "fixed", "a": {"b": "[secret]"}, "c": [UNKNOWN]}
    )
    (lake, fixed) = importer.candidates([LAKE, secret], [OURS], state())
    assert (lake["id"], lake["inputs"]) == (
        "lake-1234567",
        {"bucket": "lake-1234567", "tags": TAGS},
    )
    assert lake["provider"] == f"{AWS}::1"
    assert fixed["inputs"] == {"bucket": "fixed"}


def test_what_hangs_on_a_made_up_name_waits_until_the_name_is_known() -> None:
    policy = wanted(POLICY, "p", inputs={"bucket": "lake-0000001"})
    assert [each["type"] for each in importer.candidates([LAKE, policy], [OURS], state())] == [
        BUCKET
    ]
    known = wanted(POLICY, "p", inputs={"bucket": "lake-1234567"})
    assert [each["id"] for each in importer.candidates([known], [OURS], state())] == [
        "lake-1234567"
    ]


def test_what_does_not_stand_or_is_held_already_is_not_looked_for() -> None:
    assert importer.candidates([LAKE], [], state()) == []
    held = {**LAKE, "id": "lake-1234567", "inputs": {"bucket": "lake-1234567"}}
    assert importer.candidates([LAKE], [OURS], state({**held, "urn": "another"})) == []


def test_of_several_none_is_guessed_and_all_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [OURS, Thing(BUCKET, "lake-7654321")]
    monkeypatch.delenv("ALLOW", raising=False)
    with pytest.raises(SystemExit, match=r"Refused: 2 .*lake-1234567, lake-7654321.*ALLOW=lake-1"):
        importer.candidates([LAKE], two, state())
    monkeypatch.setenv("ALLOW", "lake-7654321")
    assert [each["id"] for each in importer.candidates([LAKE], two, state())] == ["lake-7654321"]


def test_a_resource_of_ours_is_read_only_when_all_that_it_is_made_of_is_known() -> None:
    type_ = "pulumi-python:dynamic/triplane:AwsBuiltImage"
    inputs = {"repository": "r", "tag": "t", "project": UNKNOWN, "__provider": "x"}
    assert importer.candidates([wanted(type_, "i", inputs=inputs)], [], state()) == []
    whole = {**inputs, "project": "p"}
    (found,) = importer.candidates([wanted(type_, "i", inputs=whole)], [], state())
    assert (found["id"], found["inputs"]) == ("r:t", whole)


def test_providers_and_components_are_taken_from_the_preview() -> None:
    component = {"urn": f"{URN}c::c", "type": "c", "custom": False, "outputs": {"a": UNKNOWN}}
    new = {
        "urn": AWS,
        "type": "pulumi:providers:aws",
        "inputs": {"region": "r", "secretKey": "[secret]"},
    }
    log = json.dumps({"resourcePreEvent": {"metadata": {"new": new}}})
    there = importer.founded({}, [component, LAKE], f'{log}\n{{"other": 1}}')["resources"]
    assert [each["urn"] for each in there] == [AWS, component["urn"]]
    assert there[0]["inputs"] == {"region": "r"}
    assert there[0]["id"]
    assert there[1]["outputs"] == {}
    again = importer.founded({"resources": there}, [component], log)["resources"]
    assert again == there


@pytest.mark.parametrize("other", [{"stack": "dev-2"}, {"environment": "production"}])
def test_what_stands_under_a_fixed_name_with_other_tags_is_not_adopted(
    other: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = wanted(BUCKET, "fixed", inputs={"tags": {**TAGS, "team": "t"}}, id="fixed")
    labels = wanted(BUCKET, "labels", inputs={"labels": TAGS}, id="labels")
    theirs = {**fixed, "outputs": {"tags": {**TAGS, **other}}, "inputs": {}}
    ours = {**labels, "outputs": {"effectiveLabels": TAGS}, "inputs": {}}
    ours["dependencies"] = [fixed["urn"], AWS]
    there, urns = state(theirs, ours), [fixed["urn"], labels["urn"]]
    assert importer.own(there, urns, [fixed, labels]) == [labels["urn"]]
    assert there["resources"][-1] == {**ours, "dependencies": [AWS], "propertyDependencies": {}}
    assert fixed["urn"] not in {each["urn"] for each in there["resources"]}
    assert "fixed stands, and is not this stack's" in capsys.readouterr().out


def test_the_key_is_the_one_in_the_secret_and_stays_encrypted() -> None:
    version = wanted(
        "aws:secretsmanager/secretVersion:SecretVersion", "v", outputs={"secretString": HIDDEN}
    )
    elsewhere = {**version, "urn": "w", "parent": "another", "outputs": {"secretString": {}}}
    key = wanted(RANDOM_KEY, "k", inputs={"rotation": 2, "__provider": "x"})
    there = state(elsewhere, version)
    importer.keep_key(there, [key])
    put, after = there["resources"][-2:]
    assert put["outputs"] == {"rotation": 2, "__provider": "x", "value": HIDDEN}
    assert after == version, "it stands before what is made of it"
    importer.keep_key(there, [key])
    assert len(there["resources"]) == 5, "and is put there once"


def test_a_key_that_is_only_in_a_vault_is_read_there_or_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = wanted(RANDOM_KEY, "k")
    secret = wanted(importer.IN_VAULT, "s", id="/s", outputs={"properties": {"secretUri": "u"}})
    monkeypatch.delenv("ALLOW", raising=False)
    monkeypatch.setattr(
        discovery, "key_in_vault", lambda properties: f"of {properties['secretUri']}"
    )
    there = state(secret)
    importer.keep_key(there, [key])
    assert there["resources"][-2]["outputs"]["value"]["plaintext"] == '"of u"'
    assert secret["inputs"]["properties"]["value"][SIGNATURE] == SECRET

    def refuses(_: Any) -> str:
        raise PermissionError("403 Forbidden")

    monkeypatch.setattr(discovery, "key_in_vault", refuses)
    with pytest.raises(
        SystemExit, match=r"(?s)/s.*403 Forbidden.*Nothing was changed.*ALLOW=new-key"
    ):
        importer.keep_key(state(secret), [key])
    monkeypatch.setenv("ALLOW", importer.NEW_KEY)
    there = state(secret)
    importer.keep_key(there, [key])
    assert len(there["resources"]) == 3


def test_in_the_end_all_stands_in_the_programs_order_with_its_dependencies() -> None:
    first, second = wanted(BUCKET, "a", id="a"), wanted(POLICY, "b", id="b", dependencies=[])
    gone = wanted(BUCKET, "of-an-older-program", id="c")
    old = {**first, "delete": True, "id": "d"}
    told = [
        {"urn": first["urn"], "newState": {**first, "retainOnDelete": True}},
        {"urn": second["urn"], "newState": {**second, "dependencies": [first["urn"], "unadopted"]}},
    ]
    woven = importer.woven(state(second, gone, first, old), told)["resources"]
    assert [each.get("id") for each in woven] == ["1", "a", "b", None, "c", "d"]
    assert woven[1]["retainOnDelete"]
    assert woven[2]["dependencies"] == [first["urn"]]
