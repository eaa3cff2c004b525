"""The stack of a stage in the rehearsal."""

from __future__ import annotations

from typing import Any

from operations.engine.stack import Stack, settings_of_dev


def stage_stack(stage: str, cloud: str, **delivery: Any) -> Stack:
    """The settings of `dev`, with the stage as their environment, on that cloud (or on the cloud of `dev`)."""
    cloud = cloud or settings_of_dev()["triplane:cloud"]
    Stack.for_cloud(cloud)  # refuses an unknown cloud
    changes = {
        "triplane:cloud": cloud,
        "triplane:environment": stage,
        "triplane:delivery": delivery,
    }
    return Stack.copy_of_dev(f"{stage}-{cloud}", changes)
