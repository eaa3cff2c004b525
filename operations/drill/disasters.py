"""The disasters: each destroys something, recovers with the plain command, and returns what it cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, get_args

from config.clouds import Cloud
from operations.commands.deploy import DATA_COMPONENTS
from operations.commands.preparation import read_settings
from operations.data.lake_locations import find_lakes
from operations.drill.drill_platform import DrillPlatform
from operations.drill.measuring import Baseline, Result, measured
from operations.engine.guards import ALLOW_VANISHED
from operations.engine.resources import resource_type, urns_with_dependencies
from operations.recovery.copy_search import ALLOW_WITHOUT_COPY
from operations.recovery.kept_key import KEEP

CHANGES_BY_HAND: dict[str, dict[str, dict[str, Any]]] = {
    "aws": {
        "aws:lambda/function:Function": {"timeout": 3},
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {"blockPublicPolicy": False},
    },
    "gcp": {
        "gcp:cloudrunv2/service:Service": {"ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY"},
        "gcp:storage/bucket:Bucket": {"publicAccessPrevention": "inherited"},
    },
    "azure": {
        "azure-native:web:WebApp": {"httpsOnly": False},
        "azure-native:storage:StorageAccount": {"allowBlobPublicAccess": True},
    },
}
"""What somebody changes in a console: settings of the gateway and of the lake, by resource type."""


def compute_lost(platform: DrillPlatform, baseline: Baseline) -> Result:
    """Everything but the data is destroyed."""
    result = Result("compute destroyed, data kept", "make repair ALLOW=vanished")
    resources = platform.stack.resources()
    spared = set(urns_with_dependencies(resources, (*DATA_COMPONENTS, "Foundation")))
    destroyed = [
        each["urn"]
        for each in resources
        if each["urn"] not in spared
        and not resource_type(each["urn"]).startswith("pulumi")
        and each.get("custom")
    ]
    for urn in reversed(destroyed):
        platform.destroy_resources(on=resource_type(urn), name=urn.rsplit("::", 1)[-1])
    result.notes.append(f"{len(destroyed)} of {len(resources)} resources lost")
    with measured(platform, baseline, result):
        refusal = platform.make("repair", fails=True)
        result.checks["refused until it is allowed"] = "ALLOW=vanished" in refusal
        platform.make("repair", ALLOW=ALLOW_VANISHED)
    result.check_no_capture_lost()
    return result


def changed_by_hand(platform: DrillPlatform, baseline: Baseline) -> Result:
    """Somebody changes settings of the gateway and of the lake in a console."""
    result = Result("settings changed by hand", "make repair")
    changed = [
        (token, name)
        for token, inputs in CHANGES_BY_HAND[platform.cloud].items()
        if platform.change_resource(token, inputs)
        for name in inputs
    ]
    with measured(platform, baseline, result):
        output = platform.make("repair")
    result.checks["each change was found and named"] = len(changed) == 2 and all(
        any(token in line and name in line for line in output.splitlines())
        for token, name in changed
    )
    result.notes += [f"{token}: {name}" for token, name in changed]
    result.check_no_capture_lost()
    return result


def state_lost(platform: DrillPlatform, baseline: Baseline) -> Result:
    """The state is lost, and somebody has altered its copy in the lake, so that only names and tags remain."""
    result = Result(
        "state lost and its copy altered, the cloud unchanged",
        f"make adopt ALLOW={ALLOW_WITHOUT_COPY}, make up",
    )
    key, ids = platform.stack.outputs()["gateway_key"], platform.resource_ids()
    platform.alter_state_copy()
    platform.delete_state()
    with measured(platform, baseline, result):
        refusal = platform.make("up", fails=True)
        result.checks["no second platform is created"] = "make adopt" in refusal
        refusal = platform.make("adopt", fails=True)
        result.checks["the altered copy is refused"] = "its signature does not fit" in refusal
        output = platform.make("adopt", ALLOW=ALLOW_WITHOUT_COPY)
        platform.make("up")
    result.checks["zero creates, zero replacements"] = "create 0, replace 0 " in output
    result.checks["the same resources, each once"] = platform.resource_ids() == ids
    result.checks["the gateway's key is the same"] = platform.stack.outputs()["gateway_key"] == key
    result.notes += [line for line in output.splitlines() if line.startswith("Adopted ")]
    result.check_no_capture_lost()
    return result


def region_lost(platform: DrillPlatform, baseline: Baseline) -> Result:
    """Everything is destroyed after a backup, with the state; requests after the backup are lost."""
    result = Result("everything in the region destroyed, with the state", "make restore")
    platform.make("backup")
    backed_up = time.monotonic()
    last = Baseline(baseline.prediction, frozenset(platform.add_captures()))
    after_backup = last.captures - baseline.captures
    destroyed = platform.destroy_resources()
    platform.delete_state()
    result.window_seconds = round(time.monotonic() - backed_up, 1)
    result.checks["nothing was left, not even the lake"] = not find_lakes(
        read_settings(platform.stack)
    )
    result.notes.append(f"{len(destroyed)} resources lost")
    with measured(platform, last, result):
        platform.make("restore")
    result.checks["only captures after the backup are lost"] = result.captures_lost == len(
        after_backup
    )
    return result


def cloud_lost(platform: DrillPlatform, baseline: Baseline) -> Iterator[Result]:
    """A whole cloud is gone, with the state: the platform comes back on each of the other clouds, one after the other."""
    key = platform.stack.outputs()["gateway_key"]
    platform.make("backup")
    backed_up = time.monotonic()
    last = Baseline(baseline.prediction, frozenset(platform.add_captures()))
    after_backup = last.captures - baseline.captures
    destroyed = platform.destroy_resources()
    platform.delete_state()
    window = round(time.monotonic() - backed_up, 1)
    for cloud in other_clouds(platform.cloud):
        successor = DrillPlatform(cloud)
        way_back = f"make restore CLOUD={cloud} BACKUP=… KEY=keep"
        result = Result(f"{platform.cloud} is gone, with the state: on {cloud}", way_back)
        result.window_seconds = window
        result.notes.append(f"{len(destroyed)} resources lost")
        with measured(successor, last, result):
            printed = successor.make("restore", BACKUP=str(platform.backup), KEY=KEEP)
        result.checks["only captures after the backup are lost"] = result.captures_lost == len(
            after_backup
        )
        result.checks["callers keep their key"] = successor.stack.outputs()["gateway_key"] == key
        result.checks["the key is in no file and no output in clear"] = not (
            key in printed or platform.files_with(key)
        )
        yield result
        successor.destroy_resources()
        successor.delete_state()


def other_clouds(cloud: str) -> list[str]:
    """The clouds beside this one."""
    return [each for each in get_args(Cloud) if each != cloud]


DISASTERS = (compute_lost, changed_by_hand, state_lost, region_lost)
