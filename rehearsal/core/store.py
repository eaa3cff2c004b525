"""The records of all resources: one SQLite file, which stays intact if the process is killed at any moment.

Everything is also in memory: a read never touches the disk, a write is on the disk before it returns.
Records and key-values are encrypted (`cryptography.fernet`): inputs may contain secrets.
"""

from __future__ import annotations

import contextlib
import copy
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from rehearsal.core.records import Record, Refusal
from rehearsal.core.settings import WIPE

TABLES = """
CREATE TABLE IF NOT EXISTS records (token TEXT, id TEXT, pending INTEGER, document BLOB,
                                    PRIMARY KEY (token, id, pending));
CREATE TABLE IF NOT EXISTS kv (namespace TEXT, key TEXT, document BLOB, PRIMARY KEY (namespace, key));
CREATE TABLE IF NOT EXISTS ledger (entry INTEGER PRIMARY KEY, time REAL, verb TEXT, package TEXT,
                                   token TEXT, name TEXT, id TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS children (pid INTEGER PRIMARY KEY, started REAL, key TEXT);
"""
# The outputs by which the inputs of other resources refer to one.
HANDLES = ("arn", "name", "selfLink", "selfLinkUri", "email", "member", "invokeArn", "url")
INSERT_LEDGER = (
    "INSERT INTO ledger (time, verb, package, token, name, id, text) VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class Unreadable(Exception):
    """The file or its content cannot be read; the message says why and what to do."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"{path} cannot be read ({reason}). Nothing was changed in it. Restore a copy of its folder"
            f" if you have one, or delete this state with {WIPE}"
        )


class Store:
    """Records, key-values, ledger and processes. Safe to use from any thread."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._fernet = Fernet(key)
        self._lock = threading.RLock()
        self._open = threading.local()
        self._records: dict[str, dict[str, Record]] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self.revision = 0
        """Another one after each change of a record, so that a reader may know that it has seen all."""
        self.kv = KeyValues(self)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._load()
        except InvalidToken:
            raise Unreadable(
                path, "the file `key` beside it is not the one it was written with"
            ) from None
        except sqlite3.DatabaseError as error:
            raise Unreadable(path, error) from None

    def _load(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(TABLES)
        rows = self._db.execute("SELECT document FROM records WHERE pending = 0 ORDER BY rowid")
        for (document,) in rows:
            record = self._record(document)
            self._records.setdefault(record.token, {})[record.id] = record
        for namespace, key, document in self._db.execute("SELECT * FROM kv ORDER BY rowid"):
            value = json.loads(self._fernet.decrypt(document))
            self._values.setdefault(namespace, {})[key] = value

    def close(self) -> None:
        """Close the file. Nothing is lost without it."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit this thread's writes together at the end; undo them when an exception passes."""
        if getattr(self._open, "statements", None) is not None:
            yield  # already inside one
            return
        self._open.statements, self._open.undo = [], []
        try:
            yield
            self._commit(self._open.statements)
        except BaseException:
            with self._lock:
                for undo in reversed(self._open.undo):
                    undo()
            raise
        finally:
            self._open.statements = None

    def _commit(self, statements: list[tuple[str, tuple[Any, ...]]]) -> None:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                for sql, parameters in statements:
                    self._db.execute(sql, parameters)
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                    raise
                raise Refusal(
                    "InsufficientStorage",
                    f"the disk with {self._path} is full. Nothing was written; make room and run the"
                    " same command again",
                ) from error

    def _write(self, sql: str, *parameters: Any, undo: Callable[[], None] | None = None) -> None:
        if getattr(self._open, "statements", None) is None:
            try:
                self._commit([(sql, parameters)])
            except BaseException:
                if undo:
                    undo()
                raise
        else:
            self._open.statements.append((sql, parameters))
            if undo:
                self._open.undo.append(undo)

    def _put(self, values: dict[str, Any], key: str, value: Any) -> Callable[[], None]:
        """Change the value in memory; returns the function that undoes it."""
        before = values.get(key)
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
        return lambda: values.pop(key, None) if before is None else values.__setitem__(key, before)

    def _seal(self, document: object) -> bytes:
        return self._fernet.encrypt(json.dumps(document).encode())

    def _record(self, sealed: bytes) -> Record:
        return Record(**json.loads(self._fernet.decrypt(sealed)))

    # Records

    def save(self, record: Record) -> None:
        """Store a record; one with the same type and id is overwritten."""
        with self._lock:
            self.revision += 1
            values = self._records.setdefault(record.token, {})
            undo = self._put(values, record.id, copy.deepcopy(record))
            self._write(
                "INSERT INTO records VALUES (?, ?, 0, ?) ON CONFLICT DO UPDATE SET document=excluded.document",
                *(record.token, record.id, self._seal(asdict(record))),
                undo=undo,
            )

    def remove(self, record: Record) -> None:
        """Forget a record."""
        with self._lock:
            self.revision += 1
            undo = self._put(self._records.setdefault(record.token, {}), record.id, None)
            self._write(
                "DELETE FROM records WHERE token = ? AND id = ? AND pending = 0",
                *(record.token, record.id),
                undo=undo,
            )

    def begin(self, record: Record) -> None:
        """Note, beside the existing records, that this one is being created."""
        self._write(
            "INSERT OR REPLACE INTO records VALUES (?, ?, 1, ?)",
            *(record.token, record.id, self._seal(asdict(record))),
        )

    def end(self, token: str, id: str) -> None:
        """The creation has succeeded or failed."""
        self._write("DELETE FROM records WHERE token = ? AND id = ? AND pending = 1", token, id)

    def unfinished(self) -> list[Record]:
        """Records whose creation the end of the process has interrupted."""
        rows = self._db.execute("SELECT document FROM records WHERE pending = 1")
        return [self._record(document) for (document,) in rows]

    def get(self, token: str, id: str) -> Record | None:
        """A copy of the record, or None."""
        with self._lock:
            return copy.deepcopy(self._records.get(token, {}).get(id))

    def all(self, token: str | None = None) -> list[Record]:
        """Copies of the records of a type, or of all types, oldest first."""
        with self._lock:
            types = [self._records.get(token, {})] if token else list(self._records.values())
            return [copy.deepcopy(record) for values in types for record in values.values()]

    def find(
        self, token: str, outputs: Mapping[str, object], inputs: Mapping[str, object] | None = None
    ) -> Record | None:
        """A copy of the first record of a type whose outputs, and inputs, have these values."""
        wanted = list(outputs.items()), list((inputs or {}).items())
        with self._lock:
            for record in self._records.get(token, {}).values():
                if all(record.outputs.get(name) == value for name, value in wanted[0]) and all(
                    record.inputs.get(name) == value for name, value in wanted[1]
                ):
                    return copy.deepcopy(record)
        return None

    def find_in_package(self, package: str, outputs: Mapping[str, object]) -> Record | None:
        """A copy of the first record of a cloud, of any type, whose outputs have these values."""
        with self._lock:
            for values in self._records.values():
                for record in values.values():
                    if record.package == package and outputs.items() <= record.outputs.items():
                        return copy.deepcopy(record)
        return None

    def with_urn(self, urn: str) -> Record | None:
        """A copy of the record of a program's resource, if it exists."""
        with self._lock:
            for record in self._records.get(urn.split("::")[2].split("$")[-1], {}).values():
                if record.urn == urn:
                    return copy.deepcopy(record)
        return None

    def find_referenced(self, tokens: str | tuple[str, ...], reference: str) -> Record | None:
        """A copy of the record with this id, name, ARN, self link or last path part."""
        with self._lock:
            for token in (tokens,) if isinstance(tokens, str) else tokens:
                values = self._records.get(token, {})
                if reference in values:
                    return copy.deepcopy(values[reference])
                for record in values.values():
                    if any(record.outputs.get(handle) == reference for handle in HANDLES):
                        return copy.deepcopy(record)
        return None

    # Ledger and processes: rows, unchanged

    def note(self, *row: Any) -> None:
        """Append a row (time, verb, package, token, name, id, text) to the ledger."""
        self._write(INSERT_LEDGER, *row)

    def notes(self, limit: int) -> list[tuple[Any, ...]]:
        """The ledger's newest rows, newest first."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM ledger ORDER BY entry DESC LIMIT ?", (limit,))
            return rows.fetchall()

    def add_process(self, pid: int, started: float, key: str) -> None:
        """Record a process at once, also while a transaction is open."""
        self._commit([("INSERT OR REPLACE INTO children VALUES (?, ?, ?)", (pid, started, key))])

    def remove_processes(self, pids: list[int]) -> None:
        """Forget processes that have ended."""
        if pids:
            self._commit([("DELETE FROM children WHERE pid = ?", (pid,)) for pid in pids])

    def processes(self) -> list[tuple[int, float, str]]:
        """Process id, start time and key of each recorded process."""
        with self._lock:
            return self._db.execute("SELECT * FROM children").fetchall()


class KeyValues:
    """Durable JSON by namespace and key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, namespace: str, key: str, default: Any = None) -> Any:
        """The value, or ``default``."""
        with self._store._lock:
            return copy.deepcopy(self._store._values.get(namespace, {}).get(key, default))

    def items(self, namespace: str) -> dict[str, Any]:
        """Everything in a namespace."""
        with self._store._lock:
            return copy.deepcopy(self._store._values.get(namespace, {}))

    def put(self, namespace: str, key: str, value: Any) -> None:
        """Store a value; it must not be None."""
        if value is None:
            raise ValueError("None is what `get` returns for a missing key; use `delete`")
        with self._store._lock:
            values = self._store._values.setdefault(namespace, {})
            undo = self._store._put(values, key, copy.deepcopy(value))
            self._store._write(
                "INSERT INTO kv VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET document=excluded.document",
                *(namespace, key, self._store._seal(value)),
                undo=undo,
            )

    def delete(self, namespace: str, key: str) -> None:
        """Forget a value; an unknown key is fine."""
        with self._store._lock:
            values = self._store._values.setdefault(namespace, {})
            undo = self._store._put(values, key, None)
            self._store._write(
                "DELETE FROM kv WHERE namespace = ? AND key = ?", namespace, key, undo=undo
            )
