"""States and resources as Pulumi writes them, for the tests of recovery."""

from __future__ import annotations

from typing import Any

from operations.recovery.probes import PROBE_SUFFIX

STACK = "urn:pulumi:dev::triplane::pulumi:pulumi:Stack::triplane-dev"
PROVIDER = "urn:pulumi:dev::triplane::pulumi:providers:aws::default"


def role(name: str = "r", physical: str = "r-1234567", **more: Any) -> dict[str, Any]:
    """A role of the program; with ``id`` in ``more`` it is in the state."""
    return {
        "urn": f"urn:pulumi:dev::triplane::aws:iam/role:Role::{name}",
        "type": "aws:iam/role:Role",
        "custom": True,
        "parent": STACK,
        "provider": f"{PROVIDER}::0",
        "inputs": {"name": physical},
        **more,
    }


def deployment(*resources: dict[str, Any], pending: Any = ()) -> dict[str, Any]:
    """A deployment with these resources, and pending creations of others."""
    stack = {"urn": STACK, "type": "pulumi:pulumi:Stack"}
    operations = [{"resource": each, "type": "creating"} for each in pending]
    return {"resources": [stack, *resources], "pending_operations": operations}


def refreshed(deployment: dict[str, Any], *existing: str) -> dict[str, Any]:
    """The deployment after a refresh of its probes, before a cloud that has these ids."""
    kept = [
        each
        for each in deployment["resources"]
        if not each["urn"].endswith(PROBE_SUFFIX) or each["id"] in existing
    ]
    return {**deployment, "resources": kept}
