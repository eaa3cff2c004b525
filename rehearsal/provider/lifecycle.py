"""The life of a resource: create, read, update and delete, each completely or not at all."""

from __future__ import annotations

import contextlib
import copy
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

from rehearsal.core.records import CheckFailure, Incomplete, Json, Record, Refusal
from rehearsal.core.schema import Schema, Schemas
from rehearsal.core.wire import Path
from rehearsal.provider import generic
from rehearsal.provider.cloud_profile import CloudProfile
from rehearsal.provider.context import Context
from rehearsal.provider.resource_type import ResourceType

log = logging.getLogger(__name__)


class Lifecycle:
    """The operations of one cloud's provider on records."""

    def __init__(self, context: Context, cloud: CloudProfile, schemas: Schemas) -> None:
        self.context = context
        self.package = cloud.package
        self.provider = cloud.provider
        self._rules = cloud.rules()
        self._schemas = schemas
        self._plain = ResourceType()
        self._names = threading.Lock()
        self._taken: set[tuple[Any, ...]] = set()

    def schema_and_rules(self, token: str) -> tuple[Schema, ResourceType]:
        """The SDK's description of a type, and its rules."""
        return self._schemas.get(token), self.rules(token)

    def rules(self, token: str) -> ResourceType:
        """The type's rules; empty ones for a type that has none of its own."""
        return self._rules.get(token, self._plain)

    def create(
        self, token: str, urn: str, inputs: Json, secrets: list[Path], config: Json
    ) -> Record:
        """Create a resource. It is on disk before this returns: it exists even if the answer is lost."""
        schema, rules = self.schema_and_rules(token)
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
        generic.fill_new(self.provider, record, schema, rules, self.context.account)
        self._check_references(rules, record)
        with self._named(schema, rules, record):
            begun = record.id
            self.context.store.begin(record)
            try:
                incomplete: Incomplete | None = None
                with self.context.store.transaction():
                    try:
                        rules.create(self.context, record)
                        # Afterwards: what a cloud refuses, it refuses at the beginning of an operation.
                        self.context.behaviour.spend(token)
                    except Incomplete as failure:
                        incomplete = failure
                    if not record.id:
                        raise RuntimeError(f"{token} was created without an id")
                    record.outputs |= self.read_back(record)
                    former = self.context.store.with_urn(urn)
                    self._note_grant(rules, record, None)
                    self.context.store.save(record)
                    self.context.store.end(token, begun)
                    if former:
                        text = f"instead of {former.id}; {rules.executes}".removesuffix("; ")
                        self.context.ledger.note("replaced", record, text)
                    else:
                        self.context.ledger.note("created", record, rules.executes)
                if incomplete:
                    incomplete.record = record
                    raise incomplete
            except BaseException:
                self.context.store.end(token, begun)
                raise
        return record

    def read(self, token: str, id: str) -> Record | None:
        """The resource as it is now, by its id or import id; None if it does not exist any more.

        A read forgets nothing: a store that lost its data for a while, or on whose port another program
        answers, would take the records with it.
        """
        rules = self.rules(token)
        record = self.context.store.get(token, id) or self._imported(rules, id)
        if record is None:
            return None
        before = copy.deepcopy(record)
        with self.context.store.transaction():
            if not rules.read(self.context, record):
                return None
            record.outputs |= self.read_back(record)
            if record != before:
                self.context.store.save(record)
        return record

    def read_back(self, record: Record) -> Json:
        """What the provider reads of a resource beyond what was written to it.

        It reads after each creation and update, too.
        """
        read_back = self.provider.read_back.get(record.token)
        return read_back(self.context, record) if read_back else {}

    def renew(self, record: Record) -> list[str]:
        """Give the outputs that the service itself renews other values; returns their names."""
        names = sorted(self.provider.renewed.keys() & record.outputs.keys())
        record.outputs |= {name: renewed(record.outputs[name]) for name in names}
        if names:
            self.context.store.save(record)
            self.context.ledger.note("changed", record, f"by the service: {', '.join(names)}")
        return names

    def _imported(self, rules: ResourceType, id: str) -> Record | None:
        """The record that ``pulumi import`` means by ``id``, where that is not the id itself."""
        if type(rules).imported_as is ResourceType.imported_as and not rules.import_as:
            return None
        found = (each for each in self.context.all(rules.token) if rules.imported_as(each) == id)
        return next(found, None)

    def update(self, token: str, id: str, urn: str, inputs: Json, secrets: list[Path]) -> Record:
        """Change a resource in place."""
        schema, rules = self.schema_and_rules(token)
        old = self.context.get(token, id)
        if old is None:
            raise self._not_found(token, id)
        record = copy.deepcopy(old)
        record.urn, record.inputs = urn, inputs
        record.secrets = [list(path) for path in secrets]
        generic.copy_inputs(self.provider, record, schema, old.inputs)
        self._check_references(rules, record)
        with self.context.store.transaction():
            rules.update(self.context, old, record)
            self.context.behaviour.spend(token)
            if old.inputs != record.inputs:
                self._note_grant(rules, record, old)
            record.outputs |= self.read_back(record)
            self.context.store.save(record)
            self.context.ledger.note("updated", record)
        return record

    def delete(self, token: str, id: str) -> None:
        """Delete a resource. One that does not exist is not a failure, as on the clouds."""
        record = self.context.get(token, id)
        if record is None:
            return
        rules = self.rules(token)
        if rules.stays(record):
            self.context.ledger.note("kept", record, "deleted in the program only")
            return
        with self.context.store.transaction():
            self.provider.require_deletion(self.context, record)
            rules.delete(self.context, record)
            self._note_grant(rules, record, record)
            self.context.store.remove(record)
            self.context.ledger.note("deleted", record)

    def lose(self, record: Record) -> None:
        """Delete a resource without the program, whatever its rules are."""
        rules = self.rules(record.token)
        with self.context.store.transaction():
            with contextlib.suppress(Refusal):
                rules.delete(self.context, record)
            self._note_grant(rules, record, record)
            self.context.store.remove(record)
            self.context.ledger.note("lost", record, "on request")

    def change(self, record: Record, inputs: Json) -> None:
        """Change a resource without the program, by the same rules."""
        paths: list[Path] = [tuple(path) for path in record.secrets]
        self.update(record.token, record.id, record.urn, {**record.inputs, **inputs}, paths)
        self.context.ledger.note("changed", record, f"by hand: {', '.join(inputs)}")

    def clean_up(self) -> None:
        """Delete the resources that were being created when the process ended."""
        for record in self.context.store.unfinished():
            if record.package != self.package:
                continue
            rules = self.rules(record.token)
            with contextlib.suppress(Refusal):
                rules.delete(self.context, record)
            self.context.store.end(record.token, record.id)
            self.context.ledger.note("interrupted", record, "was being created")

    def _note_grant(self, rules: ResourceType, record: Record, former: Record | None) -> None:
        if rules.is_grant:
            self.context.grants.note_change(self.package, record.token, record.id, former)

    def check_name(self, rules: ResourceType, inputs: Json) -> None:
        """Raise `CheckFailure` for a physical name that the cloud refuses."""
        name = rules.name
        value = inputs.get(name.property) if name else None
        if name is None or value is None:
            return
        if not isinstance(value, str) or not re.fullmatch(name.pattern, value):
            reason = f'"{value}" is not a valid name: {name.rule} ({rules.source})'
            raise CheckFailure(name.property, reason)
        if not name.min <= len(value) <= name.max:
            raise CheckFailure(
                name.property,
                f'"{value}" has {len(value)} characters, and {name.min} to {name.max} are allowed'
                f" ({rules.source})",
            )

    @contextlib.contextmanager
    def _named(self, schema: Schema, rules: ResourceType, record: Record) -> Iterator[None]:
        """Reserve the physical name during the creation; refuse a name that another resource has."""
        wire = generic.name_property(self.provider, schema, rules)
        name = record.inputs.get(wire or "")
        if wire is None or name is None or (rules.name and rules.name.unique is None):
            yield
            return
        if rules.name and rules.name.unique is not None:
            facts = {**record.config, **record.outputs, **record.inputs}
            scope = {each: facts.get(each) for each in rules.name.unique}
        else:
            scope = {}
        reservation = (record.token, name, record.id if not rules.name else "", *scope.values())
        with self._names:
            other = self._holder(record, wire, name, scope, by_id=rules.name is None)
            if other and self._has_vanished(rules, other):
                other = None
            if other or reservation in self._taken:
                code = rules.name.taken if rules.name else self.provider.errors.taken
                holder = f", as {other.name}" if other else ""
                raise Refusal(code, f'a {record.token} with {wire} "{name}" exists already{holder}')
            self._taken.add(reservation)
        try:
            yield
        finally:
            self._taken.discard(reservation)

    def _has_vanished(self, rules: ResourceType, holder: Record) -> bool:
        """Whether the holder of a name does not exist any more. It is forgotten then: another takes its place."""
        if rules.read(self.context, copy.deepcopy(holder)):
            return False
        with self.context.store.transaction():
            self.context.store.remove(holder)
            self.context.ledger.note("lost", holder, "does not exist any more")
        return True

    def _holder(
        self, record: Record, wire: str, name: str, scope: Json, *, by_id: bool
    ) -> Record | None:
        if by_id:  # no rule says where the name is unique: the id contains its scope
            return self.context.get(record.token, record.id)
        in_outputs = {each: value for each, value in scope.items() if each in record.outputs}
        in_inputs = {each: value for each, value in scope.items() if each not in record.outputs}
        return self.context.store.find(record.token, in_outputs, {wire: name, **in_inputs})

    def _check_references(self, rules: ResourceType, record: Record) -> None:
        """Refuse a reference to something that does not exist, and a type whose API is not enabled."""
        for path, tokens in rules.references.items():
            for value in _strings_at(record.inputs, path.split(".")):
                if value.startswith("arn:aws:iam::aws:"):
                    continue  # AWS's own managed policies always exist
                if self.context.find_referenced(tokens, value) is None:
                    token = tokens if isinstance(tokens, str) else " or ".join(tokens)
                    code, text = self.provider.errors.not_found
                    said = f"{path}: {text.format(what=token, id=value)}"
                    raise Refusal(rules.missing or code, said)
        if rules.needs and self._disabled(rules.needs, record):
            project = record.outputs.get("project")
            raise Refusal(
                "SERVICE_DISABLED",
                f"Error 403: {rules.needs} has not been used in project {project} before or it is"
                f" disabled. Enable it (gcp.projects.Service) and make this resource depend on that.",
            )

    def _disabled(self, api: str, record: Record) -> bool:
        return not any(
            each.inputs.get("service") == api
            and each.outputs.get("project") in (None, record.outputs.get("project"))
            for each in self.context.all("gcp:projects/service:Service")
        )

    def _not_found(self, token: str, id: str) -> Refusal:
        code, text = self.provider.errors.not_found
        return Refusal(code, text.format(what=token, id=id))


def renewed(value: Any) -> Any:
    """Another value of the same shape: times are now, and other texts have another end."""
    if isinstance(value, dict):
        return {k: v if k.startswith("created") else renewed(v) for k, v in value.items()}
    if not isinstance(value, str):
        return value
    if re.match(r"\d{4}-\d\d-\d\dT", value):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"{value[:-4]}{secrets.token_hex(2)}"


def _strings_at(value: Any, path: list[str]) -> Iterator[str]:
    """Every string at this path; lists are walked through."""
    if isinstance(value, list):
        for item in value:
            yield from _strings_at(item, path)
    elif not path:
        if isinstance(value, str) and value:
            yield value
    elif isinstance(value, dict):
        yield from _strings_at(value.get(path[0]), path[1:])
