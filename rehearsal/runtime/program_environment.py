"""The environment of a program in an image or a function: what its settings may not do.

Some variables make the interpreter or the dynamic loader run code before the program: ``PYTHONPATH`` with a
``sitecustomize.py``, ``LD_PRELOAD``. On a cloud they reach what is in the container. Here the program is a process of
the engineer, so a path in them must be in the program's own folders.
https://docs.python.org/3/using/cmdline.html#environment-variables
https://man7.org/linux/man-pages/man8/ld.so.8.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

CODE_VARIABLES = ("PYTHON", "LD_", "DYLD_")
"""How the names of these variables begin."""
SEPARATORS = re.compile(r"[: ;]")


def loads_code(name: str) -> bool:
    """Whether a variable of this name may make a process load code."""
    return name.startswith(CODE_VARIABLES)


def confined(
    environment: Mapping[str, str], folders: Iterable[Path], working_folder: Path
) -> tuple[dict[str, str], list[str]]:
    """The environment whose code variables reach ``folders`` only, and the names of those that were shortened.

    A relative path counts from ``working_folder``. A value that is no path, such as 1, counts as one in it.
    """
    inside = [each.resolve() for each in folders]
    found: dict[str, str] = {}
    shortened = []
    for name, value in environment.items():
        if loads_code(name):
            parts = SEPARATORS.split(value)
            kept = [part for part in parts if _is_inside(working_folder / part, inside)]
            if len(kept) < len(parts):
                shortened.append(name)
                value = ":".join(kept)
            if not value:
                continue
        found[name] = value
    return found, shortened


def _is_inside(path: Path, folders: Iterable[Path]) -> bool:
    resolved = path.resolve()
    return any(resolved.is_relative_to(each) for each in folders)
