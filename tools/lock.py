"""`make lock`: pin requirements*.in, with everything below them, into requirements*.txt."""

from __future__ import annotations

import subprocess

from operations.engine.installation import HOME, VENV

# --universal: one lock for every platform and Python from 3.11 on. No index and no path of the machine
# that locked may stand in the files.
COMMAND = [
    "pip", "compile", "--quiet", "--universal", "--python-version=3.11",
    "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--annotation-style=line",
]  # fmt: skip


def main() -> None:
    # The first is a constraint of the second: in this order.
    # policy/ has an environment of its own: see policy/requirements.in.
    for name in ("requirements", "requirements-dev", "policy/requirements"):
        command = [str(VENV / "bin" / "uv"), *COMMAND, f"{name}.in", "-o", f"{name}.txt"]
        subprocess.run(command, cwd=HOME, check=True)


if __name__ == "__main__":
    main()
