"""The commands of a delivery: `make deliver`, `release`, `drift` and `review`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from operations.delivery.drift import report_drift
from operations.delivery.gates import TESTS
from operations.delivery.merge import deliver_merge
from operations.delivery.release import release_stack
from operations.delivery.review import review_changes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m operations.delivery", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, description=run.__doc__)
        added.set_defaults(run=run)
        return added

    merge = command("merge", deliver_merge)
    release = command("release", release_stack)
    drift = command("drift", report_drift)
    review = command("review", review_changes)
    merge.add_argument("--tests", choices=[*TESTS, "none"], default="fast")
    for each in (merge, review):
        each.add_argument("cloud", nargs="?", default="")
    for each in (release, drift):
        each.add_argument("stack")
    for each in (merge, release):
        each.add_argument("--p95-ms", type=float)
        each.add_argument("--errors", type=float)
    release.add_argument("--version", default="", help="the model version that must serve")
    review.add_argument("--base", default="HEAD")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
