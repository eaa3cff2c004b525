"""What a preview of the program shows to the importer: which resources are missing, and what is known of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from operations.engine.previews import Step
from operations.engine.resources import Resource
from operations.engine.wire import UNKNOWN_STRINGS
from operations.recovery.trial_stack import TrialStack

PROVIDER = "pulumi:providers:"
"""How the types of providers begin."""
SECRET_IN_PREVIEW = "[secret]"  # noqa: S105
"""What a preview shows in place of a secret."""


@dataclass(frozen=True)
class Preview:
    """What an update would do."""

    steps: list[Step]
    """All of them, those that change nothing among them."""
    providers: list[Resource]
    """The providers of the program, also those that it does not name itself."""

    @property
    def created(self) -> list[Resource]:
        """What the program would create."""
        return [each["newState"] for each in self.steps if each["op"] == "create"]

    @property
    def missing(self) -> list[Resource]:
        """Of that, what a cloud can have: no components, and no providers."""
        return [
            each
            for each in self.created
            if each.get("custom") and not each["type"].startswith(PROVIDER)
        ]


def previewed(trial: TrialStack) -> Preview:
    """A preview of the trial stack.

    The event log alone shows the providers that a program does not name. Its file is deleted at once, because
    it has secrets in the Python SDK's own messages.
    """
    log = trial.folder / "preview.json"
    try:
        steps = trial.preview_steps("preview", "--show-sames", "--event-log", str(log))
        return Preview(steps, providers_in(log.read_text().splitlines()))
    finally:
        log.unlink(missing_ok=True)


def providers_in(event_log: Iterable[str]) -> list[Resource]:
    """The providers in an event log, each once."""
    providers: dict[str, Resource] = {}
    for line in event_log:
        new = json.loads(line).get("resourcePreEvent", {}).get("metadata", {}).get("new") or {}
        if new.get("type", "").startswith(PROVIDER):
            providers.setdefault(new["urn"], new)
    return list(providers.values())


def known_inputs(inputs: Mapping[str, Any], invented_names: Collection[str] = ()) -> dict[str, Any]:
    """The inputs that the preview knows: none with an unknown value, a hidden one, or an invented name."""
    hidden = (SECRET_IN_PREVIEW, *UNKNOWN_STRINGS, *invented_names)
    return {
        name: value
        for name, value in inputs.items()
        if not any(each in json.dumps(value) for each in hidden)
    }
