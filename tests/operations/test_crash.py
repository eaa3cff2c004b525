"""What the crash matrix reads from the engine, and how it judges: without an engine and without a rehearsal."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from operations.crash import vertex
from operations.crash.checkout import Checkout
from operations.crash.faults import FAULTS
from operations.crash.judge import Reference, judge, lost_or_replaced
from operations.crash.matrix import all_scenarios, selected_clouds
from operations.crash.normal_form import differences, normal_form
from operations.crash.resources import existing_resources
from operations.crash.scenario import Run, hits_without_effect
from operations.crash.steps import OPERATIONS, CrashStep, steps_in
from operations.crash.verdict import Verdict
from operations.engine.pulumi_cli import PulumiCli

BUCKET = "aws:s3/bucket:Bucket"
URN = f"urn:pulumi:dev::triplane::triplane:index:Platform${BUCKET}::lake"


class FakeCheckout:
    """A checkout in which nothing runs: existing resources, a state and a ledger."""

    stack = "dev"

    def __init__(
        self,
        *existing: str,
        managed: tuple[str, ...] = (),
        pending: bool = False,
        created: float = 1,
    ) -> None:
        self.existing, self.managed, self.created = existing, managed, created
        self.has_pending = pending
        self.ledger: list[dict[str, Any]] = []
        self.preview_code = 0
        self.models_in_state: list[str] = []
        self.models_in_cloud: list[str] = []
        self.drifted: dict[str, list[str]] = {}
        self.refresh_fails = False

    def control(self, path: str) -> list[dict[str, Any]]:
        if path.startswith("ledger"):
            return self.ledger
        lake = {"urn": URN, "token": BUCKET, "name": "lake", "created": self.created}
        return [{**lake, "id": id_} for id_ in self.existing]

    def unrecorded_resources(self) -> list[dict[str, Any]]:
        model = {"token": vertex.MODEL, "name": "endpoint-model", "created": "2013"}
        return [{**model, "id": id_} for id_ in self.models_in_cloud]

    def state(self) -> dict[str, Any]:
        resources = [{"urn": URN, "type": BUCKET, "id": id_} for id_ in self.managed]
        resources += [{"urn": "", "type": vertex.MODEL, "id": id_} for id_ in self.models_in_state]
        return {"resources": resources, "pending_operations": [1] if self.has_pending else []}

    def drift(self) -> dict[str, list[str]]:
        if self.refresh_fails:
            raise ValueError("the refresh failed")
        return self.drifted

    def pending(self) -> set[str]:
        return {"lake"} if self.has_pending else set()

    def preview(self) -> Any:
        class Done:
            returncode, stdout = self.preview_code, ""

        return Done


def judged(
    checkout: FakeCheckout,
    operation: str = "create",
    left: str = f"{BUCKET} lake",
    before: FakeCheckout | None = None,
    *steps: CrashStep,
) -> Verdict:
    verdict = Verdict(f"aws/{operation}/kill-after")
    reference = Reference(list(steps), Counter([left]))
    former = existing_resources(before) if before else []  # type: ignore[arg-type]
    judge(checkout, operation, reference, former, verdict)  # type: ignore[arg-type]
    return verdict


def test_resources_as_after_a_run_without_faults_are_right() -> None:
    assert not judged(FakeCheckout("a", managed=("a",))).wrong


def test_a_second_resource_of_a_name_is_duplicated_and_orphaned() -> None:
    verdict = judged(FakeCheckout("a", "b", managed=("b",)))
    assert verdict.duplicated == [f"{BUCKET} lake"]
    assert verdict.orphaned == [f"{BUCKET} lake"]


def test_what_a_run_without_faults_leaves_on_purpose_is_not_orphaned() -> None:
    checkout, verdict = FakeCheckout("a"), Verdict("gcp/delete/kill-after")
    left = Counter([f"{BUCKET} lake"])
    judge(checkout, "delete", Reference([], left, unmanaged=left), [], verdict)  # type: ignore[arg-type]
    assert not verdict.wrong


def test_a_resource_that_only_the_state_has_is_lost() -> None:
    assert judged(FakeCheckout(managed=("a",))).lost


def test_a_resource_with_another_id_than_in_the_state_is_orphaned_and_lost() -> None:
    verdict = judged(FakeCheckout("a", managed=("b",)))
    assert verdict.orphaned
    assert verdict.lost


def test_an_update_that_only_the_state_has_is_reported_as_drift() -> None:
    checkout = FakeCheckout("a", managed=("a",))
    checkout.drifted = {URN: ["tags"]}
    assert judged(checkout, "update").wrong == [f"drifted: {BUCKET} lake: tags"]
    assert not judged(checkout, "delete").drifted


def test_a_cloud_that_could_not_be_queried_is_not_assumed_to_be_right() -> None:
    checkout = FakeCheckout("a", managed=("a",))
    checkout.refresh_fails = True
    assert "could not be queried" in judged(checkout).other[0]


COMPLETE = {"steps": [], "changeSummary": {"same": 1}}
READ = {"resOutputsEvent": {"metadata": {"urn": URN, "op": "same"}}}
SUMMARY = {"summaryEvent": {"resourceChanges": {"same": 1}}}


@pytest.mark.parametrize(
    ("printed", "events", "wrong"),
    [
        (COMPLETE, (READ, SUMMARY), ""),
        (COMPLETE, (SUMMARY,), "did not read"),
        (COMPLETE, (READ,), "was interrupted"),
        ({"steps": [{"urn": URN, "op": "refresh"}]}, (READ,), "was interrupted"),
        ("", (), "is not"),
    ],
)
def test_a_refresh_counts_only_if_it_read_every_resource(
    printed: object,
    events: Sequence[Mapping[str, object]],
    wrong: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    lake = {"urn": URN, "type": BUCKET, "custom": True}
    provider = {"urn": "p", "type": "pulumi:providers:aws", "custom": True}
    done = subprocess.CompletedProcess([], 0, json.dumps(printed) if printed else "", "")
    monkeypatch.setattr(Checkout, "state", lambda _: {"resources": [lake, provider]})
    monkeypatch.setattr(Checkout, "_cli", PulumiCli("dev", tmp_path, {}))
    log = "\n".join(map(json.dumps, events))
    monkeypatch.setattr(PulumiCli, "captured_refresh", lambda _: (done, log))
    with pytest.raises(ValueError, match=wrong) if wrong else contextlib.nullcontext():
        assert Checkout("aws", tmp_path).drift() == {}


NEW_LAKE = CrashStep("create", BUCKET, "lake")
ROLE = "aws:iam/role:Role"


@pytest.mark.parametrize(
    "after",
    [
        FakeCheckout("lake-3e1d1c6", managed=("lake-3e1d1c6",)),
        FakeCheckout("lake", managed=("lake",), created=2),
    ],
    ids=["another suffix", "created again under its name"],
)
@pytest.mark.parametrize("operation", ["update", "replace"])
def test_a_new_lake_in_place_of_the_old_one_is_lost_data(
    operation: str, after: FakeCheckout
) -> None:
    before = FakeCheckout("lake" if after.created == 2 else "lake-0ffe8dc")
    # Even if the run without faults created another one, too: no scenario replaces a precious resource.
    for steps in ([], [NEW_LAKE]):
        verdict = judged(after, operation, f"{BUCKET} lake", before, *steps)
        assert [each.split(",")[1] for each in verdict.wrong] == [" which existed before"]


def test_a_resource_that_a_run_without_faults_replaces_may_be_replaced() -> None:
    old, new = ({"token": ROLE, "name": "r", "id": "r", "created": at} for at in (1, 2))
    assert lost_or_replaced([old], [new], [CrashStep("update", ROLE, "r")])
    assert not lost_or_replaced([old], [new], [CrashStep("create", ROLE, "r")])
    assert lost_or_replaced([old], [], [])


@pytest.mark.parametrize(
    ("in_cloud", "in_state", "kinds"),
    [
        (["m1"], ["m1"], []),
        (["m1", "m2"], ["m1"], ["orphaned", "duplicated"]),
        (["m2"], ["m1"], ["orphaned", "lost"]),
        ([], ["m1"], ["lost", "lost"]),
    ],
)
def test_vertex_ai_has_exactly_the_models_of_the_state(
    in_cloud: list[str], in_state: list[str], kinds: list[str]
) -> None:
    checkout = FakeCheckout()
    checkout.models_in_cloud, checkout.models_in_state = in_cloud, in_state
    verdict = judged(checkout, left=f"{vertex.MODEL} endpoint-model")
    assert [each.split(":")[0] for each in verdict.wrong] == kinds


@pytest.mark.parametrize("wrong", ["pending", "preview"])
def test_pending_operations_and_a_preview_with_changes_are_wrong(wrong: str) -> None:
    checkout = FakeCheckout("a", managed=("a",), pending=wrong == "pending")
    checkout.preview_code = int(wrong == "preview")
    assert wrong in judged(checkout).other[0]


@pytest.mark.parametrize(
    ("fault", "done", "begun", "code", "no_effect"),
    [
        ("kill-before", False, False, None, False),
        ("kill-before", False, True, None, True),
        ("kill-during", False, True, None, False),
        ("kill-during", True, True, None, True),
        ("kill-after", True, True, None, False),
        ("kill-after", False, True, None, True),
        ("kill-after", True, False, None, True),
        ("answer-lost", True, False, 255, False),
        ("answer-lost", True, False, 0, True),
        ("connection-lost", True, False, 255, True),
        ("slow", True, False, 0, False),
    ],
)
def test_a_hit_counts_only_if_the_fault_did_its_harm(
    fault: str, done: bool, begun: bool, code: int | None, no_effect: bool
) -> None:
    checkout = FakeCheckout(pending=begun)
    checkout.ledger = [{"entry": 7, "verb": "created", "token": BUCKET, "name": "lake"}] * done
    run = Run(code, {CrashStep("create", BUCKET, "lake"): FAULTS[fault]})
    assert bool(hits_without_effect(checkout, run, 6)) is no_effect  # type: ignore[arg-type]


def test_the_event_log_yields_the_steps_that_change_a_cloud(tmp_path: Path) -> None:
    def event(op: str, token: str, name: str, **old: bool) -> str:
        urn = f"urn:pulumi:dev::triplane::{token}::{name}"
        metadata = {"op": op, "type": token, "urn": urn, "old": old}
        return json.dumps({"resourcePreEvent": {"metadata": metadata}})

    log = tmp_path / "events.json"
    lines = [
        event("same", BUCKET, "unchanged"),
        event("create", "triplane:aws:DataLake", "component"),
        event("create", BUCKET, "created"),
        event("create-replacement", BUCKET, "new"),
        event("replace", BUCKET, "new"),
        event("delete-replaced", BUCKET, "new"),
        event("delete-replaced", BUCKET, "retained", retainOnDelete=True),
    ]
    log.write_text("\n".join([json.dumps({"preludeEvent": {}}), *lines]))
    assert [str(step) for step in steps_in(log)] == [
        f"create {BUCKET} created",
        f"create {BUCKET} new",
        f"delete {BUCKET} new",
    ]


def test_the_first_eleven_scenarios_have_every_operation_and_every_fault() -> None:
    scenarios = all_scenarios()
    assert {operation for operation, _ in scenarios[:11]} == set(OPERATIONS)
    assert {fault for _, fault in scenarios[:11]} == set(FAULTS)
    assert len(set(scenarios)) == len(scenarios) == 4 * 11 - 1


def test_only_clouds_with_a_selected_scenario_run() -> None:
    clouds = ("aws", "gcp", "azure")
    assert selected_clouds(clouds, "*") == list(clouds)
    assert selected_clouds(clouds, "gcp/update/kill-*") == ["gcp"]


@pytest.mark.parametrize(
    ("cloud", "only", "reason"),
    [
        ("awz", "*", "Did you mean aws?"),
        ("aws", "aws/craete/*", "operation  create, update"),
        ("aws", "gcp/*", "cloud      aws\n"),
        ("aws", "aws/delete/kill-before", "requests no check"),
    ],
)
def test_a_pattern_that_matches_no_scenario_is_refused(
    cloud: str, only: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        selected_clouds([cloud], only)
    assert exited.value.code == 2
    assert reason in capsys.readouterr().err


def test_what_a_read_alone_changes_is_no_difference_and_another_content_is_one() -> None:
    urn = "urn:pulumi:dev::triplane::gcp:storage/bucketObject:BucketObject::context"

    def state(asset: str, **inputs: Any) -> dict[str, Any]:
        source = {"source": {"hash": asset}, "__defaults": [], **inputs}
        return {"resources": [{"urn": urn, "type": urn.split("::")[2], "inputs": source}]}

    created = state("one", detectMd5hash="different hash", __defaults=["detectMd5hash"])
    read = state("one", detectMd5hash="6khF5k3GhBBRtl8hpIPmDw==")
    assert differences(normal_form(created), normal_form(read)) == []
    assert differences(normal_form(created), normal_form(state("two")))
