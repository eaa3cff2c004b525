"""A command line whose mistakes read as those in a stack file do: the place, the rule and the way out."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from config.messages import did_you_mean

OPERATIONS = "python -m operations"
NUMBERS = {"float": "a number", "int": "a whole number", "positive": "a whole number above 0"}


def positive(text: str) -> int:
    """The type of an argument that counts something."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


class ArgumentParser(argparse.ArgumentParser):
    """Leaves with a sentence in place of argparse's usage. Its commands, which `add_parser` makes, do the same."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.removeprefix(OPERATIONS)
        place = f"make{command}" if command not in ("", self.prog) else self.prog
        self.exit(2, f"{place}: {_explained(message)} Nothing was done.\n")


def _explained(message: str) -> str:
    """argparse's message with the name that a person wrote: `--p95-ms` is P95_MS with make.

    The messages: https://github.com/python/cpython/blob/3.11/Lib/argparse.py (3.12 and later leave out some quotes)
    """
    if found := re.fullmatch(
        r"argument (\S+): invalid choice: (.*?) \(choose from (.*)\)", message, re.S
    ):
        name, written, allowed = found[1], found[2].strip("'\""), re.findall(r"[\w-]+", found[3])
        return f"{_variable(name)}={written}: not possible. Allowed: {', '.join(allowed)}.{did_you_mean(written, allowed)}"
    if found := re.fullmatch(r"argument (\S+): invalid (\w+) value: (.*)", message, re.S):
        name, kind, written = found[1], found[2], found[3].strip("'\"")
        return f"{_variable(name)}={written}: {NUMBERS.get(kind, kind)} is needed."
    if found := re.fullmatch(r"unrecognized arguments: (.*)", message, re.S):
        return (
            f"{found[1]}: more than this command takes. A variable has one word, CLOUD=gcp; what each command takes is in"
            " docs/reference/commands.md."
        )
    if "required: COMMAND" in message:
        return "the command is missing. `make help` lists them."
    return f"{message}. What each command takes is in docs/reference/commands.md."


def _variable(argument: str) -> str:
    return argument.lstrip("-").replace("-", "_").upper()
