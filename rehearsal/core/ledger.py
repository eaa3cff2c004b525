"""The ledger: what was created, updated, replaced, deleted or refused, and which faults happened."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from rehearsal.core.records import Record
from rehearsal.core.store import Store

Verb = Literal[
    "created",
    "replaced",
    "updated",
    "deleted",
    "refused",
    "executed",
    "recorded",
    "lost",
    "changed",
    "kept",
    "fault",
    "interrupted",
]


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. It never contains a secret."""

    entry: int
    time: float
    verb: str
    package: str
    token: str
    name: str
    id: str
    text: str

    @property
    def when(self) -> str:
        """Date and time, UTC."""
        return datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%d %H:%M:%S")


class Ledger:
    """Entries are written in the same transaction as the change that they report."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, verb: Verb, record: Record, text: str = "") -> None:
        """Add what happened to a record, in words without secrets."""
        self._store.note(
            *(time.time(), verb, record.package, record.token, record.name, record.id, text)
        )

    def entries(self, limit: int = 200) -> list[Entry]:
        """The newest entries, newest first."""
        return [Entry(*row) for row in self._store.notes(limit)]
