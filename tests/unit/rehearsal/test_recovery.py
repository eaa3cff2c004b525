"""The rehearsal among what an engineer's machine does to it: other code, other clocks, broken files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cryptography.fernet import Fernet

from rehearsal import supervisor
from rehearsal.core.ports import Ports
from rehearsal.core.records import Record, Refusal
from rehearsal.core.settings import PACKAGE, PROFILE_VARIABLE
from rehearsal.core.store import Store, Unreadable
from rehearsal.runtime import processes
from rehearsal.supervisor import RehearsalError


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    state = tmp_path / "state"
    yield state
    supervisor.stop(state, lambda _: None)


def start(state: Path) -> str:
    reported: list[str] = []
    supervisor.start(state, reported.append)
    return "\n".join(reported)


@pytest.mark.emulator
def test_a_rehearsal_with_old_code_is_restarted_unless_an_update_uses_it(state: Path) -> None:
    start(state)
    first = supervisor.resident_pid(state)
    address = supervisor.url(state)
    assert "runs already" in start(state)
    (state / "code").write_text("of yesterday")  # the digest of the code that it was started from
    provider = Ports(state / "addresses.json").get("gcp")
    assert supervisor.runs_as_wanted(state) is None
    with socket.create_connection(("127.0.0.1", provider or 0)):  # as an engine does
        assert "an update is using it" in start(state)
        assert supervisor.resident_pid(state) == first
    output = start(state)
    assert "code was changed" in output
    assert "is ready" in output
    assert supervisor.resident_pid(state) != first
    assert supervisor.url(state) == address
    assert "runs already" in start(state)


@pytest.mark.emulator
def test_a_rehearsal_with_another_profile_is_restarted_unless_an_update_uses_it(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(state)
    address = supervisor.url(state)
    monkeypatch.setenv(PROFILE_VARIABLE, "realistic")
    assert supervisor.runs_as_wanted(state) is None
    provider = Ports(state / "addresses.json").get("gcp")
    with socket.create_connection(("127.0.0.1", provider or 0)):  # as an engine does
        with pytest.raises(RehearsalError, match=r"profile instant, and realistic .* using it"):
            start(state)
        assert supervisor.request(state, "/_api/status")["profile"] == "instant"
    assert "profile instant, and realistic is wanted: it is restarted" in start(state)
    assert supervisor.request(state, "/_api/status")["profile"] == "realistic"
    with urllib.request.urlopen(f"{address}/overview.json") as overview:
        assert json.load(overview)["profile"] == "realistic"  # the page shows it
    assert supervisor.environment(state)[PROFILE_VARIABLE] == "realistic"
    assert "(realistic) runs already" in start(state)


def test_the_digest_changes_with_any_line_of_the_rehearsal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aws").mkdir()
    module = tmp_path / "aws" / "profile.py"
    module.write_text("A = 1")
    monkeypatch.setattr(supervisor, "PACKAGE", tmp_path)
    before = supervisor.code_digest()
    assert supervisor.code_digest() == before
    module.write_text("A = 2")
    assert supervisor.code_digest() != before


def test_a_process_is_recognised_after_the_clock_was_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = processes.start_time(os.getpid())
    assert before is not None
    # What Linux answers after the clock was set an hour ahead: it counts back from the clock.
    booted = psutil.boot_time() + 3600
    monkeypatch.setattr(psutil, "boot_time", lambda: booted)
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: booted)  # type: ignore[attr-defined]
    if psutil.LINUX:
        assert psutil.Process().create_time() > before % 1e7 + booted - 1
    assert processes.is_same_process(os.getpid(), before)


def test_a_process_that_an_older_version_recorded_is_stopped(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite", Fernet.generate_key())
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as left:
        try:
            store.add_process(left.pid, psutil.Process(left.pid).create_time(), "objects/s3")
            assert processes.Processes(store).stop_all() == 1
            assert left.poll() is not None
        finally:
            left.kill()


@pytest.mark.parametrize("age", ["not_before", "not_after"])
def test_a_certificate_that_is_not_valid_now_is_renewed(tmp_path: Path, age: str) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509

    from rehearsal.core import credentials

    def certificate(path: Path) -> x509.Certificate:
        return x509.load_pem_x509_certificate(path.read_bytes())

    far = timedelta(days=5000 if age == "not_before" else -5000)  # the clock was wrong by that
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(credentials, "now", lambda: datetime.now(UTC) + far)
        made = credentials.Authority(tmp_path)
        path, _ = made.certificate("127.0.0.1")
        before = certificate(made.certificate_path), certificate(path)
    by_the_old_one, _ = made.certificate("localhost")  # in force itself
    authority = credentials.Authority(tmp_path)
    assert not by_the_old_one.exists(), "what an authority has signed goes with it"
    path, _ = authority.certificate("127.0.0.1")
    now = datetime.now(UTC)
    for old, new in zip(
        before, (certificate(authority.certificate_path), certificate(path)), strict=True
    ):
        assert not old.not_valid_before_utc < now < old.not_valid_after_utc
        assert new.not_valid_before_utc < now < new.not_valid_after_utc
    new.verify_directly_issued_by(certificate(authority.certificate_path))
    assert authority.certificate_path.read_bytes() in authority.bundle.read_bytes()
    again = credentials.Authority(tmp_path)
    assert certificate(again.certificate("127.0.0.1")[0]) == new, "a good one is kept"


def test_a_store_that_is_no_database_is_reported_and_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "rehearsal.sqlite"
    file.write_bytes(b"no database" * 100)
    with pytest.raises(Unreadable, match=r"rehearsal.sqlite cannot be read .*make wipe"):
        Store(file, Fernet.generate_key())
    assert file.read_bytes() == b"no database" * 100


def test_a_store_whose_key_was_lost_is_reported_and_not_changed(tmp_path: Path) -> None:
    file, key = tmp_path / "rehearsal.sqlite", Fernet.generate_key()
    store = Store(file, key)
    store.kv.put("a", "b", "c")
    store.close()
    with pytest.raises(Unreadable, match="`key` beside it"):
        Store(file, Fernet.generate_key())
    assert Store(file, key).kv.get("a", "b") == "c"


@pytest.mark.emulator
def test_start_reports_a_broken_store_and_works_after_wipe(state: Path) -> None:
    supervisor.prepare(state)
    (state / "rehearsal.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(RehearsalError, match=r"rehearsal.sqlite cannot be read"):
        start(state)
    supervisor.wipe(state, lambda _: None)
    assert "is ready" in start(state)


def test_a_full_disk_loses_only_the_write_that_was_refused(tmp_path: Path) -> None:
    store, key = Store(tmp_path / "s.sqlite", key := Fernet.generate_key()), key
    small = Record("aws", "aws:iam/role:Role", id="r", urn="urn", inputs={}, outputs={})
    store.save(small)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own way to be full
    large = Record(
        "aws", "aws:iam/role:Role", id="l", urn="urn", inputs={"a": "b" * 9999}, outputs={}
    )
    with pytest.raises(Refusal, match=r"s.sqlite is full.*make room and run"):
        store.save(large)
    with pytest.raises(Refusal), store.transaction():
        store.kv.put("a", "b", "c" * 9999)
    assert [each.id for each in store.all()] == ["r"], "memory believes no more than the disk"
    store._db.execute(f"PRAGMA max_page_count={pages + 100}")
    store.save(large)
    store.close()
    assert [each.id for each in Store(tmp_path / "s.sqlite", key).all()] == ["r", "l"]


def test_a_file_is_written_completely_or_not_at_all(tmp_path: Path) -> None:
    """Under a real limit on the size of files, in a process of its own."""
    (tmp_path / "file").write_text("former")
    program = (
        "import resource, signal, sys; from pathlib import Path; from rehearsal.core import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "files.write_whole(Path(sys.argv[1]), 'x' * 5000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file")],
        cwd=PACKAGE.parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode
    assert "File too large" in done.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ["former"]
