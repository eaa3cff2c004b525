"""``python -m model_server train``: train a model version and keep it in the store. ``complete``: see there."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from model_server.recipe import LAST_MONTH, recipe
from model_server.store import DEFAULT, NAME, ModelStore


def months(text: str) -> tuple[int, int]:
    """``1-6`` as (1, 6); all that may be trained on for an empty text. Leaves with a message for any other one."""
    if not text:
        return 1, LAST_MONTH
    found = re.fullmatch(r"(\d\d?)-(\d\d?)", text, re.ASCII)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= last <= LAST_MONTH:
        sys.exit(
            f"MONTHS={text}: not the first and the last month of the training. Allowed: 1-1 to 1-{LAST_MONTH}, such as"
            f" MONTHS=1-6; the months after {LAST_MONTH} test the model. Nothing was trained."
        )
    return first, last


def refuse_unknown_model(name: str) -> None:
    """Leave with the list, unless it is a model; an empty name means the only one."""
    if name not in ("", NAME):
        sys.exit(f"MODEL={name}: no such model. There are: {NAME}. Nothing was trained.")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(
            2,
            f"{self.prog}: {message}. Nothing was done. `{self.prog} --help` lists what it takes.\n",
        )


def main() -> None:
    parser = _Parser(prog="python -m model_server")
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser(
        "train", help="train a model version, keep it in the store, print its name on stdout"
    )
    train.add_argument("--model", default="", help=f"default: {NAME}")
    train.add_argument("--months", default="", help="default: 1-9")
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

    try:
        store = ModelStore(chosen.store)
        if chosen.command == "complete":
            store.complete()
        else:
            _train(store, chosen)
    except KeyboardInterrupt:
        sys.exit(130)  # a version is complete or absent
    except OSError as error:
        sys.exit(
            f"{error.filename or chosen.store}: {error.strerror or error}. The model store has to be a folder that this user can"
            " read and write, on a disk with room. Then run the same command again."
        )


def _train(store: ModelStore, chosen: argparse.Namespace) -> None:
    """Train a version, unless the store has it, and print it."""
    refuse_unknown_model(chosen.model)
    trained_on = months(chosen.months)
    key = recipe(trained_on)
    version = store.trained(key)
    if version:
        print(
            f"There is this version already: months {trained_on[0]}-{trained_on[1]} of the same data give the same model."
            " Another one: MONTHS=1-6, say.",
            file=sys.stderr,
        )
    else:
        # On a busy machine OpenMP's threads spin while they wait for each other, which takes twice the time or more.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from model_server import schema
        from model_server.model_check import Contract, UnfitModel, refuse_unfit, session
        from model_server.train import train as run  # the imports take seconds, so only here

        model, card = run(trained_on)
        features = schema.load()
        try:
            refuse_unfit(session(model), Contract(features["fields"], features["example"]))
        except UnfitModel as error:
            sys.exit(f"The trained model cannot be served, and was not kept.\n{error}")
        version = store.add(model, card, key)
    if chosen.promote or (chosen.promote is None and not store.champion):
        store.promote(version)
    elif chosen.promote is None and store.champion and store.champion != version:
        print(
            f'The champion is still {store.champion[:12]}. To serve the new one: triplane:model: "{version[:12]}" in the'
            " stack file, and make up.",
            file=sys.stderr,
        )
    print(version)


if __name__ == "__main__":
    main()
