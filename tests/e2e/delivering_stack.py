"""A stack with a delivery beside a shared stack, whose name its own begins with, and the tokens of its jobs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt

from bench.harness import ROOT, Stack
from config import github
from config.stack_file import StackFile

REPOSITORY = "acme/triplane"


def stack_beside(shared: Stack, folder: Path, **delivery: Any) -> Stack:
    """A new stack on the cloud of the shared one, brought up by the deployer."""
    settings = StackFile.read(ROOT / "Pulumi.dev.yaml").settings | {
        "triplane:cloud": shared.settings["triplane:cloud"],
        "triplane:delivery": {"repository": REPOSITORY, "environment": "staging", **delivery},
    }
    created = Stack(shared.rehearsal, f"{shared.name}-eu", folder, settings)
    created.init()
    created.up()
    return created


def github_token(audience: str, **claims: Any) -> str:
    """What GitHub gives a job of the main branch: the claims are its subject, and those that differ."""
    now = int(time.time())
    known: dict[str, Any] = {"iss": github.ISSUER, "aud": audience}
    known |= {"ref": "refs/heads/main", "nbf": now - 60, "exp": now + 600}
    return jwt.encode(known | claims, "a key that only GitHub has, and nobody else", "HS256")
