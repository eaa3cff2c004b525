"""The one command line of the operations: ``python -m operations COMMAND …``. `make` calls it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

# A command's modules are imported when it runs: `guard` and `env` need none of the platform, and take a tenth
# of the time without it.

STACK_COMMANDS = {
    "up": "bring the platform up in the rehearsal, and ask it for a prediction",
    "preview": "show what `up` would change",
    "destroy": "take everything down but the data; with DATA=destroy in the environment, the data, too",
    "outputs": "show the stack's outputs",
    "predict": "ask the running platform about a real flight",
    "repair": "find what was changed or lost outside the program, and restore it",
    "adopt": "take over the existing platform when Pulumi's state is lost or broken",
    "backup": "copy the lake's data to BACKUP=…, a folder or another bucket",
    "restore": "build the platform again, and fill its lake from BACKUP=…",
}


def main(words: Sequence[str] | None = None) -> None:
    """Run the command that the words name; without words, the command line's."""
    arguments = _parser().parse_args(words)
    arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m operations", description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, help_ in STACK_COMMANDS.items():
        command = commands.add_parser(name, help=help_, description=help_)
        command.add_argument(
            "cloud", nargs="?", default="", help="aws, gcp or azure; default: the stack file's"
        )
        command.set_defaults(run=_run_on_stack, command=name)
    guard = "refuse a preview on stdin that loses data or is of another account (ALLOW=…)"
    commands.add_parser("guard", help=guard, description=guard).set_defaults(run=_guard)
    env = "print the environment for plain Pulumi, as the shell takes it"
    commands.add_parser("env", help=env, description=env).set_defaults(run=_print_environment)
    return parser


def _run_on_stack(arguments: argparse.Namespace) -> None:
    from operations.commands import deploy, repair
    from operations.engine.stack import Stack

    functions = {**deploy.COMMANDS, **repair.COMMANDS}
    functions[arguments.command](Stack.for_cloud(arguments.cloud))


def _guard(_: argparse.Namespace) -> None:
    from operations.engine.guards import guard_preview

    guard_preview(sys.stdin.read())


def _print_environment(_: argparse.Namespace) -> None:
    from operations.engine.environment import print_exports

    print_exports()


if __name__ == "__main__":
    main()
