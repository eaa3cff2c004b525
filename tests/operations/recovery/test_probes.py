"""What probes put into a state, and what becomes of them after a refresh, without an engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from operations.engine.resources import resource_name
from operations.recovery import probes
from tests.operations.recovery.states import STACK, deployment, refreshed, role

RUN_START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_found_resource_stays_and_a_missing_one_is_created_again() -> None:
    probed = probes.with_probes(deployment(), [role("found", "f-1"), role("missing", "m-1")])
    after, found = probes.with_found_resources(refreshed(probed, "f-1"))
    assert found == [role("found")["urn"]]
    assert [each.get("id") for each in after["resources"]] == [None, "f-1"]


def test_a_found_replacement_marks_its_predecessor_for_deletion() -> None:
    probed = probes.with_probes(deployment(role(id="old")), [role(physical="new")])
    after, _ = probes.with_found_resources(refreshed(probed, "new"))
    assert [(each.get("id"), each.get("delete")) for each in after["resources"][1:]] == [
        ("new", None),
        ("old", True),
    ]


def test_a_predecessor_that_was_deleted_first_leaves_the_state() -> None:
    old = role(id="old", pendingReplacement=True)
    probed = probes.with_probes(deployment(old), [role(physical="new")])
    after, _ = probes.with_found_resources(refreshed(probed, "new"))
    assert [each.get("id") for each in after["resources"]] == [None, "new"]


def test_a_resource_that_the_state_has_is_not_added_twice() -> None:
    probed = probes.with_probes(deployment(role(id="r-1234567")), [role()])
    after, found = probes.with_found_resources(refreshed(probed, "r-1234567"))
    assert not found
    assert len(after["resources"]) == 2


@pytest.mark.parametrize(("minutes", "ours"), [(-10, False), (-4, True), (1, True)])
def test_a_resource_older_than_the_run_belongs_to_somebody_else(minutes: int, ours: bool) -> None:
    created = (RUN_START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    probed = probes.with_probes(deployment(), [role(physical="r-1")])
    probed["resources"][-1]["outputs"] = {"createTime": created}
    after, found = probes.with_found_resources(probed, RUN_START)
    assert bool(found) is ours
    assert [each.get("id") for each in after["resources"]] == [None, "r-1"][: 1 + ours]


def test_a_resource_that_is_not_taken_over_hides_none_behind_it() -> None:
    known, others, ours = role("a", "a-1"), role("b", "b-1"), role("c", "c-1")
    probed = probes.with_probes(deployment(role("a", "a-1", id="a-1")), [known, others, ours])
    after = refreshed(probed, "a-1", "b-1", "c-1")
    long_ago = (RUN_START - timedelta(days=1)).isoformat()
    for each in after["resources"]:
        each["outputs"] = {"createTime": long_ago} if each.get("id") == "b-1" else {}
    _, found = probes.with_found_resources(after, RUN_START)
    assert found == [ours["urn"]]
    _, found = probes.with_found_resources(after)
    assert found == [others["urn"], ours["urn"]], "without a run's start nothing is too old"


def test_plain_pulumi_forgets_a_probe_without_deleting_the_resource() -> None:
    probed = probes.with_probes(deployment(), [role(physical="r-1")])
    assert probed["resources"][-1]["retainOnDelete"]
    after, _ = probes.with_found_resources(refreshed(probed, "r-1"))
    assert "retainOnDelete" not in after["resources"][-1]


def test_a_resource_that_may_be_written_twice_gets_no_probe() -> None:
    upsert = role(type="aws:s3/bucketVersioning:BucketVersioning")
    assert probes.with_probes(deployment(), [upsert])["resources"] == deployment()["resources"]


def test_an_id_that_is_known_already_is_not_derived_from_the_inputs() -> None:
    [probe] = probes.probes(probes.with_probes(deployment(), [role(physical="r-1", id="r-2")]))
    assert probe["id"] == "r-2"


@pytest.mark.parametrize(
    ("type_", "outputs"),
    [
        ("aws:iam/role:Role", {}),
        ("gcp:storage/bucketObject:BucketObject", {"bucket": "b", "name": "n"}),
    ],
)
def test_a_type_without_an_import_is_read_by_what_the_program_asked_for(
    type_: str, outputs: dict[str, str]
) -> None:
    wanted = role(type=type_, inputs={"bucket": "b", "name": "n"})
    [probe] = probes.probes(probes.with_probes(deployment(), [wanted]))
    assert probe["outputs"] == outputs


def test_a_resource_whose_parent_is_not_in_the_state_gets_no_probe() -> None:
    child = role(parent="urn:pulumi:dev::triplane::triplane:aws:Gateway::gone")
    assert not probes.probes(probes.with_probes(deployment(), [child]))
    assert probes.probes(probes.with_probes(deployment(), [role(parent=None)]))


def test_a_probe_has_no_dependencies_that_the_state_lacks() -> None:
    wanted = role(dependencies=[STACK, "gone"], propertyDependencies={"name": ["gone"]})
    probed = probes.with_probes(deployment(), [wanted])
    assert probed["resources"][-1]["dependencies"] == [STACK]
    assert probed["resources"][-1]["propertyDependencies"] == {"name": []}


def test_an_autonamed_resource_keeps_its_mark_after_an_import() -> None:
    bucket = role(inputs={"bucket": "b-1", "acl": "x", "__defaults": ["acl", "bucket"]})
    read = {**bucket, "inputs": {"bucket": "b-1", "acl": "changed", "__defaults": []}}
    azure = role("a", type="azure-native:web:WebApp", inputs={"name": "a1"})
    marked = probes.with_autonaming_marks(deployment(read, azure), [bucket, azure])["resources"]
    assert marked[1]["inputs"]["__defaults"] == ["bucket"]
    assert "__defaults" not in marked[2]["inputs"]
    assert "__createBeforeDelete" not in marked[2]["inputs"]


def test_a_random_name_on_azure_keeps_its_mark_after_an_import() -> None:
    names = {"kept": "kept12345678", "other": "other12345678", "chosen": "chosen"}
    wanted = [
        role(
            key, type="azure-native:web:WebApp", inputs={"name": name, "__createBeforeDelete": True}
        )
        for key, name in names.items()
    ]
    found = {**names, "other": "other87654321"}
    read = [{**each, "inputs": {"name": found[resource_name(each["urn"])]}} for each in wanted]
    marked = probes.with_autonaming_marks(deployment(*read), wanted)["resources"]
    assert [each["inputs"].get("__createBeforeDelete") for each in marked[1:]] == [True, None, None]
