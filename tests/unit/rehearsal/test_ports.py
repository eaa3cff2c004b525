"""Ports stay a rehearsal's own while it does not run, for they are in a stack's state."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.core import ports
from rehearsal.core.ports import Ports, is_free


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So few ports that two rehearsals must meet; the reservations of this machine are not used."""
    start = next(port for port in ports.RANGE if all(is_free(port + more) for more in range(3)))
    monkeypatch.setattr(ports, "RANGE", range(start, start + 3))
    monkeypatch.setattr(ports, "RESERVATIONS", tmp_path / "ports")


def test_a_port_is_kept_by_its_key(tmp_path: Path) -> None:
    one = Ports(tmp_path / "one.json")
    port = one.port_of("http")
    assert one.port_of("http") == port
    assert one.port_of("grpc") != port
    assert Ports(tmp_path / "one.json").get("http") == port


def test_the_ports_of_a_stopped_rehearsal_are_not_given_to_another_one(
    tmp_path: Path,
) -> None:
    one, other = Ports(tmp_path / "one.json"), Ports(tmp_path / "other.json")
    kept = {one.port_of("http"), one.port_of("grpc"), other.port_of("http")}
    assert len(kept) == 3
    with pytest.raises(OSError, match="no free port"):
        other.port_of("grpc")
    one.release("grpc")
    assert other.port_of("grpc") in kept


def test_a_wiped_rehearsal_keeps_no_ports(tmp_path: Path) -> None:
    one, other = Ports(tmp_path / "one.json"), Ports(tmp_path / "other.json")
    mine = {one.port_of(key) for key in "abc"}
    (tmp_path / "one.json").unlink()
    assert {other.port_of(key) for key in "abc"} == mine
