"""The context of the rehearsal: the stores, the account and the running programs that all clouds share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rehearsal.core.access_keys import AccessKeys
from rehearsal.core.account import Account
from rehearsal.core.behaviour import Behaviour
from rehearsal.core.credentials import Authority
from rehearsal.core.faults import Faults
from rehearsal.core.ledger import Ledger
from rehearsal.core.records import Record
from rehearsal.core.store import KeyValues, Store
from rehearsal.provider.grants import Grants
from rehearsal.runtime.containers import Containers
from rehearsal.runtime.endpoints import Endpoints
from rehearsal.runtime.functions.registry import Functions
from rehearsal.runtime.images import ImageStore
from rehearsal.runtime.object_stores import ObjectStores
from rehearsal.runtime.processes import Processes

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything that a `ResourceType` or a route may read or change."""

    state_dir: Path
    base_url: str
    """``http://127.0.0.1:PORT``: the data planes are below ``/aws``, ``/gcp``, ``/azure``."""
    account: Account
    access_keys: AccessKeys
    """AWS's."""
    behaviour: Behaviour
    """How late, how slow and how narrow the clouds are: the profile that the rehearsal was started with."""
    store: Store
    grants: Grants
    ledger: Ledger
    """``ledger.note(verb, record, text)`` adds a line that the page shows."""
    faults: Faults
    processes: Processes
    """``processes.spawn(args, key=…, log=…, env=…, cwd=…)`` starts a process that `stop` finds again."""
    authority: Authority
    """The rehearsal's own CA: ``authority.certificate(host) -> (certificate_path, key_path)``,
    ``authority.bundle`` (the machine's CAs and this one)."""
    object_stores: ObjectStores
    images: ImageStore
    containers: Containers
    functions: Functions
    endpoints: Endpoints
    loop: asyncio.AbstractEventLoop
    """The HTTP server's event loop."""

    @property
    def kv(self) -> KeyValues:
        """Durable JSON by namespace and key: ``kv.get(ns, key)``, ``kv.put(ns, key, value)``,
        ``kv.delete(ns, key)``, ``kv.items(ns)``. Everything in it is encrypted at rest."""
        return self.store.kv

    def find(self, token: str, **outputs: object) -> Record | None:
        """The first record of this type whose outputs have these values, or None."""
        return self.store.find(token, outputs)

    def all(self, token: str) -> list[Record]:
        """Every record of this type, oldest first. Copies: change one with `save`."""
        return self.store.all(token)

    def in_force(self, token: str) -> list[Record]:
        """The grants of this type that are in force: what every check of a permission reads."""
        return self.grants.in_force(token)

    def listed(self, token: str) -> list[Record]:
        """The records of this type that a list has which is eventual: without the newest."""
        seen = time.time() - self.behaviour.listing_delay()
        return [each for each in self.all(token) if each.created <= seen]

    def get(self, token: str, id: str) -> Record | None:
        """The record with this id, or None."""
        return self.store.get(token, id)

    def find_referenced(self, tokens: str | tuple[str, ...], reference: str) -> Record | None:
        """The record that ``reference`` means: its id, name, ARN, self link or resource path."""
        return self.store.find_referenced(tokens, reference)

    def save(self, record: Record) -> None:
        """Keep a change to a record other than the one a hook was called for."""
        self.store.save(record)

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the server's event loop and wait for it. Only from other threads."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)
