"""The environment of a program in an image or a function: what its settings may not do.

Some variables make the interpreter, the dynamic loader or a library run code before the program: ``PYTHONPATH`` with a
``sitecustomize.py``, ``LD_PRELOAD``, ``OPENSSL_CONF`` with a provider. On a cloud they reach what is in the container. Here
the program is a process of the engineer, so a path in them must be in the program's own folders, and what is a command
is left out. Others, such as ``GLIBC_TUNABLES`` and ``MALLOC_ARENA_MAX``, change a program and load none.
https://docs.python.org/3/using/cmdline.html#environment-variables
https://man7.org/linux/man-pages/man8/ld.so.8.html
https://docs.openssl.org/master/man7/openssl-env/
https://man7.org/linux/man-pages/man3/iconv.3.html#ENVIRONMENT
https://www.gnu.org/software/bash/manual/html_node/Bash-Variables.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

PREFIXES = ("PYTHON", "LD_", "DYLD_", "OPENSSL_", "GCONV_")
"""How the names of variables begin that hold paths of code."""
PATHS = frozenset(
    [
        *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("BASH_ENV", "ENV", "CLASSPATH", "LOCPATH", "NLSPATH", "NODE_PATH", "OMP_TOOL_LIBRARIES"),
        *("LUA_PATH", "LUA_CPATH", "PERL5LIB", "PERLLIB", "RUBYLIB", "TCLLIBPATH"),
        *("UVICORN_APP_DIR", "UVICORN_ENV_FILE", "UVICORN_LOG_CONFIG"),
    ]
)
"""Others that do: the SDKs' files can name a program that gives credentials."""
COMMANDS = (
    *("BASH_FUNC_", "BASHOPTS", "SHELLOPTS", "PS4", "GUNICORN_CMD_ARGS", "LUA_INIT"),
    *("NODE_OPTIONS", "PERL5OPT", "PERL5DB", "RUBYOPT"),
    *("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"),
)
"""How the names of variables begin that hold code, or the options of an interpreter."""
SEPARATORS = re.compile(r"[: ;]")


def loads_code(name: str) -> bool:
    """Whether a variable of this name may make a process load code."""
    return name.startswith(PREFIXES) or name in PATHS or _is_command(name)


def _is_command(name: str) -> bool:
    return name.startswith(COMMANDS)


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
        if _is_command(name):
            shortened.append(name)
            continue
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
