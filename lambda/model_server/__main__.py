"""``python -m model_server train`` or ``serve``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from model_server import store
from model_server.recipe import LAST_MONTH, recipe


def months(text: str) -> tuple[int, int]:
    """``1-6`` as (1, 6)."""
    found = re.fullmatch(r"(\d\d?)-(\d\d?)", text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= last <= LAST_MONTH:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not FIRST-LAST within 1-{LAST_MONTH}; the months after {LAST_MONTH} are the holdout"
        )
    return first, last


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m model_server", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser(
        "train", help="make a model version, keep it in the store, print its name on stdout"
    )
    train.add_argument("--months", type=months, default="1-9", help="of 2013; default: 1-9")
    train.add_argument("--store", type=Path, default=store.DEFAULT, help="default: .models")
    train.add_argument(
        "--promote",
        action=argparse.BooleanOptionalAction,
        help="make it the champion; unless told, only where there is none yet",
    )
    commands.add_parser("serve", help="answer predictions over HTTP")
    chosen = parser.parse_args()

    if chosen.command == "serve":
        from model_server import serve

        serve.main()
        return
    models = store.ModelStore(chosen.store)
    key = recipe(chosen.months)
    version = models.trained(key)
    if not version:
        from model_server.train import train as run

        version = models.add(*run(chosen.months), key)
    if chosen.promote or (chosen.promote is None and not models.champion):
        models.promote(version)
    if models.champion != version:
        print(f"The champion is still {models.champion}.", file=sys.stderr)
    print(version)


if __name__ == "__main__":
    main()
