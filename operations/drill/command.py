"""`make up`, `repair`, `adopt`, … on the drill's stack: ``python -m operations.drill.command TARGET CLOUD``.

The drill runs each in a process of its own, as an engineer does: with the settings in its environment, and with an
exit code.
"""

from __future__ import annotations

from config.arguments import ArgumentParser
from operations.commands.registry import COMMANDS
from operations.drill.drill_platform import DrillPlatform


def main() -> None:
    parser = ArgumentParser(prog="python -m operations.drill.command", description=__doc__)
    parser.add_argument("target", choices=COMMANDS)
    parser.add_argument("cloud")
    arguments = parser.parse_args()
    COMMANDS[arguments.target](DrillPlatform(arguments.cloud).stack)


if __name__ == "__main__":
    main()
