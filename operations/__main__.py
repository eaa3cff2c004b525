"""The one command line of the operations: ``python -m operations COMMAND …``. `make` calls it."""

# ruff: noqa: E402  # what a Ctrl-C does is set before the imports

from __future__ import annotations

import signal

_INTERRUPTED = signal.getsignal(signal.SIGINT)
if __name__ == "__main__" and _INTERRUPTED is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported: no traceback

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from operations.started_processes import end_with_this_process
from operations.terminal import Terminated, end_with_reader, take_interrupts

if TYPE_CHECKING:
    from config.arguments import ArgumentParser

    Subparsers = argparse._SubParsersAction[ArgumentParser]
    Run = Callable[[argparse.Namespace], None]

# A command's modules are imported when it runs: `guard` and `env` need none of the platform, and take a tenth
# of the time without it.

STACK_COMMANDS = {
    "up": "bring the platform up, and ask it for a prediction",
    "check-account": "ask the account what it lacks for the stack: permissions, services, quotas",
    "preview": "show what `up` would change",
    "destroy": "take everything down but the data; with DATA=destroy, the data, too",
    "outputs": "show the stack's outputs",
    "key": "print the gateway's key, and nothing else on stdout",
    "predict": "ask each model of the running platform about its example",
    "repair": "find what was changed or lost outside the program, and restore it",
    "adopt": "take over the existing platform when Pulumi's state is lost or broken",
    "backup": "copy the lake's data to BACKUP=…, a folder or another bucket",
    "restore": "build the platform again, and fill its lake from BACKUP=…",
}


def main(words: Sequence[str] | None = None) -> None:
    """Run the command that the words name; without words, the command line's."""
    take_interrupts()
    try:
        with end_with_reader():
            _run(words)
    except KeyboardInterrupt as interrupt:
        print(
            "Interrupted. What Pulumi had begun is in the state, or is found by the next run: run the same command"
            " again.",
            file=sys.stderr,
        )
        sys.exit(interrupt.exit_code if isinstance(interrupt, Terminated) else 130)
    except Exception as error:
        from operations import machine_errors
        from operations.engine import cloud_errors

        if text := cloud_errors.explanation(error) or machine_errors.explanation(error):
            sys.exit(text)
        raise


def _run(words: Sequence[str] | None) -> None:
    arguments = _parser().parse_args(words)
    if arguments.run not in (_print_environment, _comment):  # they start nothing
        end_with_this_process()
    with _credentials(arguments):
        if arguments.run not in (_print_environment, _move):  # `env` prints what there is
            _isolate(arguments)
        arguments.run(arguments)


def _credentials(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """The sign-in of a pipeline's job, for a command on a stack of its environment."""
    if not getattr(arguments, "stack", ""):
        return nullcontext()
    from operations.engine import federated_token

    return federated_token.renewed()


def _isolate(arguments: argparse.Namespace) -> None:
    """Keep the shell's credentials, endpoints and proxies from a command on the rehearsal, and from all that it starts."""
    if getattr(arguments, "stack", None) is None:
        from rehearsal import supervisor

        supervisor.isolate(os.environ)


def _parser() -> argparse.ArgumentParser:
    from config.arguments import OPERATIONS, ArgumentParser

    parser = ArgumentParser(prog=OPERATIONS, description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, help_ in STACK_COMMANDS.items():
        command = _command(commands, name, _run_on_stack, help_)
        command.set_defaults(command=name)
        _add_stack(command)
    guard = _command(
        commands,
        "guard",
        _guard,
        "refuse a preview on stdin, or of STACK, that loses data or is of another account (ALLOW=…)",
    )
    guard.add_argument("--stack", help="preview this stack of the shell's environment")
    env = "print the environment for plain Pulumi, as the shell takes it"
    commands.add_parser("env", help=env, description=env).set_defaults(run=_print_environment)
    _add_delivery_commands(commands)
    _add_tests_of_recovery(commands)
    _add_move(commands)
    return parser


def _add_move(commands: Subparsers) -> None:
    help_ = "build the platform on another cloud, with its data, while the old one serves"
    move = _command(commands, "move", _move, help_)
    for name, what in (("source", "serves now"), ("target", "is to serve")):
        move.add_argument(name, nargs="?", default="", help=f"the cloud or stack that {what}")


def _add_delivery_commands(commands: Subparsers) -> None:
    deliver = _command(
        commands,
        "deliver",
        _deliver,
        "deliver a merge in the rehearsal: tests, staging, load test, production",
    )
    deliver.add_argument("--tests", choices=("fast", "all", "none"), default="fast")
    release = _command(
        commands, "release", _release, "deliver to one stack of the shell's environment"
    )
    release.add_argument("--version", default="", help="the model version that must serve")
    for each in (deliver, release):
        each.add_argument("--p95-ms", type=float, help="the highest p95 latency of the load test")
        each.add_argument("--errors", type=float, help="the highest share of failed requests")
    drift = _command(
        commands,
        "drift",
        _drift,
        "list what was changed by hand in a stack",
    )
    _add_stack(drift)
    evidence = _command(
        commands,
        "evidence",
        _evidence,
        "pack what is needed to understand a stack's run elsewhere, without its secrets",
    )
    _add_stack(evidence)
    review = _command(
        commands, "review", _review, "show what this tree would change of what a base commit builds"
    )
    review.add_argument("--base", default="HEAD")
    for each in (deliver, review):
        each.add_argument("cloud", nargs="?", default="", help="default: the stack file's")
    _add_stack(release)
    comment = _command(
        commands,
        "comment",
        _comment,
        "write `pulumi preview --json` on stdin as a Markdown comment",
    )
    comment.add_argument("title", nargs="?", default="Preview")


def _add_tests_of_recovery(commands: Subparsers) -> None:
    drill = _command(
        commands, "drill", _drill, "run five disasters in a rehearsal, and report what each costs"
    )
    drill.add_argument("clouds", nargs="*", metavar="cloud", help="default: all three")
    crash = _command(
        commands,
        "crash",
        _crash,
        "run the scenarios of the crash matrix, and print a verdict on each",
    )
    crash.add_argument("clouds", nargs="*", metavar="cloud", help="default: all three, in parallel")
    crash.add_argument("--only", default="*", metavar="GLOB", help="aws/create/kill-*")
    crash.add_argument("--sample", type=int, default=0, metavar="N", help="steps of each scenario")
    crash.add_argument("--seed", type=int, default=None, help="determines the sample")


def _command(commands: Subparsers, name: str, run: Run, help_: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help_, description=help_)
    command.set_defaults(run=run)
    return command


def _add_stack(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "cloud",
        nargs="?",
        default="",
        help="of this clone's stack in the rehearsal: aws, gcp or azure",
    )
    command.add_argument("--stack", help="a stack of the shell's environment instead")


def _run_on_stack(arguments: argparse.Namespace) -> None:
    from operations.commands.registry import COMMANDS
    from operations.engine.chosen_stack import chosen_stack

    COMMANDS[arguments.command](chosen_stack(arguments.cloud, arguments.stack))


def _move(arguments: argparse.Namespace) -> None:
    from operations.commands.move import move, stacks_of_move
    from operations.engine.shell_stack import ShellStack

    source, target = stacks_of_move(arguments.source, arguments.target)
    arguments.stack = source.name if isinstance(source, ShellStack) else None
    with _credentials(arguments):
        _isolate(arguments)
        move(source, target)


def _guard(arguments: argparse.Namespace) -> None:
    if arguments.stack is not None:
        from operations.commands.update import guard_stack
        from operations.engine.chosen_stack import shell_stack

        guard_stack(shell_stack("", arguments.stack))
        return
    from operations.engine.guards import guard_preview

    guard_preview(sys.stdin.read())


def _print_environment(_: argparse.Namespace) -> None:
    from operations.engine.environment import print_exports

    print_exports()


def _deliver(arguments: argparse.Namespace) -> None:
    from operations.delivery.merge import deliver_merge

    deliver_merge(
        arguments.cloud, tests=arguments.tests, p95_ms=arguments.p95_ms, errors=arguments.errors
    )


def _release(arguments: argparse.Namespace) -> None:
    from operations.delivery.release import release_stack
    from operations.engine.chosen_stack import shell_stack

    release_stack(
        shell_stack(arguments.cloud, arguments.stack),
        arguments.version,
        p95_ms=arguments.p95_ms,
        errors=arguments.errors,
    )


def _drift(arguments: argparse.Namespace) -> None:
    from operations.delivery.drift import report_drift
    from operations.engine.chosen_stack import chosen_stack

    report_drift(chosen_stack(arguments.cloud, arguments.stack))


def _evidence(arguments: argparse.Namespace) -> None:
    from operations.delivery.evidence_archive import collect_evidence
    from operations.engine.chosen_stack import chosen_stack

    collect_evidence(chosen_stack(arguments.cloud, arguments.stack))


def _review(arguments: argparse.Namespace) -> None:
    from operations.delivery.review import review_changes

    review_changes(arguments.cloud, arguments.base)


def _comment(arguments: argparse.Namespace) -> None:
    from operations.delivery.comment import render
    from operations.engine.previews import preview_document

    try:
        preview = preview_document(sys.stdin.read())
    except ValueError as error:
        sys.exit(f"No comment: {error}. Its own reason is in what it printed to stderr.")
    print(render(preview, arguments.title), end="")


def _drill(arguments: argparse.Namespace) -> None:
    from operations.drill.drills import run_drills

    run_drills(arguments.clouds)


def _crash(arguments: argparse.Namespace) -> None:
    from operations.crash.matrix_run import run_matrix

    run_matrix(arguments.clouds, arguments.only, arguments.sample, arguments.seed)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _INTERRUPTED)
    main()
