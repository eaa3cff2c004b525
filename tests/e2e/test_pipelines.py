"""Each `make` target that the pipelines call, in a separate checkout, on the real engine."""

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
from operations.engine.environment import parse_exports
from operations.engine.pulumi_cli import PulumiCli

GIT = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Test"), ("EMAIL", "test@example.com"))
}


class RunnerCheckout(Checkout):
    """A checkout as a CI runner has it: a repository with one commit."""

    def commit(self) -> None:
        (self.folder / ".gitignore").open("a").write("\n.venv\n.models\noutput.txt\n")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "the tree as it is"]):
            subprocess.run(["git", *words], cwd=self.folder, env={**os.environ, **GIT}, check=True)

    def make_target(self, *words: str, code: int = 0, **environment: str) -> str:
        """The output of ``make WORDS``; it must exit with ``code`` (make exits with 2 for any failure)."""
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
    for strict, lenient in gate.items():  # a busy machine is slow, and speed is not tested here
        assert strict in text
        text = text.replace(strict, lenient)
    project.write_text(text)
    created.commit()
    yield created
    created.run("rehearsal", "stop")


@pytest.mark.parametrize("checkout", ["aws"], indirect=True)
def test_a_review_shows_only_the_changes_of_the_branch(checkout: RunnerCheckout) -> None:
    source = checkout.folder / "components/aws/gateway.py"
    text = source.read_text()
    source.write_text(re.sub(r"(MEMORY_MB = )\d+", r"\g<1>1024", text))
    assert source.read_text() != text
    checkout.make_target("review", "CLOUD=aws", "BASE=HEAD")
    comment = (checkout.folder / ".delivery/preview-review-aws.md").read_text()
    assert (
        "| `triplane-gateway-function` | `aws:lambda/function:Function` | `memorySize` |" in comment
    )
    changed = set(re.findall(r"^\| `([^`]+)` \|", comment, re.MULTILINE))
    assert changed == {"triplane-gateway-function", "triplane-gateway-live"}, comment
    assert "0 violations" in comment


@pytest.mark.parametrize("checkout", ["gcp"], indirect=True)
def test_a_failed_load_test_leaves_production_unchanged_after_a_delivered_merge(
    checkout: RunnerCheckout,
) -> None:
    assert "delivered" in checkout.make_target("deliver", "CLOUD=gcp", "TESTS=none")
    stopped = checkout.make_target("deliver", "CLOUD=gcp", "TESTS=none", "P95_MS=0.1", code=2)
    assert "stopped: load test" in stopped
    evidence = (checkout.folder / ".delivery/merge-gcp.md").read_text()
    assert re.search(r"Production: \d+ resources, last updated \S+, unchanged\.", evidence)


@pytest.mark.parametrize("checkout", ["azure"], indirect=True)
def test_a_release_delivers_or_names_what_blocks_it_and_drift_is_found(
    checkout: RunnerCheckout,
) -> None:
    dev = StackFile.read(checkout.folder / "Pulumi.dev.yaml")
    for stage in ("staging", "production"):
        changes = {"triplane:cloud": "azure", "triplane:environment": stage}
        dev.with_settings(changes).write(checkout.folder / f"Pulumi.{stage}.yaml")
    store = checkout.folder / ".models"
    shared = store.resolve()
    store.unlink()  # a release writes to it
    shutil.copytree(shared, store)
    checkout.make_target("rehearsal")
    # The environment of a CI runner: credentials and a backend elsewhere, without the rehearsal's address.
    states = checkout.folder / "states"
    states.mkdir()
    runner = dict(parse_exports(checkout.make_target("-s", "env")))
    del runner["TRIPLANE_REHEARSAL_URL"]
    runner["PULUMI_BACKEND_URL"] = f"file://{states}"
    environment = {**checkout.environment, **runner}
    staging = checkout.folder / "Pulumi.staging.yaml"
    pulumi = PulumiCli("staging", staging, environment, checkout.folder, ("--non-interactive",))
    pulumi.create_stack(checkout.folder, select=True)

    assert "delivered" in checkout.make_target("release", "STACK=staging", **runner)
    assert "0 resources" in checkout.make_target("drift", "STACK=staging", **runner)

    key = pulumi.output("stack", "output", "gateway_key", "--show-secrets").strip().encode()
    for folder in (".pulumi", ".delivery", ".rehearsal", "states"):
        for file in (each for each in (checkout.folder / folder).rglob("*") if each.is_file()):
            assert key not in file.read_bytes(), file

    tested = (store / "tested").read_text().strip()
    assert tested == f"flight-delay={(store / 'flight-delay/champion').read_text().strip()}"
    release = ("release", "STACK=production")
    assert "needs VERSION=" in checkout.make_target(*release, code=2, **runner)
    other = checkout.make_target(*release, f"VERSION=flight-delay={'a' * 64}", code=2, **runner)
    version = tested.partition("=")[2]
    assert f"flight-delay is {version[:12]}, not {'a' * 12}" in other

    lock = states / ".pulumi/locks/organization/triplane/staging/of-an-exited-runner.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    owner = {"pid": 7, "username": "ci", "hostname": "gone", "timestamp": "2026-01-01T00:00:00Z"}
    lock.write_text(json.dumps(owner))
    locked = checkout.make_target("release", "STACK=staging", code=2, **runner)
    assert "process 7 of ci on gone" in locked
    assert f"delete {lock}" in locked
    assert not (store / "tested").exists()
    pulumi.output("cancel", "--yes")
    assert not lock.exists()

    by_hand = {"on": "azure-native:web:WebApp", "inputs": {"httpsOnly": False}}
    assert checkout.control("change", by_hand, "POST")
    found = checkout.make_target("drift", "STACK=staging", code=2, **runner)
    assert "`triplane-gateway`: httpsOnly" in found
