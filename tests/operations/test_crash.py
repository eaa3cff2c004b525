"""What the crash matrix reads from the engine, and how it judges, without either."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from operations.crash import judge, scenario, vertex
from operations.crash.__main__ import chosen, matrix
from operations.crash.checkout import Clone
from operations.crash.scenario import BLOWS, OPERATIONS, Step, Verdict

BUCKET = "aws:s3/bucket:Bucket"
URN = f"urn:pulumi:dev::triplane::triplane:index:Platform${BUCKET}::lake"


class Cloud:
    """A clone in which nothing runs: what stands, what the state says, what the ledger tells."""

    stack = "dev"

    def __init__(
        self, *stands: str, knows: tuple[str, ...] = (), pending: bool = False, made: float = 1
    ) -> None:
        self.stands, self.knows, self.at_work, self.made = stands, knows, pending, made
        self.told: list[dict[str, Any]] = []
        self.again = 0
        self.models: list[str] = []
        self.uploads: list[str] = []
        self.otherwise: dict[str, list[str]] = {}
        self.deaf = False

    def ask(self, path: str) -> list[dict[str, Any]]:
        if path.startswith("ledger"):
            return self.told
        lake = {"urn": URN, "token": BUCKET, "name": "lake", "created": self.made}
        return [{**lake, "id": id_} for id_ in self.stands]

    def served(self) -> list[dict[str, Any]]:
        model = {"token": vertex.MODEL, "name": "endpoint-model", "created": "2013"}
        return [{**model, "id": id_} for id_ in self.uploads]

    def state(self) -> dict[str, Any]:
        resources = [{"urn": URN, "type": BUCKET, "id": id_} for id_ in self.knows]
        resources += [{"urn": "", "type": vertex.MODEL, "id": id_} for id_ in self.models]
        return {"resources": resources, "pending_operations": [1] if self.at_work else []}

    def drift(self) -> dict[str, list[str]]:
        if self.deaf:
            raise ValueError("the refresh failed")
        return self.otherwise

    def pending(self) -> set[str]:
        return {"lake"} if self.at_work else set()

    def preview(self) -> Any:
        class Done:
            returncode, stdout = self.again, ""

        return Done


def judged(
    cloud: Cloud,
    operation: str = "create",
    left: str = f"{BUCKET} lake",
    before: Cloud | None = None,
    *steps: Step,
) -> Verdict:
    verdict = Verdict(f"aws/{operation}/kill-after")
    reference = judge.Reference(list(steps), Counter([left]))
    stood = judge.own(before) if before else []  # type: ignore[arg-type]
    judge.judge(cloud, operation, reference, stood, verdict)  # type: ignore[arg-type]
    return verdict


def test_what_stands_as_it_would_have_anyway_is_well() -> None:
    assert not judged(Cloud("a", knows=("a",))).wrong


def test_a_second_one_is_doubled_and_nobodys() -> None:
    verdict = judged(Cloud("a", "b", knows=("b",)))
    assert verdict.doubled == [f"{BUCKET} lake"]
    assert verdict.orphaned == [f"{BUCKET} lake"]


def test_what_an_undisturbed_run_leaves_on_purpose_is_no_orphan() -> None:
    cloud, verdict = Cloud("a"), Verdict("gcp/delete/kill-after")
    left = Counter([f"{BUCKET} lake"])
    judge.judge(cloud, "delete", judge.Reference([], left, strangers=left), [], verdict)  # type: ignore[arg-type]
    assert not verdict.wrong


def test_what_only_the_state_knows_is_lost() -> None:
    assert judged(Cloud(knows=("a",))).lost


def test_one_that_stands_under_another_id_than_the_states_is_found() -> None:
    verdict = judged(Cloud("a", knows=("b",)))
    assert verdict.orphaned
    assert verdict.lost


def test_an_update_that_the_cloud_never_got_is_told_though_the_state_has_it() -> None:
    cloud = Cloud("a", knows=("a",))
    cloud.otherwise = {URN: ["tags"]}
    assert judged(cloud, "update").wrong == [f"drifted: {BUCKET} lake: tags"]
    assert not judged(cloud, "delete").drifted


def test_a_cloud_that_was_not_asked_is_not_taken_to_be_right() -> None:
    cloud = Cloud("a", knows=("a",))
    cloud.deaf = True
    assert "could not be asked" in judged(cloud).other[0]


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"steps": [{"urn": URN, "op": "refresh"}], "changeSummary": {"same": 1}}, ""),
        ({"steps": [], "changeSummary": {"same": 1}}, "did not look at"),
        ({"steps": [{"urn": URN, "op": "refresh"}]}, "was interrupted"),
        ("", "is not"),
    ],
)
def test_a_refresh_counts_only_if_it_looked_at_everything(
    said: object, wrong: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lake = {"urn": URN, "type": BUCKET, "custom": True}
    provider = {"urn": "p", "type": "pulumi:providers:aws", "custom": True}
    done = subprocess.CompletedProcess([], 0, json.dumps(said) if said else "", "")
    monkeypatch.setattr(Clone, "state", lambda _: {"resources": [lake, provider]})
    monkeypatch.setattr(Clone, "_pulumi", lambda *_: done)
    with pytest.raises(ValueError, match=wrong) if wrong else contextlib.nullcontext():
        assert Clone("aws", tmp_path).drift() == {}


NEW = Step("create", BUCKET, "lake")
ROLE = "aws:iam/role:Role"


@pytest.mark.parametrize(
    "after",
    [Cloud("lake-3e1d1c6", knows=("lake-3e1d1c6",)), Cloud("lake", knows=("lake",), made=2)],
    ids=["another suffix", "made again under its name"],
)
@pytest.mark.parametrize("operation", ["update", "replace"])
def test_an_empty_lake_in_place_of_the_old_one_is_a_loss(operation: str, after: Cloud) -> None:
    before = Cloud("lake" if after.made == 2 else "lake-0ffe8dc")
    # Even if the undisturbed run made another one, too: what is precious is replaced by no journey.
    for steps in ([], [NEW]):
        verdict = judged(after, operation, f"{BUCKET} lake", before, *steps)
        assert [each.split(",")[1] for each in verdict.wrong] == [" which stood before"]


def test_what_the_undisturbed_run_makes_anew_may_be_another_one() -> None:
    old, new = ({"token": ROLE, "name": "r", "id": "r", "created": at} for at in (1, 2))
    assert judge.exchanged([old], [new], [Step("update", ROLE, "r")])
    assert not judge.exchanged([old], [new], [Step("create", ROLE, "r")])
    assert judge.exchanged([old], [], [])


@pytest.mark.parametrize(
    ("uploads", "models", "kinds"),
    [
        (["m1"], ["m1"], []),
        (["m1", "m2"], ["m1"], ["orphaned", "doubled"]),
        (["m2"], ["m1"], ["orphaned", "lost"]),
        ([], ["m1"], ["lost", "lost"]),
    ],
)
def test_what_vertex_ai_serves_must_be_the_states(
    uploads: list[str], models: list[str], kinds: list[str]
) -> None:
    cloud = Cloud()
    cloud.uploads, cloud.models = uploads, models
    verdict = judged(cloud, left=f"{vertex.MODEL} endpoint-model")
    assert [each.split(":")[0] for each in verdict.wrong] == kinds


@pytest.mark.parametrize("wrong", ["pending", "preview"])
def test_unfinished_business_is_told(wrong: str) -> None:
    cloud = Cloud("a", knows=("a",), pending=wrong == "pending")
    cloud.again = int(wrong == "preview")
    assert wrong in judged(cloud).other[0]


@pytest.mark.parametrize(
    ("blow", "done", "begun", "code", "hollow"),
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
def test_a_hit_counts_only_with_the_harm_that_it_is_to_do(
    blow: str, done: bool, begun: bool, code: int | None, hollow: bool
) -> None:
    cloud = Cloud(pending=begun)
    cloud.told = [{"entry": 7, "verb": "created", "token": BUCKET, "name": "lake"}] * done
    hit = {Step("create", BUCKET, "lake"): BLOWS[blow]}
    assert bool(scenario._hollow(cloud, hit, 6, code)) is hollow  # type: ignore[arg-type]


def test_the_engines_log_tells_the_steps_that_change_a_cloud(tmp_path: Path) -> None:
    def event(op: str, token: str, name: str, **old: bool) -> str:
        urn = f"urn:pulumi:dev::triplane::{token}::{name}"
        told = {"op": op, "type": token, "urn": urn, "old": old}
        return json.dumps({"resourcePreEvent": {"metadata": told}})

    log = tmp_path / "events.json"
    lines = [
        event("same", BUCKET, "stands"),
        event("create", "triplane:aws:DataLake", "component"),
        event("create", BUCKET, "made"),
        event("create-replacement", BUCKET, "new"),
        event("replace", BUCKET, "new"),
        event("delete-replaced", BUCKET, "new"),
        event("delete-replaced", BUCKET, "kept", retainOnDelete=True),
    ]
    log.write_text("\n".join([json.dumps({"preludeEvent": {}}), *lines]))
    assert [str(step) for step in scenario.steps_of(log)] == [
        f"create {BUCKET} made",
        f"create {BUCKET} new",
        f"delete {BUCKET} new",
    ]


def test_eleven_journeys_see_every_operation_and_every_blow() -> None:
    journeys = matrix()
    assert {operation for operation, _ in journeys[:11]} == set(OPERATIONS)
    assert {blow for _, blow in journeys[:11]} == set(BLOWS)
    assert len(set(journeys)) == len(journeys) == 4 * 11 - 1


def test_only_the_clouds_with_a_journey_are_played() -> None:
    clouds = ("aws", "gcp", "azure")
    assert chosen(clouds, "*") == list(clouds)
    assert chosen(clouds, "gcp/update/kill-*") == ["gcp"]


@pytest.mark.parametrize(
    ("cloud", "only", "says"),
    [
        ("awz", "*", "Did you mean aws?"),
        ("aws", "aws/craete/*", "operation  create, update"),
        ("aws", "gcp/*", "cloud      aws\n"),
        ("aws", "aws/delete/kill-before", "asks for no check"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused(
    cloud: str, only: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        chosen([cloud], only)
    assert left.value.code == 2
    assert says in capsys.readouterr().err
