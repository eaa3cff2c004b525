"""The fast sample of `make crash`: on each cloud, operations that are interrupted in different ways.

The steps are those whose loss would cost most: the lake holds data and has a random name, and the gateway depends
on everything else. At the end the resources of the reviewed plan must exist.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench.harness import ROOT
from config.clouds import PACKAGES
from operations.crash import vertex
from operations.crash.checkout import Checkout
from operations.crash.faults import FAULTS
from operations.crash.judge import Reference, judge
from operations.crash.normal_form import without_random_parts
from operations.crash.resources import existing_resources
from operations.crash.scenario import run_scenario
from operations.crash.steps import CrashStep
from operations.crash.verdict import Verdict

SCENARIOS: dict[str, dict[str, dict[str, str]]] = {
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


@pytest.mark.usefixtures("models")  # trained once, not by each checkout
@pytest.mark.parametrize("cloud", SCENARIOS)
def test_the_same_command_again_repairs_an_interrupted_operation(
    cloud: str, tmp_path: Path
) -> None:
    checkout = Checkout(cloud, tmp_path)
    checkout.create()
    checkout.run("rehearsal", "start")
    try:
        for operation, faults in SCENARIOS[cloud].items():
            verdict = judged_scenario(checkout, operation, faults)
            assert not verdict.wrong, "\n".join([operation, *verdict.wrong])
            assert verdict.hit == verdict.steps
            if operation == "update":
                assert list(drift_after_revert(checkout).values()) == [["labels"]]
    finally:
        checkout.run("rehearsal", "stop")


def judged_scenario(checkout: Checkout, operation: str, faults: dict[str, str]) -> Verdict:
    """Run the scenario from where the last one ended, and judge it by the reviewed plan."""
    checkout.change_settings(operation, model="")
    before = existing_resources(checkout)
    at_steps = {CrashStep(*step.split()): FAULTS[fault] for step, fault in faults.items()}
    verdict = run_scenario(f"{checkout.cloud}/{operation}", checkout, operation, at_steps)
    left = Counter[str]() if operation == "delete" else planned_resources(checkout.cloud)
    judge(checkout, operation, Reference(list(at_steps), left), before, verdict)
    return verdict


def drift_after_revert(checkout: Checkout) -> dict[str, list[str]]:
    """The drift once the cloud is as if it had never received the update, which no preview would show."""
    token = next(step for step in SCENARIOS["gcp"]["update"]).split()[1]
    service = next(each for each in checkout.state()["resources"] if each["type"] == token)
    former = service["inputs"]["labels"] | {"team": "flights"}
    checkout.control("change", {"on": token, "inputs": {"labels": former}}, "POST")
    return checkout.drift()


def planned_resources(cloud: str) -> Counter[str]:
    """The resources of the reviewed plan that exist in a cloud."""
    plan = json.loads((ROOT / f"tests/snapshots/{cloud}.json").read_text())
    clouds = (*(f"{package}:" for package in PACKAGES.values()), *vertex.TYPES)
    return Counter(
        without_random_parts(f"{each['type']} {each['name']}")
        for each in plan
        if each["type"].startswith(clouds)
    )
