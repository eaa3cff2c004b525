"""How a cloud's real provider behaves, as data with its sources: one instance in each cloud's ``provider.py``.

It is between the program and the cloud, and does what neither asks for: it makes names, fills in defaults, reads
back more than was written, and decides in which order a resource is replaced.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from google.protobuf import struct_pb2

from rehearsal.core.account import Account
from rehearsal.core.records import Errors, Json, Record
from rehearsal.core.schema import Schema
from rehearsal.provider.context import Context

ReadBack = Callable[[Context, Record], Json]
"""The outputs that a read fills in from other resources."""


@dataclass(frozen=True, kw_only=True)
class RealProvider(ABC):
    """What is the same for every resource type of one provider, and tables of what is not."""

    package: str
    """``aws``, ``gcp`` or ``azure-native``."""
    errors: Errors
    places: frozenset[str]
    """Inputs that place a resource. A change of place is a replacement, whatever the type."""
    place: Callable[[Record, Account], dict[str, str]]
    """Where a resource is: its own inputs, the provider's settings, the account's default."""
    separator: str
    """Between the program's name and the random suffix of a name that the provider makes."""
    digits: int
    """Hexadecimal digits of that suffix."""
    converts_scalars: bool
    """Whether the provider takes ``"5"`` for 5."""
    state_word: str
    """What an output that ends in ``state`` or ``status`` says of a resource that is ready."""
    usual_outputs: Mapping[str, str] = field(default_factory=dict)
    """Outputs that the provider fills in with the same value for nearly every type; the SDK documents the others."""
    read_back: Mapping[str, ReadBack] = field(default_factory=dict)
    """By type: outputs that a read fills in. After a creation they have the values of a resource without them."""
    renewed: Mapping[str, str] = field(default_factory=dict)
    """Outputs that the service renews without anybody's doing (etags, times), with their source."""

    @abstractmethod
    def name_property(self, schema: Schema) -> str | None:
        """The input for which the provider makes a name if the program gives none."""

    @abstractmethod
    def path_parameters(self, schema: Schema) -> list[str]:
        """Inputs that are part of the resource's address; another value is another resource."""

    @abstractmethod
    def keeps_name(self, olds: struct_pb2.Struct, name: str) -> bool:
        """Whether `Check` takes the old input ``name`` where the program gives none."""

    @abstractmethod
    def completed(self, schema: Schema, inputs: Json) -> Json:
        """Inputs with the defaults that `Check` fills in."""

    @abstractmethod
    def checked(
        self,
        schema: Schema,
        olds: struct_pb2.Struct,
        news: Json,
        filled: list[str],
        *,
        random: bool,
    ) -> Json:
        """Inputs as `Check` returns them: with defaults, and with notes about what the provider has ``filled`` in.

        ``random``: a name that was filled in is a random one.
        """

    @abstractmethod
    def inputs_as_read(
        self, schema: Schema, requested: struct_pb2.Struct, found: Json, *, is_import: bool
    ) -> Json:
        """Inputs as `Read` returns them: what was found, and the notes that stay in it.

        ``requested`` are the inputs in the state.
        """

    @abstractmethod
    def deletes_first(
        self, token: str, old_inputs: struct_pb2.Struct, news: struct_pb2.Struct
    ) -> bool:
        """Whether a replacement is deleted before the new resource is created.

        The engine creates first, unless the provider answers ``deleteBeforeReplace``. The program's option
        ``delete_before_replace`` overrides the answer, in both directions:
        https://www.pulumi.com/docs/iac/concepts/options/deletebeforereplace/
        """

    def placed(self, schema: Schema, inputs: Json, config: Json) -> Json:
        """Inputs with the place of the provider's settings, where `Check` writes it into them."""
        return inputs

    def keep_content(self, urn: str, token: str, inputs: Json) -> None:  # noqa: B027 (most keep none)
        """Keep what `Check` writes to the machine: the engine sends `Diff` no content of assets, only its hash."""

    def drop_content(self, urn: str) -> None:  # noqa: B027 (most keep none)
        """Drop what was kept of a resource that is created now: `Diff` is not asked about it."""

    def suppressed(self, urn: str, token: str, olds: Json, news: Json) -> frozenset[str]:
        """The top-level inputs whose difference the provider ignores."""
        return frozenset()

    def makes_random_name(self, schema: Schema, name: str | None) -> bool:
        """Whether a name that the provider makes is a random one, and not a copy of the program's."""
        return True

    def sees(self, account: Account, config: Json, record: Record) -> bool:
        """Whether a provider with these settings finds the record."""
        return True

    def require_deletion(self, context: Context, record: Record) -> None:  # noqa: B027 (most delete as they create)
        """Raise `Refusal` if the provider deletes in the data plane, and its credentials may not."""

    def untemplated_id(
        self, record: Record, schema: Schema, place: Mapping[str, str], name: str
    ) -> str | None:
        """The id of a type whose SDK does not document one; None: its name."""
        return None
