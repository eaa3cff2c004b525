"""Environments of their own for checkers that pin packages which the platform needs in other versions."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
VENV = HOME / ".venv"
LOCKS = {
    "audit": ("tools/audit.txt", "about 30 MB"),
    "judge": ("policy/judge.txt", "about 85 MB"),
    "moto": ("policy/moto.txt", "about 85 MB"),
    "plain-gateway": ("bench/plain_gateway.txt", "about 30 MB"),
    "policy": ("policy/requirements.txt", "about 200 MB"),
}
"""The pinned packages of each environment, and their size."""


def created(name: str) -> Path:
    """The environment `.venv/<name>`; re-created when its lock changes."""
    file, size = LOCKS[name]
    lock, environment = HOME / file, VENV / name
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = environment / "requirements"
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"Creating .venv/{name} ({size}, once)", file=sys.stderr, flush=True)
        uv = str(VENV / "bin" / "uv")
        python = str(environment / "bin" / "python")
        create = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)]
        subprocess.run(create, check=True)
        install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes"]
        subprocess.run([*install, "-r", str(lock)], check=True)
        stamp.write_text(digest)
    return environment
