"""The copies of a lost state, and whether a stack without a state has a platform all the same.

`make up` and the delivery write a copy of the state into the stack's own lake (`operations.data.state_copy`), and
Pulumi keeps copies beside the file of the state. When the state is lost, the newest copy is the best begin.
The lakes are listed with the cloud's own API, by the names and tags that the platform gives them. Nothing here
changes a state or a lake.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from config.schema import StackConfig
from operations.data import lake_locations
from operations.data.state_copy import UnreadableCopy, read_state_copy
from operations.engine.stack import NamedStack
from operations.engine.state_signature import Signature, without_signature
from operations.recovery.refusals import lakes_unreadable
from operations.terminal import fail, waiting

ALLOW_SECOND_PLATFORM = "second"
"""The word that allows another platform beside one whose state is lost: ``ALLOW=second``."""

ALLOW_WITHOUT_COPY = "without-copy"
"""The word that goes on as if there were no copy in the lake or the backup: ``ALLOW=without-copy``."""


@dataclass(frozen=True)
class StateCopy:
    """A copy of a stack's state."""

    place: str | Path
    """The URI of the lake that holds it, or the file in which Pulumi has kept it."""
    state: dict[str, Any]
    """As ``pulumi stack export`` prints it."""
    signature: Signature | None = None
    """Of a copy in a lake or a backup. Those that Pulumi keeps lie beside the state, and have none."""

    @classmethod
    def signed(cls, place: str, copy: Mapping[str, Any]) -> StateCopy:
        """A copy as `read_state_copy` returns it. Whether its signature fits is not known yet."""
        return cls(place, *without_signature(copy))

    @property
    def resources(self) -> list[dict[str, Any]]:
        return list(self.state["deployment"].get("resources") or ())

    @property
    def time(self) -> str:
        """When the engine wrote this state, in ISO 8601."""
        return str(self.state["deployment"]["manifest"]["time"])


class BrokenCopy(Exception):
    """The lake at ``place`` has a copy of the stack's state, which cannot be read, for this ``reason``."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place, self.reason = place, reason


def newest_lake_copy(config: StackConfig, stack: str) -> StateCopy | None:
    """The newest copy of this stack's state in a lake; None without one that has resources. Raises `BrokenCopy`."""
    copies = []
    with waiting("the account's lakes, one of which may have a copy of the state"):
        for uri in lake_locations.find_lakes(config):
            try:
                if copy := read_state_copy(lake_locations.open_lake(uri), stack):
                    copies.append(StateCopy.signed(uri, copy))
            except UnreadableCopy as error:
                raise BrokenCopy(uri, str(error)) from None
    return _newest(copies)


def newest_copy(
    in_lake: StateCopy | None, kept_by_pulumi: Iterable[tuple[Path, dict[str, Any]]]
) -> StateCopy | None:
    """The newest of a lake's copy and those that Pulumi has kept beside a broken state.

    The lake's copy is from the end of the last run. Pulumi's is newer when the engine was killed.
    """
    copies = [StateCopy(*each) for each in kept_by_pulumi]
    return _newest([*copies, in_lake] if in_lake else copies)


def _newest(copies: Iterable[StateCopy]) -> StateCopy | None:
    return max(copies, key=lambda copy: datetime.fromisoformat(copy.time), default=None)


def reasons_not_to_create(
    config: StackConfig, stack: NamedStack, allow: Collection[str]
) -> list[str]:
    """Why this stack, which has no state, must not be created: its platform exists, and would be built twice."""
    if ALLOW_SECOND_PLATFORM in allow:
        return []
    try:
        if copy := newest_lake_copy(config, stack.name):
            uri = copy.place
            what = f", with a copy of its state ({len(copy.resources)} resources, {copy.time})"
        elif tagged := lake_locations.find_lakes(config, stack.name):
            uri, what = tagged[0], " by its tags, without a copy of its state"
        else:
            return []
    except BrokenCopy as broken:
        uri, what = (
            broken.place,
            f", with a copy of its state that cannot be read ({broken.reason})",
        )
    except Exception as error:  # each cloud's client has errors of its own
        fail(lakes_unreadable(config.cloud, error))
    return [
        f"there is no state of stack {stack.name}, but {uri} belongs to it{what}. To take over the existing"
        f" platform: {stack.make('adopt')}. To build another platform beside it: ALLOW={ALLOW_SECOND_PLATFORM}"
    ]
