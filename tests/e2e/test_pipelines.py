"""What CI calls, called: each `make` target of the pipelines, in a checkout of its own, on the real engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.stack_file import StackFile
from operations.crash.checkout import Checkout
from operations.engine.environment import exports

GIT = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Test"), ("EMAIL", "test@example.com"))
}


class RunnerCheckout(Checkout):
    """A checkout as a CI runner has it: a repository with one commit."""

    def commit(self) -> None:
        (self.folder / ".gitignore").open("a").write("\n.venv\n.models\noutput.txt\n")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
            subprocess.run(["git", *words], cwd=self.folder, env={**os.environ, **GIT}, check=True)

    def make_target(self, *words: str, code: int = 0, **environment: str) -> str:
        """What ``make WORDS`` prints; it must leave with ``code`` (make's own for any failure is 2)."""
        done = subprocess.run(
            ["make", *words],
            cwd=self.folder,
            env={**self.environment, **GIT, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def checkout(
    request: pytest.FixtureRequest, tmp_path: Path, models: list[str]
) -> Iterator[RunnerCheckout]:
    created = RunnerCheckout(request.param, tmp_path)
    created.create()
    project = created.folder / "pyproject.toml"
    gate = {"seconds = 10\n": "seconds = 2\n", "p95_ms = 1000\n": "p95_ms = 20000\n"}
    text = project.read_text()
    for strict, lenient in gate.items():  # a busy machine is slow, which is not what is tested
        assert strict in text
        text = text.replace(strict, lenient)
    project.write_text(text)
    created.commit()
    yield created
    created.run("rehearsal", "stop")


@pytest.mark.parametrize("checkout", ["aws"], indirect=True)
def test_a_review_shows_what_a_branch_changes_and_nothing_else(checkout: RunnerCheckout) -> None:
    source = checkout.folder / "components/aws/gateway.py"
    text = source.read_text()
    source.write_text(re.sub(r"(MEMORY_MB = )\d+", r"\g<1>1024", text))
    assert source.read_text() != text
    checkout.make_target("review", "CLOUD=aws", "BASE=HEAD")
    told = (checkout.folder / ".delivery/preview-review-aws.md").read_text()
    assert "| `triplane-gateway-function` | `aws:lambda/function:Function` | `memorySize` |" in told
    changed = set(re.findall(r"^\| `([^`]+)` \|", told, re.MULTILINE))
    assert changed == {"triplane-gateway-function", "triplane-gateway-live"}, told
    assert "0 violations" in told


@pytest.mark.parametrize("checkout", ["gcp"], indirect=True)
def test_a_merge_is_delivered_and_a_gate_that_fails_leaves_production_alone(
    checkout: RunnerCheckout,
) -> None:
    assert "delivered" in checkout.make_target("deliver", "CLOUD=gcp", "TESTS=none")
    stopped = checkout.make_target("deliver", "CLOUD=gcp", "TESTS=none", "P95_MS=0.1", code=2)
    assert "stopped: load gate" in stopped
    evidence = (checkout.folder / ".delivery/merge-gcp.md").read_text()
    assert re.search(r"Production: \d+ resources, last updated \S+, as it was\.", evidence)


@pytest.mark.parametrize("checkout", ["azure"], indirect=True)
def test_a_release_brings_a_stack_up_and_says_what_is_in_its_way_and_drift_is_found(
    checkout: RunnerCheckout,
) -> None:
    dev = StackFile.read(checkout.folder / "Pulumi.dev.yaml")
    for stage in ("staging", "production"):
        changes = {"triplane:cloud": "azure", "triplane:environment": stage}
        dev.with_settings(changes).write(checkout.folder / f"Pulumi.{stage}.yaml")
    store = checkout.folder / ".models"
    shared = store.resolve()
    store.unlink()  # a release leaves word in it
    shutil.copytree(shared, store)
    checkout.make_target("rehearsal")
    # A runner's environment: credentials and a backend elsewhere, and no word of where they lead.
    states = checkout.folder / "states"
    states.mkdir()
    runner = dict(exports(checkout.make_target("-s", "env")))
    runner["PULUMI_BACKEND_URL"] = f"file://{states}"
    init = ["pulumi", "stack", "init", "staging", "--non-interactive"]
    subprocess.run(
        init, cwd=checkout.folder, env={**checkout.environment, **runner}, check=True, timeout=60
    )

    assert "delivered" in checkout.make_target("release", "STACK=staging", **runner)
    assert "0 resources" in checkout.make_target("drift", "STACK=staging", **runner)

    key = ["pulumi", "stack", "output", "gateway_key", "--show-secrets", "--stack", "staging"]
    told = subprocess.run(
        key,
        cwd=checkout.folder,
        env={**checkout.environment, **runner},
        check=True,
        capture_output=True,
        text=True,
    )
    for folder in (".pulumi", ".delivery", ".rehearsal", "states"):
        for file in (each for each in (checkout.folder / folder).rglob("*") if each.is_file()):
            assert told.stdout.strip().encode() not in file.read_bytes(), file

    tested = (store / "tested").read_text().strip()
    assert tested == (store / "flight-delay/champion").read_text().strip()
    release = ("release", "STACK=production")
    assert "takes VERSION=" in checkout.make_target(*release, code=2, **runner)
    other = checkout.make_target(*release, f"VERSION={'a' * 64}", code=2, **runner)
    assert f"would have model {tested} serve" in other

    lock = states / ".pulumi/locks/organization/triplane/staging/of-a-dead-runner.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    since = {"pid": 7, "username": "ci", "hostname": "gone", "timestamp": "2026-01-01T00:00:00Z"}
    lock.write_text(json.dumps(since))
    locked = checkout.make_target("release", "STACK=staging", code=2, **runner)
    assert "by process 7 of ci on gone" in locked
    assert "pulumi cancel --stack staging" in locked
    assert not (store / "tested").exists()
    way_out = ["pulumi", "cancel", "--stack", "staging", "--yes"]
    subprocess.run(
        way_out, cwd=checkout.folder, env={**checkout.environment, **runner}, check=True, timeout=60
    )
    assert not lock.exists()

    by_hand = {"on": "azure-native:web:WebApp", "inputs": {"httpsOnly": False}}
    assert checkout.control("change", by_hand)
    found = checkout.make_target("drift", "STACK=staging", code=2, **runner)
    assert "`triplane-gateway`: httpsOnly" in found
