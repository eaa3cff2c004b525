"""The store: whole after any end of the process, and never secret in clear."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from rehearsal.core.records import Record
from rehearsal.core.store import Store

KEY = Fernet.generate_key()
QUEUE = "aws:sqs/queue:Queue"


def record(name: str, **outputs: str) -> Record:
    urn = f"urn:pulumi:s::p::{QUEUE}::{name}"
    return Record("aws", QUEUE, f"id-{name}", urn, {}, {"name": name, **outputs})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rehearsal.sqlite"


def test_a_saved_record_exists_after_a_restart(file: Path) -> None:
    first = Store(file, KEY)
    first.save(record("one"))
    first.kv.put("space", "key", {"deep": [1, 2]})
    first.close()
    second = Store(file, KEY)
    assert second.get(QUEUE, "id-one") == record("one")
    assert second.kv.items("space") == {"key": {"deep": [1, 2]}}


def test_a_failed_transaction_leaves_no_trace_in_memory_or_on_disk(file: Path) -> None:
    store = Store(file, KEY)
    store.save(record("kept", colour="red"))
    store.kv.put("space", "key", 1)

    def failing() -> None:
        with store.transaction():
            store.save(record("kept", colour="blue"))
            store.save(record("new"))
            store.kv.put("space", "key", 2)
            store.kv.put("space", "other", 2)
            store.note(0.0, "created", "aws", QUEUE, "new", "id-new", "")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    for seen in (store, Store(file, KEY)):
        assert [r.outputs["colour"] for r in seen.all(QUEUE)] == ["red"]
        assert seen.kv.items("space") == {"key": 1}
        assert seen.notes(10) == []


def test_a_changed_copy_has_no_effect_until_it_is_saved(file: Path) -> None:
    store = Store(file, KEY)
    store.save(record("one"))
    copy = store.get(QUEUE, "id-one")
    assert copy is not None
    copy.outputs["name"] = "changed"
    assert store.find(QUEUE, {"name": "changed"}) is None
    store.kv.put("space", "list", [1])
    store.kv.get("space", "list").append(2)
    assert store.kv.get("space", "list") == [1]


def test_secrets_are_on_disk_only_encrypted(file: Path) -> None:
    store = Store(file, KEY)
    with store.transaction():
        store.save(record("one", password="correct-horse-battery"))
        store.begin(record("two", password="correct-horse-battery"))
        store.kv.put("space", "key", "correct-horse-battery")
    written = b"".join(each.read_bytes() for each in file.parent.iterdir())
    assert b"correct-horse" not in written


def test_a_record_is_found_by_id_name_and_arn(file: Path) -> None:
    store = Store(file, KEY)
    store.save(record("one", arn="arn:aws:sqs:x:1:one"))
    for reference in ("id-one", "one", "arn:aws:sqs:x:1:one"):
        found = store.find_referenced(("aws:other:Type", QUEUE), reference)
        assert found is not None, reference
    assert store.find_referenced(QUEUE, "two") is None


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from rehearsal.core.records import Record
from rehearsal.core.store import Store
store = Store(Path(sys.argv[1]), sys.argv[2].encode())
number = 0
while True:
    number += 1
    with store.transaction():
        for part in range(100):
            store.save(Record("aws", "t:t:T", f"{number}-{part}", "u", {}, {}))
    print(number, flush=True)
"""


@pytest.mark.parametrize("later", [0, 0.004, 0.008, 0.012, 0.016])
def test_a_kill_loses_no_acknowledged_write_and_leaves_no_partial_one(
    file: Path, later: float
) -> None:
    clone = Path(__file__).resolve().parents[3]
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file), KEY.decode(), str(clone)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    for _ in range(5):
        writer.stdout.readline()
    time.sleep(later)  # into another part of what the writer does
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = [int(line) for line in writer.stdout] or [5]
    writer.wait()
    existing = {each.id for each in Store(file, KEY).all("t:t:T")}
    assert {
        f"{n}-{part}" for n in range(1, acknowledged[-1] + 1) for part in range(100)
    } <= existing
    assert len(existing) % 100 == 0, "a part of a transaction is stored"
