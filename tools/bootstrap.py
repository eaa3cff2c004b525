"""Installs what `make up` needs: Pulumi, the virtual environment, the rehearsal's emulators.

It uses the standard library only, runs under any Python 3, and looks for a Python that is new enough. If
everything is installed, it does nothing, in well under a second.
"""

# ruff: noqa: E402  # what a Ctrl-C does is set before the imports

from __future__ import annotations

import signal

_INTERRUPTED = signal.getsignal(signal.SIGINT)
if __name__ == "__main__" and _INTERRUPTED is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported: no traceback

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from operations.engine.installation import BUILT, HOME, PULUMI, PYTHON, VENV, pulumi_bin
from operations.terminal import fail, say

OLDEST_PULUMI = (3, 200, 0)  # the oldest version with which this project's Pulumi.yaml was tested
SDK = "github.com/pulumi/pulumi/sdk/v3"
UV_LOCK = "tools/uv.txt"
LOCKS = ("requirements.txt", "requirements-dev.txt")


def check_pulumi() -> None:
    """Leave, unless Pulumi is installed and new enough, or Go is installed to build it."""
    if pulumi_bin() == BUILT:
        if not (BUILT / "pulumi").exists() and not shutil.which("go"):
            fail(
                "Pulumi is not installed: install it as https://www.pulumi.com/docs/install/ says"
                " (curl -fsSL https://get.pulumi.com | sh), or install Go 1.25 or newer, with which"
                " `make up` builds it."
            )
        return
    version = subprocess.run(["pulumi", "version"], capture_output=True, text=True).stdout.strip()
    found = re.match(r"v(\d+)\.(\d+)\.(\d+)", version)
    if found and tuple(map(int, found.groups())) < OLDEST_PULUMI:
        oldest = ".".join(map(str, OLDEST_PULUMI))
        fail(
            f"The installed Pulumi ({pulumi_bin() / 'pulumi'}) is {version}, and Triplane needs v{oldest}"
            " or newer: https://www.pulumi.com/docs/install/ says how to update it."
        )


def find_python() -> str:
    """This interpreter, or another on PATH, that is 3.11 or newer."""
    # Each is run: a pyenv shim may exist for a version that is not enabled.
    for name in (
        sys.executable,
        "python3",
        *(f"python3.{minor}" for minor in range(11, 15)),
        "python",
    ):
        path = shutil.which(name)
        code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
        if path and subprocess.run([path, "-c", code], capture_output=True).returncode == 0:
            return path
    fail(
        "Triplane needs Python 3.11 or newer with its venv module, and none is on PATH"
        f" (this one is {sys.version.split()[0]}; on Debian: apt-get install python3-venv)."
    )
    raise AssertionError


def build_pulumi() -> None:
    """Build the Pulumi CLI and its Python language host from their Go modules, once per machine."""
    scripts = (
        "python/cmd/pulumi-language-python-exec",
        "python/dist/pulumi-resource-pulumi-python",
    )
    wanted = ["pulumi", "pulumi-language-python", *(Path(script).name for script in scripts)]
    if all((BUILT / name).exists() for name in wanted):
        return
    BUILT.mkdir(parents=True, exist_ok=True)
    # The two scripts are not part of a Go build: they are in the SDK's module.
    module = subprocess.run(
        ["go", "mod", "download", "-json", SDK],
        cwd=HOME / "tools" / "pulumi-cli", check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for script in scripts:
        install(Path(json.loads(module.stdout)["Dir"]) / script, BUILT / Path(script).name)
    stamp = f"-s -w -X {SDK}/go/common/version.Version={PULUMI}"
    go_build("pulumi-language-python", f"{SDK}/python/cmd/pulumi-language-python", stamp)
    go_build("pulumi-cli", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", stamp)


def go_build(folder: str, package: str, ldflags: str) -> None:
    """`go build`, with a count of what is compiled: the CLI takes minutes the first time."""
    where = HOME / "tools" / folder
    target = BUILT / package.rpartition("/")[2]
    unfinished = target.with_name(f".{target.name}-{os.getpid()}")
    say(f"building {target.name} {PULUMI} with Go (once; a few minutes)")
    listed = subprocess.run(
        ["go", "list", "-deps", package], cwd=where, check=True, stdout=subprocess.PIPE, text=True
    )
    total = len(listed.stdout.splitlines())
    command = ["go", "build", "-v", "-ldflags", ldflags, "-o", str(unfinished), package]
    with subprocess.Popen(command, cwd=where, stderr=subprocess.PIPE, text=True) as build:
        assert build.stderr is not None  # noqa: S101  # it is a pipe
        lines: list[str] = []
        shown = time.monotonic()
        for line in build.stderr:
            lines.append(line)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                say(f"  {len(lines)} packages compiled, of {total} at most")
    if build.returncode:
        sys.stderr.writelines(lines[-20:])
        fail(f"Go could not build {package}; the reason is above.")
    unfinished.replace(target)


def install(source: Path, target: Path) -> None:
    """Copy an executable into place in one step, so that nobody runs half of it."""
    unfinished = target.with_name(f".{target.name}-{os.getpid()}")
    unfinished.write_bytes(source.read_bytes())
    unfinished.chmod(0o755)
    unfinished.replace(target)


def make_venv() -> bool:
    """Install the pinned packages if a pin has changed. Returns whether it installed them."""
    locks = [HOME / lock for lock in LOCKS]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    stamp = VENV / "triplane-requirements"
    if stamp.exists() and stamp.read_text() == digest and PYTHON.exists():
        return False
    usable = [str(PYTHON), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
    if not PYTHON.exists() or subprocess.run(usable, capture_output=True).returncode:
        python = find_python()
        say(f"making .venv with {python}")
        subprocess.run([python, "-m", "venv", "--clear", str(VENV)], check=True)
    say("installing the pinned packages (about 1.5 GB unpacked, once)")
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    requirements = [
        "--require-hashes",
        *(argument for lock in locks for argument in ("-r", str(lock))),
    ]
    started = time.monotonic()
    uv = [*pip, "-q", "--require-hashes", "-r", str(HOME / UV_LOCK)]
    with_uv = subprocess.run(uv).returncode == 0 and uv_install(requirements)
    if not with_uv:
        # uv reads neither pip's configuration nor, by default, the system's certificates.
        say("uv could not install them here; trying with pip")
        if subprocess.run([*pip, *requirements]).returncode:
            fail("The packages could not be installed; pip's reason is above.")
    say(f"packages installed in {time.monotonic() - started:.0f} s")
    stamp.write_text(digest)
    return True


def uv_install(requirements: list[str]) -> bool:
    """Install with uv, in a tenth of pip's time. Shows the downloads, not the list of all packages."""
    command = [str(VENV / "bin" / "uv"), "pip", "install", "--python", str(PYTHON), *requirements]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as uv:
        assert uv.stderr is not None  # noqa: S101  # it is a pipe
        for line in uv.stderr:
            if not line.startswith(" + "):
                say(f"  {line.strip()}")
    return uv.returncode == 0


def install_azurite() -> None:
    """Install the rehearsal's Azure Blob emulator from npm, now with the other downloads, not on first use."""
    if subprocess.run(
        [str(PYTHON), "-m", "rehearsal.runtime.object_stores", "install"], cwd=HOME
    ).returncode:
        fail("Azurite could not be installed; the reason is above.")


def main() -> None:
    check_pulumi()
    if sys.version_info < (3, 11) and not PYTHON.exists():
        find_python()  # leaves before anything is built
    if pulumi_bin() == BUILT:
        build_pulumi()
    if make_venv():
        install_azurite()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _INTERRUPTED)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command again: what was installed is found.")
    except subprocess.CalledProcessError as error:
        fail(f"{' '.join(error.cmd)} failed; its reason is above.")
    except OSError as error:
        fail(
            f"{error.filename}: {error.strerror or error}. It has to be a place that this user can read and write, on a disk"
            " with room. What is kept for all clones is in ~/.cache/triplane: with a HOME that cannot be written to, set"
            " XDG_CACHE_HOME to a folder that can."
        )
