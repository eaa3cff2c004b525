"""The rehearsal's command line: ``python -m rehearsal start|stop|status|page|env|fault|ledger|wipe``."""

# ruff: noqa: E402  # what a Ctrl-C does is set before the imports

from __future__ import annotations

import signal

_INTERRUPTED = signal.getsignal(signal.SIGINT)
if __name__ == "__main__" and _INTERRUPTED is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported: no traceback

import argparse
import dataclasses
import errno
import os
import sys
from typing import NoReturn

# Before grpc is imported. Processes are started by exec, so grpc does not need to survive a fork.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from rehearsal import supervisor
from rehearsal.core import control_token
from rehearsal.core.settings import state_folder


def main() -> None:
    """Do what the command line says."""
    state = state_folder()
    try:
        arguments = _parser().parse_args()
        match arguments.command:
            case "start":
                supervisor.start(state, _say, new_ports=arguments.new_ports)
            case "stop":
                supervisor.stop(state, _say)
            case "wipe":
                supervisor.wipe(state, _say, stacks_are_gone=arguments.stacks_are_gone)
            case "serve":
                supervisor.serve(state)
            case "status":
                _status(supervisor.request(state, "/_api/status"))
            case "page":
                supervisor.request(state, "/_api/status")
                print(f"{supervisor.url(state)}/#token={control_token.known(state)}")
            case "env":
                print(supervisor.shell_script(state))
            case "ledger":
                for entry in reversed(
                    supervisor.request(state, f"/_api/ledger?limit={arguments.limit}")
                ):
                    print("{verb:<12} {token} {name}  {text}".format(**entry).rstrip())
            case "fault":
                _fault(arguments)
        sys.stdout.flush()  # here, where a reader that has left is noticed
    except BrokenPipeError:  # `… ledger | head`
        _discard_stdout()
        sys.exit(128 + signal.SIGPIPE)
    except supervisor.RehearsalError as error:
        sys.exit(f"rehearsal: {error}")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(f"rehearsal: the disk with {state} is full. Make room, and run it again")
        sys.exit(
            f"rehearsal: {error.filename or state}: {error.strerror or error}. It has to be a place that this user can read"
            " and write (with a HOME that is not: set XDG_CACHE_HOME to one). Then run it again"
        )
    except KeyboardInterrupt:
        sys.exit(130)


def _say(text: str) -> None:
    """Print a line about what goes on also when nobody reads it."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _discard_stdout()


def _discard_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(
            2,
            f"{self.prog}: {message}. Nothing was done. `{self.prog} --help` lists what it takes\n",
        )


def _parser() -> argparse.ArgumentParser:
    from rehearsal.core.faults import FaultKind

    parser = _Parser(
        prog="python -m rehearsal", description="Plays AWS, Google Cloud and Azure on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start it and wait until it is ready")
    start.add_argument("--new-ports", action="store_true", help="choose new ports")
    commands.add_parser("stop", help="stop it and every process that it started")
    commands.add_parser("status", help="count the resources, list the processes")
    commands.add_parser(
        "page", help="print the address of its page, with the token for faults and logs"
    )
    commands.add_parser("env", help="print the variables that point a shell at it")
    wipe = commands.add_parser("wipe", help="stop it and delete its state")
    wipe.add_argument(
        "--stacks-are-gone", action="store_true", help="the caller has deleted the stacks, too"
    )
    commands.add_parser("serve", help="be the resident process (start does this)")
    ledger = commands.add_parser("ledger", help="list what happened, oldest first")
    ledger.add_argument("--limit", type=int, default=50)
    fault = commands.add_parser("fault", help="make something go wrong")
    fault.add_argument("what", choices=[*FaultKind.__args__, "lose", "list", "clear"])  # type: ignore[attr-defined]
    fault.add_argument("--on", default="*", metavar="GLOB", help="resource type: aws:s3/*")
    fault.add_argument("--name", default="*", metavar="GLOB", help="the resource's name")
    fault.add_argument("--method", default="*", help="create, read, update, delete, check, invoke")
    fault.add_argument(
        "--path", default="", metavar="GLOB", help="a path of the data planes: /aws/*"
    )
    fault.add_argument("--times", type=int, default=1, help="how often; 0: until cleared")
    fault.add_argument("--seconds", type=float, default=5, help="how long slow takes")
    fault.add_argument("--after", action="store_true", help="after the step is done, not before it")
    return parser


def _status(status: dict[str, object]) -> None:
    print(
        f"running at {status['url']} ({status.get('profile', 'instant')}), process {status['pid']},"
        f" {status['memory_mb']} MB"
    )
    for cloud, count in status["resources"].items():  # type: ignore[attr-defined]
        print(f"  {cloud}: {count} resources")
    for process in status["processes"]:  # type: ignore[attr-defined]
        print(f"  process {process['pid']}: {process['key']}")


def _fault(arguments: argparse.Namespace) -> None:
    from rehearsal.core.faults import Fault

    state = state_folder()
    match arguments.what:
        case "list":
            for fault in supervisor.request(state, "/_api/faults"):
                print("{id}  {what} on {on} {name} {method} {path} times={times}".format(**fault))
        case "clear":
            supervisor.request(state, "/_api/faults", "DELETE")
        case "lose":
            selection = {"on": arguments.on, "name": arguments.name}
            for lost in supervisor.request(state, "/_api/lose", "POST", selection)["lost"]:
                print(f"lost: {lost}")
        case _:
            fields = {field.name for field in dataclasses.fields(Fault)} - {"id"}
            fault = {name: getattr(arguments, name) for name in fields}
            print(supervisor.request(state, "/_api/faults", "POST", fault)["id"])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _INTERRUPTED)
    main()
