"""`make … STACK=prod`: each command on a stack whose backend and credentials are not the clone's own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bench.harness import Rehearsal
from components.resource_types import PRECIOUS
from tests.e2e.foreign_clone import BUCKET, STACK, STATE, ForeignClone

AWS_ACCOUNT = "123456789012"
"""The rehearsal's."""


@pytest.fixture(scope="module", params=["aws", "gcp", "azure"])
def clone(
    request: pytest.FixtureRequest, models: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ForeignClone]:
    """A clone with a stack in another clone's rehearsal, its state in a bucket there."""
    folder = tmp_path_factory.mktemp(f"foreign-{request.param}")
    rehearsal = Rehearsal(folder / "rehearsal")
    rehearsal.start()
    clone = ForeignClone.create(request.param, rehearsal, folder)
    try:
        missing = clone.make("up", code=1)
        assert "There is no stack prod in s3://states" in missing
        assert clone.existing_urns() == []
        clone.pulumi("stack", "init", STACK, "--no-select")
        clone.make("up")
        yield clone
    finally:
        clone.front.close()
        rehearsal.command("stop")


def test_the_commands_act_on_the_stack_and_nothing_of_the_clone(clone: ForeignClone) -> None:
    printed = clone.make("up")
    assert "Stack prod: no change" in printed
    assert re.search(r"probability of late 0\.\d+, from model", printed)
    assert "probability" in clone.make("predict")
    assert "gateway_key    secret: make key STACK=prod" in clone.make("outputs")
    assert re.fullmatch(r"[\w-]{43}\n", clone.make("key")), "the key alone, for a pipe"
    assert "unchanged" in clone.make("preview")
    assert "loses nothing precious" in clone.make("guard")
    assert "# Drift of prod: 0 resources" in clone.make("drift")
    assert not (clone.folder / ".rehearsal").exists()
    assert not (clone.folder / ".pulumi" / "backend" / ".pulumi").exists()
    assert STATE in clone.objects()
    assert json.loads(clone.read_object(STATE))["checkpoint"]["stack"].endswith("/prod")


ON_AWS = pytest.mark.parametrize("clone", ["aws"], indirect=True)
"""For what is the same on every cloud. Nearest to the function, so that the cloud comes first in a test's id."""


@ON_AWS
def test_a_change_by_hand_is_found_and_taken_back(clone: ForeignClone) -> None:
    function = "aws:lambda/function:Function"
    by_hand = {"stack": STACK, "on": function, "inputs": {"timeout": 3}}
    assert clone.rehearsal.control("/_api/change", by_hand).status == 200
    assert "timeout" in clone.make("drift", code=1)
    assert f"{function} triplane-gateway-function: timeout" in clone.make("repair")
    assert "# Drift of prod: 0 resources" in clone.make("drift")


def with_foreign_resource(copy: bytes) -> bytes:
    """A copy of a state with a resource that is not the stack's: the next update would delete it, as not in the program."""
    state = json.loads(copy)
    resources = state["deployment"]["resources"]
    last = next(each for each in reversed(resources) if each["custom"])
    victim = {**last, "urn": f"{last['urn']}-of-somebody"}
    return json.dumps(
        {**state, "deployment": {**state["deployment"], "resources": [*resources, victim]}}
    ).encode()


def test_a_lost_state_is_adopted_from_its_copy_in_the_lake(
    clone: ForeignClone, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = clone.existing_urns()
    copy = clone.state_copy(monkeypatch)
    for name in clone.objects():
        if f"/{STACK}" in name:
            clone.delete_object(name)
    refused = clone.make("up", code=1)
    assert "make adopt STACK=prod" in refused
    clone.pulumi("stack", "init", STACK, "--no-select")  # as somebody does who reads no message
    assert "belongs to it, with a copy of its state" in clone.make("up", code=1)
    with copy.replaced(with_foreign_resource), nothing_changed(clone):
        refused = clone.make("adopt", code=1)
    assert "its signature does not fit" in refused
    assert "ALLOW=without-copy" in refused
    adopted = clone.make("adopt")
    assert "would now create 0, replace 0 and change 0" in adopted
    assert "Stack prod: no change" in clone.make("up")
    assert clone.existing_urns() == before


@ON_AWS
def test_a_lost_region_is_restored_from_a_backup(clone: ForeignClone) -> None:
    assert "BACKUP=… is missing" in clone.make("backup", code=1)
    backup = str(clone.folder.parent / "backup")
    prediction = clone.make("predict")
    assert "new or changed" in clone.make("backup", BACKUP=backup)
    assert clone.rehearsal.control("/_api/lose", {"stack": STACK}).status == 200
    for name in clone.objects():
        if f"/{STACK}" in name:
            clone.delete_object(name)
    assert clone.existing_urns() == []
    assert "Restored " in clone.make("restore", BACKUP=backup)
    said = re.search(r"probability \S+ from model \w+", prediction)
    assert said
    assert said[0] in clone.make("predict")


@pytest.fixture(autouse=True)
def without_last_update(clone: ForeignClone) -> None:
    """As after an update on another machine: `make up` does not leave the next one out."""
    for record in (clone.folder / ".pulumi").rglob("updated-*.json"):
        record.unlink()


@contextmanager
def nothing_changed(clone: ForeignClone) -> Iterator[None]:
    """Neither the backend nor the cloud is changed by the block."""
    before = clone.objects(), clone.existing_urns()
    yield
    assert (clone.objects(), clone.existing_urns()) == before


@pytest.mark.parametrize("command", ["up", "outputs", "adopt", "restore"])
@ON_AWS
def test_a_backend_that_cannot_be_reached_is_one_clear_error(
    clone: ForeignClone, command: str
) -> None:
    closed = f"s3://{BUCKET}?region=us-east-1&endpoint=http://127.0.0.1:9"
    backup = str(clone.folder / ".models")
    with nothing_changed(clone):
        printed = clone.make(command, code=1, PULUMI_BACKEND_URL=closed, BACKUP=backup)
    assert "The backend with the state cannot be read" in printed
    assert "Traceback" not in printed


@ON_AWS
def test_a_backend_that_may_not_be_listed_is_one_clear_error(clone: ForeignClone) -> None:
    with (
        nothing_changed(clone),
        clone.front.refusing(
            lambda method, path: (403, "AccessDenied") if "list-type=2" in path else None
        ),
    ):
        printed = clone.make("up", code=1)
    assert "AccessDenied" in printed
    assert "The credentials are valid, and may not do this" in printed


@pytest.mark.parametrize("command", ["up", "outputs"])
@ON_AWS
def test_another_passphrase_is_one_clear_error(clone: ForeignClone, command: str) -> None:
    with nothing_changed(clone):
        printed = clone.make(command, code=1, PULUMI_CONFIG_PASSPHRASE="another")
    assert "incorrect passphrase" in printed
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in printed
    assert "Traceback" not in printed


@ON_AWS
def test_a_lock_of_another_machine_is_one_clear_error(clone: ForeignClone) -> None:
    lock = {"pid": 7, "username": "ci", "hostname": "runner-5", "timestamp": "2026-01-01T00:00:00Z"}
    name = f".pulumi/locks/organization/triplane/{STACK}/0b1c.json"
    clone.write_object(name, json.dumps(lock).encode())
    try:
        with nothing_changed(clone):
            printed = clone.make("up", code=1)
    finally:
        clone.delete_object(name)
    assert "by process 7 of ci on runner-5" in printed
    assert f"pulumi cancel --stack {STACK}" in printed


@pytest.mark.parametrize("command", ["up", "adopt", "backup"])
@ON_AWS
def test_a_state_of_a_newer_pulumi_is_one_clear_error(clone: ForeignClone, command: str) -> None:
    newer = clone.state_replaced(lambda checkpoint: {**checkpoint, "version": 99})
    with newer, nothing_changed(clone):
        printed = clone.make(command, code=1, BACKUP=str(clone.folder / "none"))
    assert "Install a Pulumi that is at least as new" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("command", ["up", "destroy", "drift"])
@ON_AWS
def test_another_account_is_one_clear_error(clone: ForeignClone, command: str) -> None:
    def elsewhere(checkpoint: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(checkpoint).replace(AWS_ACCOUNT, "999999999999")
        return dict(json.loads(text))

    with clone.state_replaced(elsewhere), nothing_changed(clone):
        printed = clone.make(command, code=1, BACKUP=str(clone.folder / "none"))
    assert "the stack was created in 999999999999" in printed
    assert "Traceback" not in printed


@ON_AWS
def test_credentials_that_end_in_the_middle_lose_nothing(clone: ForeignClone) -> None:
    clone.settings(**{"triplane:tags": {"team": "one"}})
    fault = ("expired", "--method", "update", "--on", "aws:*", "--times", "0")
    clone.rehearsal.command("fault", *fault)
    try:
        printed = clone.make("up", code=1)
    finally:
        clone.rehearsal.command("fault", "clear")
    assert "ExpiredToken" in printed
    assert "The credentials are missing, or are not valid any more" in printed
    assert "aws sso login" in printed
    assert "Traceback" not in printed
    converged(clone)


@ON_AWS
def test_an_interrupted_update_whose_lock_is_left_is_completed_once_a_person_removes_it(
    clone: ForeignClone,
) -> None:
    """In a bucket the lock of this machine cannot be told from one of another machine of the same name."""
    clone.settings(**{"triplane:tags": {"team": "killed"}})
    clone.killed("up", lambda: bool(clone.state().get("pending_operations")))
    shutil.rmtree(clone.folder / ".pulumi" / "shell")  # the next run is on another machine
    with nothing_changed(clone):
        printed = clone.make("up", code=1)
    assert "pulumi cancel --stack prod" in printed
    clone.pulumi("cancel", "--yes", "--stack", STACK)
    converged(clone)


@ON_AWS
def test_ctrl_c_in_an_update_loses_nothing(clone: ForeignClone) -> None:
    clone.settings(**{"triplane:tags": {"team": "two"}})
    begun = len(clone.front.requests)

    code, printed = clone.interrupted("up", lambda: clone.front.wrote(STATE, since=begun))
    assert code
    assert "Traceback" not in printed
    assert not clone.state().get("pending_operations")
    converged(clone)


@pytest.mark.parametrize("command", ["up", "drift"])
@ON_AWS
def test_ctrl_c_while_a_command_still_looks_changes_nothing(
    clone: ForeignClone, command: str
) -> None:
    begun = len(clone.front.requests)
    with nothing_changed(clone):
        code, printed = clone.interrupted(command, lambda: len(clone.front.requests) > begun + 6)
    assert code == 130
    assert "Interrupted." in printed
    assert "Traceback" not in printed


def converged(clone: ForeignClone) -> None:
    """The next `up` completes it: the cloud has each resource once, and as the program asks for it."""
    clone.make("up")
    assert "# Drift of prod: 0 resources" in clone.make("drift")
    existing = clone.existing_urns()
    assert len(existing) == len(set(existing))


KEPT = {
    "aws": {"lake", "registry"},
    "gcp": {"lake"},
    "azure": {"lake", "registry", "resource group"},
}
"""What `keep_data: true` keeps of what is precious: docs/reference/settings.md, and the pages of the clouds."""


def test_plain_destroy_keeps_the_lake_and_the_platform_comes_back_on_it(
    clone: ForeignClone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings alone keep the data: no update goes before, and no `make` guards."""
    lake, uri = clone.lake(monkeypatch), clone.lake_uri()

    def contents() -> dict[str, str | None]:
        """All but contexts of builds, which the program makes again, and deletes as its own resources."""
        found = {each.name: each.md5 for each in lake.objects()}
        return {name: md5 for name, md5 in found.items() if not name.startswith("builds/")}

    objects = contents()
    assert any(name.startswith("captures/") for name in objects)
    clone.pulumi("destroy", "--yes", "--skip-preview", "--stack", STACK)
    types = {urn.split("::")[2].rpartition("$")[2] for urn in clone.existing_urns()}
    assert {PRECIOUS[each] for each in types & PRECIOUS.keys()} == KEPT[clone.cloud]
    assert contents() == objects
    assert "make adopt STACK=prod" in clone.make("up", code=1)
    assert "ALLOW=vanished" in clone.make("adopt", code=1)
    clone.make("adopt", ALLOW="vanished")
    clone.make("up")
    assert clone.lake_uri() == uri
    assert objects.keys() <= set(lake.names())
    assert "probability" in clone.make("predict")


@ON_AWS
def test_destroy_keeps_the_data_until_it_is_asked_for(clone: ForeignClone) -> None:
    clone.settings(**{"triplane:keep_data": False})
    clone.make("up")
    kept = clone.make("destroy")
    assert "triplane-lake" in kept
    assert "make destroy STACK=prod DATA=destroy" in kept
    assert clone.existing_urns()
    clone.make("destroy", DATA="destroy")
    assert clone.existing_urns() == []
    assert (
        "Stack prod serves nothing: it has no gateway. To bring it up: make up STACK=prod"
        in clone.make("outputs", code=1)
    )
