"""A state without what differs between any two runs: random names, ids and times."""

from __future__ import annotations

import json
import re
from typing import Any

from operations.engine.wire import DEFAULTS, SIGNATURE

RANDOM = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"[0-9a-f]{6,}"), "<hex>"),
    (re.compile(r"\d{8,}"), "<number>"),
)

RENEWED_BY_READ = {
    # A read puts the object's own hash in place of the provider's default; the asset beside it says what it should be.
    # https://github.com/hashicorp/terraform-provider-google/blob/main/google/services/storage/resource_storage_bucket_object.go
    "gcp:storage/bucketObject:BucketObject": frozenset({"detectMd5hash"}),
}
"""Inputs by type that a refresh changes in the state though nothing has changed in the cloud."""


def normal_form(state: dict[str, Any]) -> dict[str, Any]:
    """The resources by URN, without what differs between any two runs."""
    return {
        f"{each['urn']}{' (to be deleted)' if each.get('delete') else ''}": {
            "inputs": without_random_parts(_without_renewed(each)),
            "outputs": sorted(each.get("outputs") or ()),
            "dependencies": sorted(each.get("dependencies") or ()),
        }
        for each in state.get("resources") or ()
        if not each["type"].startswith("pulumi:providers")
    }


def _without_renewed(resource: dict[str, Any]) -> dict[str, Any] | None:
    """The inputs without what a read alone changes: a recovery that has read the resource is no difference."""
    inputs = resource.get("inputs")
    renewed = RENEWED_BY_READ.get(resource["type"])
    if not inputs or not renewed:
        return inputs
    defaults = [each for each in inputs.get(DEFAULTS) or () if each not in renewed]
    kept = {name: value for name, value in inputs.items() if name not in renewed | {DEFAULTS}}
    return {**kept, **({DEFAULTS: defaults} if defaults else {})}


def without_random_parts(value: Any) -> Any:
    """The value, with a placeholder for each secret and for each part that differs between any two runs."""
    if isinstance(value, dict):
        if SIGNATURE in value and "ciphertext" in value:
            return "<secret>"
        # Azure has ids for keys.
        return {
            without_random_parts(name): without_random_parts(each) for name, each in value.items()
        }
    if isinstance(value, list):
        return [without_random_parts(each) for each in value]
    if isinstance(value, str):
        for pattern, placeholder in RANDOM:
            value = pattern.sub(placeholder, value)
    return value


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """A line for each resource that is not as after the run without faults. Both are normal forms."""
    lines = []
    for urn in sorted(expected.keys() | found.keys()):
        name = "::".join(urn.split("::")[2:])
        if urn not in found:
            lines.append(f"not in the state: {name}")
        elif urn not in expected:
            lines.append(f"in the state, but not after a run without faults: {name}")
        elif expected[urn] != found[urn]:
            parts = [
                f"{part}: {json.dumps(expected[urn][part])} became {json.dumps(found[urn][part])}"
                for part in expected[urn]
                if expected[urn][part] != found[urn][part]
            ]
            lines.append(f"{name} differs: {'; '.join(parts)[:1500]}")
    return lines
