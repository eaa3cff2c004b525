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


def refusal_after_its_work(own: Stack, models: list[str]) -> str:
    """Do what a delivery does, as the identity that the stack has been given; what then refuses a change of the lake's rules."""
    assert "unchanged" in own.up()
    own.configure(
        **{"triplane:models": {"flight-delay": models[1]}, "triplane:gateway": {"key_rotation": 2}}
    )
    own.up()
    own.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    own.configure(
        **{"triplane:models": {"flight-delay": models[0]}, "triplane:lake": {"captures_days": 5}}
    )
    return own.up(code=1)


def github_token(audience: str, **claims: Any) -> str:
    """What GitHub gives a job of the main branch: the claims are its subject, and those that differ."""
    now = int(time.time())
    known: dict[str, Any] = {"iss": github.ISSUER, "aud": audience}
    known |= {"ref": "refs/heads/main", "nbf": now - 60, "exp": now + 600}
    return jwt.encode(known | claims, "a key that only GitHub has, and nobody else", "HS256")
