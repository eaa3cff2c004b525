"""``python -m training train``: train a version of a model and keep it in the store. ``complete``: see there."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from config.arguments import ArgumentParser
from config.model_contract import BadContract
from config.model_store import STORE
from training import runs
from training.store import ModelStore


def main() -> None:
    parser = ArgumentParser(prog="python -m training")
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser(
        "train", help="train a version, keep it in the store, print it on stdout"
    )
    train.add_argument("--model", default="", help="default: the models of Pulumi.dev.yaml")
    train.add_argument("--set", default="", help='settings of [training]: "months=1-6 seed=2"')
    train.add_argument("--months", default="", help="short for --set months=…")
    train.add_argument(
        "--promote",
        action=argparse.BooleanOptionalAction,
        help="make it the champion; by default only if there is no champion yet",
    )
    complete = commands.add_parser(
        "complete", help="write the archives that models from another cloud's lake lack"
    )
    for name, command in (("train", train), ("complete", complete)):
        command.set_defaults(command=name)
        command.add_argument("--store", type=Path, default=STORE, help="default: .models")
    chosen = parser.parse_args()

    store = ModelStore(chosen.store)
    try:
        if chosen.command == "complete":
            store.complete()
            return
        for name in runs.names(chosen.model):
            print(
                runs.train(
                    name,
                    store,
                    runs.written_settings(chosen.set, chosen.months),
                    promote=chosen.promote,
                ),
                flush=True,
            )
    except (runs.NotTrained, BadContract) as error:
        sys.exit(f"{error} Nothing was trained." if "\n" not in str(error) else str(error))
    except KeyboardInterrupt:
        sys.exit(130)  # a version is complete or absent
    except OSError as error:
        sys.exit(
            f"{error.filename or chosen.store}: {error.strerror or error}. The model store has to be a folder that this user can"
            " read and write, on a disk with room. Then run the same command again."
        )


if __name__ == "__main__":
    main()
