"""``python -m model_server train``: train a model version and keep it in the store. ``complete``: see there."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from model_server.recipe import LAST_MONTH, recipe
from model_server.store import DEFAULT, ModelStore


def months(text: str) -> tuple[int, int]:
    """``1-6`` as (1, 6)."""
    found = re.fullmatch(r"(\d\d?)-(\d\d?)", text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= last <= LAST_MONTH:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not FIRST-LAST within 1-{LAST_MONTH}; the months after that are the holdout"
        )
    return first, last


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m model_server")
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser(
        "train", help="train a model version, keep it in the store, print its name on stdout"
    )
    train.add_argument("--months", type=months, default=(1, LAST_MONTH), help="default: 1-9")
    train.add_argument("--store", type=Path, default=DEFAULT, help="default: .models")
    train.add_argument(
        "--promote",
        action=argparse.BooleanOptionalAction,
        help="make it the champion; by default only if there is no champion yet",
    )
    complete = commands.add_parser(
        "complete", help="write the archives that models from another cloud's lake lack"
    )
    complete.add_argument("--store", type=Path, default=DEFAULT, help="default: .models")
    for name, command in (("train", train), ("complete", complete)):
        command.set_defaults(command=name)
    chosen = parser.parse_args()

    store = ModelStore(chosen.store)
    if chosen.command == "complete":
        store.complete()
    else:
        _train(store, chosen)


def _train(store: ModelStore, chosen: argparse.Namespace) -> None:
    """Train a version, unless the store has it, and print it."""
    key = recipe(chosen.months)
    version = store.trained(key)
    if not version:
        # On a busy machine OpenMP's threads spin while they wait for each other, which takes twice the time or more.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from model_server.train import train as run  # the imports take seconds, so only here

        version = store.add(*run(chosen.months), key)
    if chosen.promote or (chosen.promote is None and not store.champion):
        store.promote(version)
    elif chosen.promote is None and store.champion != version:
        print(f"The champion is still {store.champion}; --promote changes it.", file=sys.stderr)
    print(version)


if __name__ == "__main__":
    main()
