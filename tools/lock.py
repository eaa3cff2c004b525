"""`make lock`: pin the packages of the .in files, and their dependencies, with the hashes of all their files."""

from __future__ import annotations

import subprocess

from operations.engine.installation import HOME, VENV

# --universal: one lock for every platform and for Python from its version on. The files must not contain a package
# index or a path of the machine that wrote them. --generate-hashes: of the files for every platform, so an installer
# refuses whatever else an index serves. --no-strip-extras: pip wants a pin of `name[extra]`, too, when it checks hashes.
COMMAND = [
    "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-strip-extras",
    "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--annotation-style=line",
]  # fmt: skip
# In this order: a lock is a constraint, or a part, of locks behind it.
# Those of policy/ and tools/ have environments of their own: see policy/requirements.in, judge.in, moto.in and
# tools/audit.in.
LOCKS = {
    "lambda/gateway/requirements": "3.12",  # the images' Python
    "lambda/model_server/requirements": "3.12",
    "lambda/training/requirements": "3.12",
    "requirements": "3.11",
    "requirements-dev": "3.11",
    "policy/requirements": "3.11",
    "policy/pack/requirements": "3.11",
    "policy/judge": "3.11",
    "policy/moto": "3.11",
    "bench/plain_gateway": "3.11",
    "tools/audit": "3.11",
    "tools/uv": "3.11",
}


def main() -> None:
    for name, python in LOCKS.items():
        command = [str(VENV / "bin" / "uv"), *COMMAND, f"--python-version={python}"]
        subprocess.run([*command, f"{name}.in", "-o", f"{name}.txt"], cwd=HOME, check=True)


if __name__ == "__main__":
    main()
