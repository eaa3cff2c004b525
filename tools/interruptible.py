"""Run a program of this clone so that Ctrl-C ends it without a traceback: ``python -m tools.interruptible MODULE …``.

While the program imports its modules, too, which takes most of the time of some.
"""

from __future__ import annotations

import runpy
import sys


def main() -> None:
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
