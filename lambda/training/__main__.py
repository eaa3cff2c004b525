"""``python -m training train``: train a version of a model and keep it in the store. ``complete``: see there."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pulumi

from config.arguments import ArgumentParser
from config.model_contract import BadContract
from config.model_store import MODELS, STORE
from training import new_folder, runs
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
    new = commands.add_parser("new", help="write models/NAME/, a small complete example")
    new.add_argument("--name", default="")
    imports = commands.add_parser("import", help="write models/NAME/ for an ONNX file")
    imports.add_argument("--name", default="")
    imports.add_argument("--file", default="")
    for name, command in (
        ("train", train),
        ("complete", complete),
        ("new", new),
        ("import", imports),
    ):
        command.set_defaults(command=name)
        command.add_argument("--store", type=Path, default=STORE, help="default: .models")
    chosen = parser.parse_args()

    store = ModelStore(chosen.store)
    try:
        if chosen.command == "complete":
            store.complete()
        elif chosen.command == "new":
            print(new_folder.from_template(chosen.name, MODELS))
        elif chosen.command == "import":
            print(_imported(chosen.name, chosen.file, store))
        else:
            _train(chosen, store)
    except (runs.NotTrained, BadContract, pulumi.RunError) as error:
        sys.exit(f"{error} Nothing was trained." if "\n" not in str(error) else str(error))
    except new_folder.Refused as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)  # a version is complete or absent
    except OSError as error:
        sys.exit(
            f"{error.filename or chosen.store}: {error.strerror or error}. The model store has to be a folder that this user can"
            " read and write, on a disk with room. Then run the same command again."
        )


def _imported(name: str, file: str, store: ModelStore) -> str:
    """Import an ONNX file; returns what to do next."""
    if not file:
        raise new_folder.Refused("FILE is missing: FILE=model.onnx, say.")
    from training import onnx_import  # ONNX takes half a second to import

    return onnx_import.imported(name, Path(file), MODELS, store)


def _train(chosen: argparse.Namespace, store: ModelStore) -> None:
    """Train the chosen models, and print their versions."""
    settings = runs.written_settings(chosen.set, chosen.months)
    for name in runs.names(chosen.model):
        print(runs.train(name, store, settings, promote=chosen.promote), flush=True)


if __name__ == "__main__":
    main()
