"""The errors of this machine: a file, a folder, a disk or a program that is not as a command needs it."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess

WAYS = {
    errno.ENOSPC: "Make room",
    errno.EDQUOT: "Make room in the quota",
    errno.EACCES: "Let this user read and write there",
    errno.EPERM: "Let this user read and write there",
    errno.EROFS: "It has to be a place that can be written to",
    errno.ENOTDIR: "It has to be a folder",
    errno.EMFILE: "Raise the limit of open files (`ulimit -n 4096`)",
}
HOME_IS_NEEDED = (
    "What is kept for all clones is in ~/.cache/triplane, or in XDG_CACHE_HOME/triplane: with a HOME that cannot be written"
    " to, set XDG_CACHE_HOME to a folder that can."
)


def explanation(error: BaseException) -> str | None:
    """What to print in place of a traceback; None for an error that is not the machine's."""
    if isinstance(error, subprocess.CalledProcessError):
        reason = str(error.stderr or error.stdout or "").strip() or f"exit code {error.returncode}"
        words = error.cmd if isinstance(error.cmd, str) else shlex.join(map(str, error.cmd))
        return f"{reason}\nThat was the answer of: {words}\nMend the cause, and run the same command again."
    if not isinstance(error, OSError) or not error.errno:
        return None
    reason, place = os.strerror(error.errno), str(error.filename or "")
    if isinstance(error, FileNotFoundError) and place and os.sep not in place:
        return f"{place}: there is no such program on this machine's PATH. `make install` sets up what comes with this clone."
    way = WAYS.get(error.errno, "Mend the cause")
    where = f"{place}: {reason}." if place else f"{reason}."
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    way_out_of_home = f" {HOME_IS_NEEDED}" if place.startswith(cache) else ""
    return (
        f"{where} {way}, and run the same command again: what was done is found.{way_out_of_home}"
    )
