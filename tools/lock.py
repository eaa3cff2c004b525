"""`make lock`: pin the packages of requirements*.in, and their dependencies, in requirements*.txt."""

from __future__ import annotations

import subprocess

from operations.engine.installation import HOME, VENV

# --universal: one lock for every platform and for Python from 3.11 on. The files must not contain a package
# index or a path of the machine that wrote them.
COMMAND = [
    "pip", "compile", "--quiet", "--universal", "--python-version=3.11",
    "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--annotation-style=line",
]  # fmt: skip


def main() -> None:
    # In this order: the first is a constraint of the second.
    # Those of policy/ have environments of their own: see policy/requirements.in and policy/judge.in.
    for name in ("requirements", "requirements-dev", "policy/requirements", "policy/judge"):
        command = [str(VENV / "bin" / "uv"), *COMMAND, f"{name}.in", "-o", f"{name}.txt"]
        subprocess.run(command, cwd=HOME, check=True)


if __name__ == "__main__":
    main()
