"""The stack of a stage in the rehearsal."""

from __future__ import annotations

from typing import Any

from operations.engine.rehearsed_stack import RehearsedStack, settings_of_dev, unknown_cloud
from operations.terminal import fail


def stage_stack(stage: str, cloud: str, **delivery: Any) -> RehearsedStack:
    """The settings of `dev`, with the stage as their environment, on that cloud (or on the cloud of `dev`)."""
    cloud = cloud or settings_of_dev()["triplane:cloud"]
    if problem := unknown_cloud(cloud):
        fail(problem)
    changes = {
        "triplane:cloud": cloud,
        "triplane:environment": stage,
        "triplane:delivery": delivery,
    }
    return RehearsedStack.copy_of_dev(f"{stage}-{cloud}", changes)
