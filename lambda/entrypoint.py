"""The commands of the image: ``serve`` (the model server), ``gateway`` and ``train``."""

from __future__ import annotations

import sys


def main() -> None:
    # Each command imports only its own modules: a caller may wait for the container to start.
    match sys.argv[1:2]:
        case ["serve"]:
            from model_server import serve

            serve.main()
        case ["gateway"]:
            from gateway import asgi

            asgi.main()
        case ["train"]:
            from model_server import __main__ as command_line

            command_line.main()
        case words:
            given = repr(words[0]) if words else "nothing"
            sys.exit(f"The image runs one of serve, gateway and train; it was given {given}.")


if __name__ == "__main__":
    main()
