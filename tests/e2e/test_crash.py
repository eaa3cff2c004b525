"""The fast sample of `make crash`: on each cloud, operations that are cut short in different ways.

The steps were chosen for what they would cost: the lake holds data and has a random name, the front door
is what everything else leads to. What must stand in the end is the plan that was reviewed.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench.harness import ROOT
from operations.crash import vertex
from operations.crash.checkout import Clone
from operations.crash.judge import Reference, judge, own, plain
from operations.crash.scenario import BLOWS, DYNAMIC, PACKAGES, Step, Verdict, journey

JOURNEYS: dict[str, dict[str, dict[str, str]]] = {
    "aws": {
        "create": {
            "create aws:s3/bucket:Bucket triplane-lake-bucket": "kill-after",
            "create aws:lambda/function:Function triplane-gateway-function": "answer-lost",
        },
        "delete": {"delete aws:s3/bucket:Bucket triplane-lake-bucket": "cloud-dies-after"},
    },
    "gcp": {
        "create": {"create gcp:storage/bucket:Bucket triplane-lake-bucket": "kill-recovery"},
        "update": {"update gcp:cloudrunv2/service:Service triplane-gateway-service": "kill-during"},
    },
    "azure": {
        "create": {
            "create azure-native:storage:StorageAccount triplanelake": "kill-after",
            "create azure-native:web:WebApp triplane-gateway": "unavailable",
        },
    },
}


@pytest.mark.usefixtures("models")  # trained once, not by each clone
@pytest.mark.parametrize("cloud", JOURNEYS)
def test_the_same_command_again_puts_right_what_was_cut_short(cloud: str, tmp_path: Path) -> None:
    clone = Clone(cloud, tmp_path)
    clone.make()
    clone.run("rehearsal", "start")
    try:
        for operation, hits in JOURNEYS[cloud].items():
            verdict = played(clone, operation, hits)
            assert not verdict.wrong, "\n".join([operation, *verdict.wrong])
            assert verdict.hit == verdict.steps
            if operation == "update":
                assert list(taken_back(clone).values()) == [["labels"]]
    finally:
        clone.run("rehearsal", "stop")


def played(clone: Clone, operation: str, hits: dict[str, str]) -> Verdict:
    """The journey from where the last one ended, judged by the reviewed plan."""
    clone.change(operation, model="")
    before = own(clone)
    blows = {Step(*step.split()): BLOWS[blow] for step, blow in hits.items()}
    verdict = journey(f"{clone.cloud}/{operation}", clone, operation, blows)
    left = Counter[str]() if operation == "delete" else planned(clone.cloud)
    judge(clone, operation, Reference(list(blows), left), before, verdict)
    return verdict


def taken_back(clone: Clone) -> dict[str, list[str]]:
    """The drift once the cloud is as if the update had not come there, which no preview would tell."""
    token = next(step for step in JOURNEYS["gcp"]["update"]).split()[1]
    service = next(each for each in clone.state()["resources"] if each["type"] == token)
    former = service["inputs"]["labels"] | {"team": "flights"}
    clone.ask("change", {"on": token, "inputs": {"labels": former}})
    return clone.drift()


def planned(cloud: str) -> Counter[str]:
    """What the reviewed plan has of what lives in a cloud."""
    plan = json.loads((ROOT / f"tests/snapshots/{cloud}.json").read_text())
    clouds = (*(each for each in PACKAGES if each != DYNAMIC), *vertex.TYPES)
    return Counter(
        plain(f"{each['type']} {each['name']}") for each in plan if each["type"].startswith(clouds)
    )
