"""The fast sample of `make crash`: on each cloud, the engine is killed while the lake is made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tools.crash.clone import Clone
from tools.crash.journey import Step, journey
from tools.crash.judge import Reference, judge, normal

STEPS = {
    "aws": Step("create", "aws:s3/bucket:Bucket", "triplane-lake-bucket"),
    "gcp": Step("create", "gcp:storage/bucket:Bucket", "triplane-lake-bucket"),
    "azure": Step("create", "azure-native:storage:StorageAccount", "triplanelake"),
}


@pytest.mark.parametrize("cloud", STEPS)
def test_make_up_after_a_killed_engine_finds_what_the_cloud_had_made(
    cloud: str, tmp_path: Path
) -> None:
    clone = Clone(cloud, tmp_path)
    clone.make()
    clone.run("rehearsal", "start")
    try:
        verdict = journey(clone, "create", "kill-after", [STEPS[cloud]])
        state = clone.state()
        known = Counter(
            f"{each['type']} {each['urn'].rsplit('::', 1)[-1]}"
            for each in state["resources"]
            if each.get("id") and not each["type"].startswith(("pulumi:", "pulumi-python:"))
        )
        judge(clone, "create", Reference([STEPS[cloud]], normal(state), known), verdict)
    finally:
        clone.run("rehearsal", "stop")
    assert not verdict.wrong, "\n".join(verdict.wrong)
    assert verdict.hit == 1
