"""Grants that are in force some time after they are made, and removals likewise.

A grant is a record of a type with `ResourceType.is_grant`: a role's policy, a binding, a role assignment. What a
permission check sees is the state of some time ago: `Behaviour.grant_delay`, for each cloud.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from rehearsal.core.behaviour import Behaviour
from rehearsal.core.records import Record
from rehearsal.core.store import Store

CHANGES = "grants/{token}"
"""The namespace with the recent changes of each type of grant: by id, until when which former record counts."""


class Grants:
    """The grants as the clouds' permission checks see them."""

    def __init__(
        self, store: Store, behaviour: Behaviour, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._behaviour, self._clock = store, behaviour, clock

    def note_change(self, package: str, token: str, id: str, former: Record | None) -> None:
        """Note that a grant is created, changed or deleted now. ``former``: what it was; None: nothing."""
        late = self._behaviour.grant_delay(package, token)
        if not late:
            return
        now, namespace = self._clock(), CHANGES.format(token=token)
        for each, changes in self._store.kv.items(namespace).items():
            if changes[-1]["until"] <= now:
                self._store.kv.delete(namespace, each)
        changes = self._store.kv.get(namespace, id, [])
        document = asdict(former) if former else None
        self._store.kv.put(namespace, id, [*changes, {"until": now + late, "former": document}])

    def in_force(self, token: str) -> list[Record]:
        """The grants of a type that are in force now, oldest first."""
        found = {record.id: record for record in self._store.all(token)}
        now = self._clock()
        for id, changes in self._store.kv.items(CHANGES.format(token=token)).items():
            # The first change that is not in force yet decides: the later ones are not, either.
            pending = next((each for each in changes if each["until"] > now), None)
            if pending is None:
                continue
            found.pop(id, None)
            if pending["former"]:
                found[id] = Record(**pending["former"])
        return sorted(found.values(), key=lambda record: record.created)
