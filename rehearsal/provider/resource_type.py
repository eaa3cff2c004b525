"""The rules of resource types: one small class for each type, which cites its sources.

A type without a class works, too: `rehearsal.provider.service` checks it against the installed SDK and gives
it outputs of the right shape. A `ResourceType` adds what the SDK does not contain: names, references, what is
refused while in use, and what really runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from rehearsal.core.records import Inputs, Record
from rehearsal.provider.context import Context


@dataclass(frozen=True, kw_only=True)
class Name:
    """How a type's physical name is made, and which names are allowed."""

    property: str
    """The input that contains it: ``bucket``, ``name``, ``accountName``."""
    pattern: str
    """Regular expression that the whole name matches."""
    max: int
    rule: str
    """The rule in words, ending the sentence "… is not a valid name: ": shown when refused."""
    min: int = 1
    unique: tuple[str, ...] | None = ()
    """The inputs or outputs within which it is unique (``("region",)``, ``("resourceGroupName",)``);
    empty: in the whole rehearsal; None: not unique."""
    taken: str = "AlreadyExists"
    """The cloud's error code when another resource has the name."""
    separator: str | None = None
    """Between the program's name and the random suffix; None: the provider's own (``-``, Azure none)."""
    lower: bool = False
    """The provider lower-cases the program's name when it makes a physical name of it."""
    form: Literal["suffix", "uuid"] = "suffix"
    """What autonaming makes: the program's name with a random suffix, or a random UUID."""


class ResourceType:
    """The rules of one resource type. Hooks are synchronous and run on worker threads, in parallel.

    A hook's `Context.save`, `kv` writes and its record are committed together when it returns, and
    undone when it raises. What it starts outside (containers, endpoints, objects) must be keyed by the
    record, so that doing it twice is harmless: after a crash in the middle, `delete` is called for
    the incomplete record at the next start.
    """

    token: ClassVar[str]
    source: ClassVar[str]
    """URL of the document that the rules come from."""
    executes: ClassVar[str] = ""
    """One sentence: what really runs. Empty: the resource is recorded, nothing runs."""
    name: ClassVar[Name | None] = None
    """None: autonaming as the SDK suggests, no further rule."""
    replace_on: ClassVar[frozenset[str]] = frozenset()
    """Inputs (top level, or dotted path) whose change forces a replacement, beyond those of the SDK's
    documentation. The name's own property need not be listed."""
    references: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}
    """Input path (``role``, ``settings.subnetId``; lists are walked through) to the token, or tokens,
    of which a record with that id, name, ARN or self link must exist when it is created or updated."""
    missing: ClassVar[str] = ""
    """The service's error code for a reference to what does not exist; empty: the cloud's usual one."""
    needs: ClassVar[str] = ""
    """The Google Cloud API that must be enabled in the project first: ``run.googleapis.com``."""
    secret_outputs: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are secret whatever came in (access keys, passwords)."""
    import_as: ClassVar[str] = ""
    """The id for `pulumi import` where it is not the id itself: a template over the outputs."""
    volatile: ClassVar[frozenset[str]] = frozenset()
    """Outputs that an update may change (``version``, ``etag``): unknown in its preview. The others
    keep their value there."""

    is_grant: ClassVar[bool] = False
    """Whether it decides what somebody may do: a change of it is in force later (`provider.grants`)."""
    unread: ClassVar[tuple[str, ...]] = ()
    """Inputs (dotted paths) that the provider writes and never reads back: no output has them, and a refresh
    keeps what the state has."""

    def imported_as(self, record: Record) -> str:
        """The record's id for ``pulumi import``; empty where that is the id itself."""
        return self.import_as.format_map(defaultdict(str, record.outputs))

    def check(self, context: Context, inputs: Inputs) -> None:
        """Raise `CheckFailure` (or `Refusal`) for inputs that the cloud refuses."""

    def create(self, context: Context, record: Record) -> None:
        """Create it: set ``record.id`` and ``record.outputs`` (both hold generic values already)."""

    def read(self, context: Context, record: Record) -> bool:
        """Update ``record.outputs`` to what is true now; False: it does not exist any more."""
        return True

    def update(self, context: Context, old: Record, record: Record) -> None:
        """Change it in place: ``record`` has the new inputs and the old outputs with those echoed."""

    def delete(self, context: Context, record: Record) -> None:
        """Delete it; raise `Refusal` while it is in use or not empty."""

    def stays(self, record: Record) -> bool:
        """Whether the cloud keeps it after a deletion: only the program forgets it."""
        return False
