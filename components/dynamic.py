"""The dynamic providers' common part on all clouds: an exact diff, polling, and how they are stored.

A dynamic provider is a subclass of `Provider` in an importable module of this project. Pulumi pickles it into
the resource's state as ``__provider``. A class of an importable module is pickled by reference (module and name), so
the state does not change when the code does, and the provider process, which Pulumi starts in the project's folder by
``python -m pulumi.dynamic``, imports the class. So an instance has no attributes, no credentials and no clients: it
reads them when it acts. A provider that is moved or renamed gets a line in `components.former_names`.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from threading import Thread
from typing import Any, ClassVar, TypeVar

from pulumi.dynamic import ConfigureRequest, DiffResult, ReadResult, ResourceProvider

T = TypeVar("T")

Props = dict[str, Any]

LONGEST_GRANT_SECONDS = 10 * 60
"""How long a new grant may take until it is in force: Azure says up to ten minutes, Google "potentially 7 minutes or
longer", AWS gives no number.
https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#symptom---role-assignment-changes-are-not-being-detected
https://cloud.google.com/iam/docs/access-change-propagation
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""
GRANT_PAUSE = 10.0
REFUSALS = 6
"""So many refused connections, one after another, show that the engine has ended."""


class Provider(ResourceProvider):
    """A dynamic provider whose diff is exact.

    ``create`` and ``update`` return the inputs beside the computed outputs, because Pulumi gives ``diff`` the former
    outputs, not the former inputs. Numbers arrive as floats (protobuf).
    """

    # A reference to a class has nothing secret; as a secret it would hide the whole state entry.
    serialize_as_secret_always = False

    replace_on: ClassVar[frozenset[str]] = frozenset()
    """Inputs that cannot be changed in place."""

    def configure(self, _: ConfigureRequest) -> None:
        """Called once in each process of `pulumi.dynamic`, before anything else."""
        end_with_engine(*sys.argv[1:2])

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        changed = changed_inputs(olds, news)
        return DiffResult(changes=bool(changed), replaces=sorted(changed & self.replace_on))


@cache
def end_with_engine(address: str = "") -> None:
    """End this process when its engine has ended.

    `pulumi.dynamic` waits for an interrupt without end, which an engine that was killed sends to nobody. Its one argument is
    the engine's address, which no document promises, and another program may listen there later. So the output is watched,
    too, which the engine reads from a pipe.
    https://github.com/pulumi/pulumi/blob/v3.250.0/sdk/python/lib/pulumi/dynamic/__main__.py (main)
    https://github.com/pulumi/pulumi/blob/v3.250.0/sdk/go/common/resource/plugin/plugin.go (newPlugin)
    """
    Thread(target=_wait_until_unread, args=(1,), daemon=True).start()
    if address.rpartition(":")[2].isdecimal():
        Thread(target=_wait_until_refused, args=(address,), daemon=True).start()


def _wait_until_unread(output: int) -> None:
    """End this process when the output is a pipe that nobody can read any more."""
    poll = select.poll()
    poll.register(output, 0)
    # A file, or an output that is closed, says nothing about an engine.
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll()):
        os._exit(0)


def _wait_until_refused(address: str) -> None:
    """End this process when nothing listens at the address any more. One refusal may be a moment's: of a full queue, for one."""
    host, _, port = address.rpartition(":")
    refusals = 0
    while refusals < REFUSALS:
        try:
            with socket.create_connection((host, int(port))) as engine:
                refusals = 0
                # gRPC closes a connection without a request after two minutes: then the next one.
                while engine.recv(1024):
                    pass
        except ConnectionRefusedError:
            refusals += 1
        except OSError:  # an engine that was killed resets the connection
            pass
        time.sleep(0.5)
    os._exit(0)


def changed_inputs(olds: Mapping[str, Any], news: Mapping[str, Any]) -> set[str]:
    """The inputs of ``news`` that ``olds`` does not have with the same value; an unknown one is changed."""
    missing = object()
    return {
        key
        for key, value in news.items()
        if not key.startswith("__") and olds.get(key, missing) != value
    }


def not_found() -> ReadResult:
    """The result of ``read`` for a resource that no longer exists; Pulumi needs a dict even then."""
    return ReadResult("", {})


def wait_for(poll: Callable[[], T | None], *, what: str, seconds: float, every: float = 5.0) -> T:
    """Call ``poll`` until it returns something; the first calls follow each other quickly.

    Raises TimeoutError, naming ``what``, after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    pause = min(0.1, every)
    while True:
        answer = poll()
        if answer is not None:
            return answer
        if time.monotonic() + pause > deadline:
            raise TimeoutError(
                f"{what}: not finished after {seconds:.0f} s; run `pulumi up` again to look further"
            )
        time.sleep(pause)
        pause = min(pause * 1.6, every)


def once_granted(work: Callable[[], T], *, denied: Callable[[Exception], bool]) -> T:
    """Do ``work``; again while it fails because a grant is not in force yet, which ``denied`` recognises.

    No cloud says when a grant is in force, so it is tried out. After `LONGEST_GRANT_SECONDS` the refusal is the truth, and is
    raised as it is. The first attempts follow each other quickly.
    """
    deadline = time.monotonic() + LONGEST_GRANT_SECONDS
    pause = min(1.0, GRANT_PAUSE)
    while True:
        try:
            return work()
        except Exception as error:
            if not denied(error) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 1.6, GRANT_PAUSE)
