"""`make pack`: the policy pack under the real engine, in checkov's environment.

The platform passes. The same program with one insecure input, as a transformation may set it, does not.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.harness import ROOT, Stack
from policy import checkov

PACK = ROOT / "policy" / "pack" / "local"
INSECURE = {
    "aws": (
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "block_public_policy",
        False,
    ),
    "gcp": ("gcp:storage/bucket:Bucket", "public_access_prevention", "inherited"),
    "azure": ("azure-native:storage:StorageAccount", "allow_blob_public_access", True),
}
"""On each cloud: the resource type, its input, and the insecure value."""
PROGRAM = """
import runpy
import pulumi

def insecure(args):
    if args.type_ == {type!r}:
        args.props[{name!r}] = {value!r}
    return pulumi.ResourceTransformationResult(args.props, args.opts)

pulumi.runtime.register_stack_transformation(insecure)
runpy.run_path({root!r} + "/__main__.py", run_name="__main__")
"""


@pytest.fixture(autouse=True)
def pack(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pack's environment, its runtime on the engine's search path, and a program outside of ROOT."""
    checkov.environment()
    monkeypatch.setenv("PATH", f"{PACK}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def preview(stack: Stack, code: int = 0) -> str:
    return stack.pulumi("preview", "--policy-pack", str(PACK), code=code)


def test_the_platform_passes_the_policy_pack(stack: Stack) -> None:
    output = preview(stack)
    assert "triplane" in output.partition("Policies:")[2]
    assert "[mandatory]" not in output


def test_an_insecure_change_is_refused_before_it_is_made(stack: Stack, tmp_path: Path) -> None:
    type_, name, value = INSECURE[stack.settings["triplane:cloud"]]
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    program = PROGRAM.format(type=type_, name=name, value=value, root=str(ROOT))
    (tmp_path / "__main__.py").write_text(program)
    output = preview(replace(stack, project=tmp_path), code=1)
    assert "[mandatory]  private" in output
