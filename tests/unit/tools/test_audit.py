"""A package with a known vulnerability stops a merge; so does a service that does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from tools import audit
from tools.audit import CONTROL, HOME, Ignored, NoAnswer, Vulnerability, pins, problems
from tools.lock import LOCKS

TODAY = date(2026, 11, 28)
FOUND = Vulnerability(
    "requests", "2.19.0", ("PYSEC-2018-28", "CVE-2018-18074"), ("2.20.0",), "It leaks a header."
)
ENTRY = Ignored("CVE-2018-18074", "requests", "no redirect to another host", date(2026, 11, 28))


def test_a_vulnerable_package_is_a_problem_with_its_way_out() -> None:
    (problem,) = problems([FOUND], [], TODAY)
    assert problem.startswith("requests 2.19.0: PYSEC-2018-28, CVE-2018-18074 (fixed in 2.20.0)")


def test_an_ignored_advisory_is_none_until_its_date_by_any_of_its_names() -> None:
    assert list(problems([FOUND], [ENTRY], TODAY)) == []
    found, expired = problems([FOUND], [ENTRY], date(2026, 11, 29))
    assert "requests 2.19.0" in found
    assert "was ignored until 2026-11-28: no redirect to another host" in expired


def test_an_entry_for_another_package_ignores_nothing_and_is_to_be_removed() -> None:
    other = Ignored(ENTRY.id, "urllib3", ENTRY.reason, ENTRY.expires)
    found, unused = problems([FOUND], [other], TODAY)
    assert "requests 2.19.0" in found
    assert "no lock has CVE-2018-18074 of urllib3 now" in unused


def test_the_entries_have_a_reason_and_a_date(tmp_path: Path) -> None:
    file = tmp_path / "audit.toml"
    file.write_text('[[ignored]]\nid = "X"\npackage = "y"\nreason = "z"\nexpires = 2026-12-31\n')
    assert audit.ignored(file) == [Ignored("X", "y", "z", date(2026, 12, 31))]
    file.write_text('[[ignored]]\nid = "X"\npackage = "y"\nreason = "z"\n')
    with pytest.raises(TypeError, match="expires"):
        audit.ignored(file)
    for entry in audit.ignored(audit.IGNORED):
        assert len(entry.reason) > 20


def test_every_pin_of_every_lock_is_asked_about_for_every_platform() -> None:
    locks = {name: HOME / f"{name}.txt" for name in LOCKS}
    pinned = pins(locks)
    for name, file in locks.items():
        lines = [line for line in file.read_text().splitlines() if line[:1].isalnum()]
        packages = {line.partition("==")[0].partition("[")[0] for line in lines}
        assert packages == {package for package, _ in pinned if name in pinned[package, _]}
    assert any(package == "pywin32" for package, _ in pinned), "of Windows alone"
    assert CONTROL not in pinned


class Osv(BaseHTTPRequestHandler):
    """An OSV that knows the advisories in ``known``, or is out of order."""

    known: ClassVar[dict[tuple[str, str], str]] = {}
    status: ClassVar[int] = 200
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pin = (question["package"]["name"], question["version"])
        self.asked.append(pin)
        answer: dict[str, Any] = {}
        if advisory := self.known.get(pin):
            affected = {
                "package": {"name": pin[0], "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "99"}]}],
            }
            answer["vulns"] = [
                {"id": advisory, "aliases": ["CVE-1"], "summary": "Bad.", "affected": [affected]}
            ]
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


# One test, because it creates the environment of pip-audit where there is none.
def test_the_command_fails_for_a_vulnerable_pin_and_for_a_service_that_knows_nothing(
    osv: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = {("requests", "2.19.0"): ["requirements"], ("requests", "2.34.2"): ["policy/moto"]}
    monkeypatch.setattr(audit, "pins", lambda _: pinned)
    monkeypatch.setattr(audit, "ignored", lambda _: [])
    monkeypatch.setenv("OSV_URL", osv)
    monkeypatch.setattr(Osv, "known", {CONTROL: "GHSA-0"})
    audit.main()
    assert "audit: 2 packages, 0 advisories, 0 problems" in capsys.readouterr().out
    assert set(Osv.asked) == {*pinned, CONTROL}

    del pinned["requests", "2.34.2"]
    monkeypatch.setattr(Osv, "known", {CONTROL: "GHSA-0", ("requests", "2.19.0"): "GHSA-1"})
    with pytest.raises(SystemExit, match="1"):
        audit.main()
    output = capsys.readouterr().out
    assert "requests 2.19.0: CVE-1, GHSA-1 (fixed in 99). Bad." in output
    assert "requests 2.19.0 is in requirements\n" in output

    # A proxy that answers everything with an empty page.
    monkeypatch.setattr(Osv, "known", {})
    with pytest.raises(SystemExit, match=r"knows nothing of jinja2 2\.4\.1"):
        audit.main()
    monkeypatch.setattr(Osv, "status", 503)
    with pytest.raises(NoAnswer):
        audit.vulnerabilities(pinned, osv)
    monkeypatch.setenv("OSV_URL", "http://127.0.0.1:1/")
    with pytest.raises(SystemExit, match=r"nothing is known about 1 packages: .*refused"):
        audit.main()
    assert "0 problems" not in capsys.readouterr().out
