"""A resource's life: created, read, updated and deleted, each whole or not at all."""

from __future__ import annotations

import contextlib
import copy
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.core.records import CheckFailure, Json, Record, Refusal
from rehearsal.core.schema import Schema, Schemas
from rehearsal.core.wire import Path
from rehearsal.provider import generic
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

log = logging.getLogger(__name__)
GONE = {
    "aws": ("ResourceNotFoundException", "{what} {id} does not exist"),
    "gcp": ("notFound", "Error 404: {what} {id} was not found"),
    "azure-native": ("ResourceNotFound", "The Resource '{id}' ({what}) was not found."),
}
TAKEN = {"aws": "AlreadyExistsException", "gcp": "alreadyExists", "azure-native": "Conflict"}


class Lifecycle:
    """What the provider of one cloud does to records."""

    def __init__(
        self, context: Context, package: str, kinds: Mapping[str, ResourceType], schemas: Schemas
    ) -> None:
        self.context = context
        self.package = package
        self._kinds = kinds
        self._schemas = schemas
        self._plain = ResourceType()
        self._names = threading.Lock()
        self._taken: set[tuple[Any, ...]] = set()

    def shape(self, token: str) -> tuple[Schema, ResourceType]:
        """What the SDK says of a type, and its rules."""
        return self._schemas.get(token), self.rules(token)

    def rules(self, token: str) -> ResourceType:
        """The type's rules; none, for a type that nobody wrote any for."""
        return self._kinds.get(token, self._plain)

    def create(
        self, token: str, urn: str, inputs: Json, secrets: list[Path], config: Json
    ) -> Record:
        """Make a resource; on disk before this returns, so that a lost answer leaves it standing."""
        schema, kind = self.shape(token)
        record = Record(
            self.package,
            token,
            id="",
            urn=urn,
            inputs=inputs,
            outputs={},
            config=config,
            secrets=[list(path) for path in secrets],
            created=time.time(),
        )
        generic.fill(record, schema, kind, self.context.account)
        self._must_exist(kind, record)
        with self._named(schema, kind, record):
            begun = record.id
            self.context.store.begin(record)
            try:
                with self.context.store.transaction():
                    kind.create(self.context, record)
                    if not record.id:
                        raise RuntimeError(f"{token} was created without an id")
                    former = self.context.store.with_urn(urn)
                    self.context.store.save(record)
                    self.context.store.end(token, begun)
                    if former:
                        text = f"{former.id} made room; {kind.executes}".removesuffix("; ")
                        self.context.ledger.note("replaced", record, text)
                    else:
                        self.context.ledger.note("created", record, kind.executes)
            except BaseException:
                self.context.store.end(token, begun)
                raise
        return record

    def read(self, token: str, id: str) -> Record | None:
        """The resource as it is now; None when it is gone. Known by its id or its import id, by no other name."""
        kind = self.rules(token)
        record = self.context.store.get(token, id) or self._imported(kind, id)
        if record is None:
            return None
        before = copy.deepcopy(record)
        with self.context.store.transaction():
            if not kind.read(self.context, record):
                self.context.store.remove(record)
                self.context.ledger.note("lost", record, "found gone")
                return None
            if record != before:
                self.context.store.save(record)
        return record

    def _imported(self, kind: ResourceType, id: str) -> Record | None:
        """The record that ``pulumi import`` means by ``id``, where that is not the id itself."""
        if type(kind).imported_as is ResourceType.imported_as and not kind.import_as:
            return None
        called = (each for each in self.context.all(kind.token) if kind.imported_as(each) == id)
        return next(called, None)

    def update(self, token: str, id: str, urn: str, inputs: Json, secrets: list[Path]) -> Record:
        """Change a resource in place."""
        schema, kind = self.shape(token)
        old = self.context.get(token, id)
        if old is None:
            raise self._gone(token, id)
        record = copy.deepcopy(old)
        record.urn, record.inputs = urn, inputs
        record.secrets = [list(path) for path in secrets]
        generic.echo(record, schema, old.inputs)
        self._must_exist(kind, record)
        with self.context.store.transaction():
            kind.update(self.context, old, record)
            self.context.store.save(record)
            self.context.ledger.note("updated", record)
        return record

    def delete(self, token: str, id: str) -> None:
        """Take a resource away; one that is gone already is no failure, as on the clouds."""
        record = self.context.get(token, id)
        if record is None:
            return
        kind = self.rules(token)
        if kind.stays(record):
            self.context.ledger.note("let go", record)
            return
        with self.context.store.transaction():
            kind.delete(self.context, record)
            self.context.store.remove(record)
            self.context.ledger.note("deleted", record)

    def lose(self, record: Record) -> None:
        """Take a resource away behind the program's back, whatever the rules say."""
        kind = self.rules(record.token)
        with self.context.store.transaction():
            with contextlib.suppress(Refusal):
                kind.delete(self.context, record)
            self.context.store.remove(record)
            self.context.ledger.note("lost", record, "on request")

    def change(self, record: Record, inputs: Json) -> None:
        """Change a resource behind the program's back, by the same rules as the program."""
        paths: list[Path] = [tuple(path) for path in record.secrets]
        self.update(record.token, record.id, record.urn, {**record.inputs, **inputs}, paths)
        self.context.ledger.note("changed", record, f"by hand: {', '.join(inputs)}")

    def clean_up(self) -> None:
        """Take away what was being made when the process ended."""
        for record in self.context.store.unfinished():
            if record.package != self.package:
                continue
            kind = self.rules(record.token)
            with contextlib.suppress(Refusal):
                kind.delete(self.context, record)
            self.context.store.end(record.token, record.id)
            self.context.ledger.note("interrupted", record, "was being created")

    def check_name(self, kind: ResourceType, inputs: Json) -> None:
        """Raise `CheckFailure` for a physical name that the cloud would not take."""
        rule = kind.name
        value = inputs.get(rule.property) if rule else None
        if rule is None or value is None:
            return
        if not isinstance(value, str) or not re.fullmatch(rule.pattern, value):
            reason = f'"{value}" is not a valid name: {rule.says} ({kind.source})'
            raise CheckFailure(rule.property, reason)
        if not rule.min <= len(value) <= rule.max:
            raise CheckFailure(
                rule.property,
                f'"{value}" has {len(value)} characters, and {rule.min} to {rule.max} are allowed'
                f" ({kind.source})",
            )

    @contextlib.contextmanager
    def _named(self, schema: Schema, kind: ResourceType, record: Record) -> Iterator[None]:
        """Hold the physical name while the resource is made; refuse one that another holds."""
        wire = generic.name_property(schema, kind)
        name = record.inputs.get(wire or "")
        if wire is None or name is None or (kind.name and kind.name.unique is None):
            yield
            return
        if kind.name and kind.name.unique is not None:
            facts = {**record.config, **record.outputs, **record.inputs}
            scope = {each: facts.get(each) for each in kind.name.unique}
        else:
            scope = {}
        mine = (record.token, name, record.id if not kind.name else "", *scope.values())
        with self._names:
            other = self._holder(record, wire, name, scope, by_id=kind.name is None)
            if other or mine in self._taken:
                code = kind.name.taken if kind.name else TAKEN[self.package]
                holder = f", as {other.name}" if other else ""
                raise Refusal(code, f'a {record.token} with {wire} "{name}" exists already{holder}')
            self._taken.add(mine)
        try:
            yield
        finally:
            self._taken.discard(mine)

    def _holder(
        self, record: Record, wire: str, name: str, scope: Json, *, by_id: bool
    ) -> Record | None:
        if by_id:  # nobody wrote down where the name is unique: the id says it well enough
            return self.context.get(record.token, record.id)
        in_outputs = {each: value for each, value in scope.items() if each in record.outputs}
        in_inputs = {each: value for each, value in scope.items() if each not in record.outputs}
        return self.context.store.find(record.token, in_outputs, {wire: name, **in_inputs})

    def _must_exist(self, kind: ResourceType, record: Record) -> None:
        """Refuse what refers to something that is not there, or needs an API that is not enabled."""
        for path, tokens in kind.references.items():
            for value in _walk(record.inputs, path.split(".")):
                if value.startswith("arn:aws:iam::aws:"):
                    continue  # AWS's own managed policies are always there
                if self.context.refer(tokens, value) is None:
                    token = tokens if isinstance(tokens, str) else " or ".join(tokens)
                    code, text = GONE[self.package]
                    raise Refusal(code, f"{path}: {text.format(what=token, id=value)}")
        if kind.needs and self._disabled(kind.needs, record):
            project = record.outputs.get("project")
            raise Refusal(
                "SERVICE_DISABLED",
                f"Error 403: {kind.needs} has not been used in project {project} before or it is"
                f" disabled. Enable it (gcp.projects.Service) and make this resource depend on that.",
            )

    def _disabled(self, api: str, record: Record) -> bool:
        return not any(
            each.inputs.get("service") == api
            and each.outputs.get("project") in (None, record.outputs.get("project"))
            for each in self.context.all("gcp:projects/service:Service")
        )

    def _gone(self, token: str, id: str) -> Refusal:
        code, text = GONE[self.package]
        return Refusal(code, text.format(what=token, id=id))


def _walk(value: Any, path: list[str]) -> Iterator[str]:
    """Every string at this path; lists are walked through."""
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, path)
    elif not path:
        if isinstance(value, str) and value:
            yield value
    elif isinstance(value, dict):
        yield from _walk(value.get(path[0]), path[1:])
