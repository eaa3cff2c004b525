"""What the image runs: ``serve`` (the model server), ``gateway`` or ``train``."""

from __future__ import annotations

import sys

COMMANDS = ("serve", "gateway", "train")


def main() -> None:
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS:
        raise SystemExit(f"usage: entrypoint.py {'|'.join(COMMANDS)}, not {command!r}")
    # Each command imports only itself: the gateway has no use for numpy.
    if command == "gateway":
        from gateway import asgi

        asgi.main()
    else:
        from model_server import __main__ as model_server

        model_server.main()


if __name__ == "__main__":
    main()
