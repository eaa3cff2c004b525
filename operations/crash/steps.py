"""The steps of an operation: what the engine requests from a provider, as its event log lists them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from config.clouds import PACKAGES
from operations.recovery.probes import PROBE_SUFFIX

OPERATIONS = ("create", "update", "replace", "delete")
VERBS = {"created": "create", "replaced": "create", "updated": "update", "deleted": "delete"}
"""The steps that are done, by the verbs of the rehearsal's ledger."""
METHODS = {
    "create": "create",
    "create-replacement": "create",
    "update": "update",
    "delete": "delete",
    "delete-replaced": "delete",
}
"""The provider's method for each of the engine's steps. Its other steps change nothing in a cloud."""
PYTHON_PROVIDER = "pulumi-python:"
"""How the types of dynamic resources begin: their provider is a process of Pulumi's own."""
API = "gcp:projects/service:Service"
"""An API stays enabled because others may use it: its deletion requests nothing from the cloud."""
TYPES_OF_STEPS = (*(f"{package}:" for package in PACKAGES.values()), PYTHON_PROVIDER)
"""How the types begin of which a provider is requested: neither components nor providers."""


@dataclass(frozen=True)
class CrashStep:
    """One request of the engine to a provider."""

    method: str
    token: str
    name: str

    @property
    def dynamic(self) -> bool:
        """Whether its provider is Pulumi's own process, which no rehearsal observes."""
        return self.token.startswith(PYTHON_PROVIDER)

    def recovery_read(self) -> CrashStep:
        """The read by which recovery finds out whether the step was done."""
        name = self.name + PROBE_SUFFIX if self.method == "create" else self.name
        return replace(self, method="read", name=name)

    def __str__(self) -> str:
        return f"{self.method} {self.token} {self.name}"


def steps_in(event_log: Path) -> list[CrashStep]:
    """The steps of an update, from the engine's own log of it."""
    found = []
    for line in event_log.read_text().splitlines():
        if event := json.loads(line).get("resourcePreEvent"):
            metadata = event["metadata"]
            method, name = METHODS.get(metadata["op"]), metadata["urn"].rsplit("::", 1)[-1]
            if method == "delete" and (metadata.get("old") or {}).get("retainOnDelete"):
                continue  # the state forgets it, and the cloud keeps it
            if method and metadata["type"].startswith(TYPES_OF_STEPS):
                found.append(CrashStep(method, metadata["type"], name))
    return list(dict.fromkeys(found))
