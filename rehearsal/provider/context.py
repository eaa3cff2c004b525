"""The context that the three clouds share: what stands, what is known of the account, what runs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rehearsal.core.records import Record

if TYPE_CHECKING:
    from rehearsal.core.credentials import Authority
    from rehearsal.core.faults import Faults
    from rehearsal.core.ledger import Ledger
    from rehearsal.core.store import KeyValues, Store
    from rehearsal.runtime.containers import Containers
    from rehearsal.runtime.endpoints import Endpoints
    from rehearsal.runtime.functions.registry import Functions
    from rehearsal.runtime.images import ImageStore
    from rehearsal.runtime.object_stores import ObjectStores
    from rehearsal.runtime.processes import Processes

T = TypeVar("T")


@dataclass(frozen=True)
class Account:
    """Who the engineer is on each cloud: made up, of the right shape, the same on every machine."""

    aws_account: str = "123456789012"
    aws_access_key_id: str = "AKIAREHEARSAL0000001"
    aws_secret_access_key: str = "rehearsal-only-not-a-secret"
    aws_region: str = "us-east-1"
    """When the provider's settings name none; a record's own is in ``outputs["region"]``."""
    gcp_project: str = "triplane-rehearsal"
    """When the provider's settings name none; a record's own is in ``outputs["project"]``."""
    gcp_region: str = "us-central1"
    azure_subscription: str = "00000000-aaaa-4bbb-8ccc-000000000001"
    azure_tenant: str = "00000000-aaaa-4bbb-8ccc-000000000002"
    azure_client: str = "00000000-aaaa-4bbb-8ccc-000000000003"
    azure_object: str = "00000000-aaaa-4bbb-8ccc-000000000004"
    """Object id of the signed-in principal."""
    azure_location: str = "westeurope"

    def aws_account_of(self, config: Mapping[str, Any]) -> str:
        """The account that a provider with these settings works in: that of the role it assumes."""
        roles = config.get("assumeRoles") or [{}]
        return (roles[-1].get("roleArn") or f"::::{self.aws_account}").split(":")[4]

    def gcp_number(self, project: str) -> str:
        """The project's number: twelve digits, always the same for the same project."""
        return str(10**11 + int(hashlib.sha256(project.encode()).hexdigest(), 16) % (9 * 10**11))


class Context:
    """Everything a `ResourceType` or a route may look at or change."""

    state_dir: Path
    base_url: str
    """``http://127.0.0.1:PORT``: the data planes are below ``/aws``, ``/gcp``, ``/azure``."""
    account: Account
    store: Store
    kv: KeyValues
    """Durable JSON by namespace and key: ``kv.get(ns, key)``, ``kv.put(ns, key, value)``,
    ``kv.delete(ns, key)``, ``kv.items(ns)``. Everything in it is encrypted at rest."""
    ledger: Ledger
    """``ledger.note(verb, record, text)`` for what should be seen on the page."""
    faults: Faults
    processes: Processes
    """``processes.spawn(args, key=…, log=…, env=…, cwd=…)``: a process that `stop` finds again."""
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

    def find(self, token: str, **outputs: object) -> Record | None:
        """The first record of this type whose outputs have these values, or None."""
        return self.store.find(token, outputs)

    def all(self, token: str) -> list[Record]:
        """Every record of this type, oldest first. Copies: change one with `save`."""
        return self.store.all(token)

    def get(self, token: str, id: str) -> Record | None:
        """The record with this id, or None."""
        return self.store.get(token, id)

    def refer(self, tokens: str | tuple[str, ...], reference: str) -> Record | None:
        """The record that ``reference`` means: its id, name, ARN, self link or resource path."""
        return self.store.refer(tokens, reference)

    def save(self, record: Record) -> None:
        """Keep a change to a record other than the one a hook was called for."""
        self.store.save(record)

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the server's event loop and wait for it. Only from other threads."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)
