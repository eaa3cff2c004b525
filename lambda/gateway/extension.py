"""Work after the answer on AWS Lambda, in an internal extension.

Lambda freezes the process once the runtime *and every extension* have asked for the next event, so a
thread that registers as an extension and asks only when its work is done gets the time for it, after
the answer has left. See "Running code after returning a response from an AWS Lambda function" (AWS
Compute Blog) and https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from http.client import HTTPConnection

from gateway.logs import log

NAME = "captures"
API = "/2020-01-01/extension"


class AfterAnswer:
    """Runs ``work`` once after each invocation. Create it while the function initialises.

    ``work`` must not raise and must end well before the function's timeout, which it counts towards.
    Raises `OSError` when the Extensions API is not there.
    """

    def __init__(self, runtime_api: str, work: Callable[[], None]) -> None:
        self._work = work
        self._answered = threading.Semaphore(0)
        # No timeout: between invocations the process is frozen in the middle of this call.
        self._connection = HTTPConnection(runtime_api)
        # Internal extensions may not ask for SHUTDOWN.
        body, headers = '{"events": ["INVOKE"]}', {"Lambda-Extension-Name": NAME}
        self._connection.request("POST", f"{API}/register", body, headers)
        response = self._connection.getresponse()
        reason = response.read()
        if response.status != 200:
            raise OSError(f"extension not registered: {response.status} {reason[:200]!r}")
        self._id = response.headers["Lambda-Extension-Identifier"]
        threading.Thread(target=self._run, name=NAME, daemon=True).start()

    def answered(self) -> None:
        """The handler is done: call it at the end of each invocation, also of a failed one."""
        self._answered.release()

    def _run(self) -> None:
        try:
            while True:
                self._next()
                self._answered.acquire()
                self._work()
        except Exception as error:
            # An extension that never asks again would make every invocation run into its timeout.
            log("CRITICAL", "the extension failed", cause=f"{type(error).__name__}: {error}")
            os._exit(1)

    def _next(self) -> None:
        headers = {"Lambda-Extension-Identifier": self._id}
        self._connection.request("GET", f"{API}/event/next", headers=headers)
        response = self._connection.getresponse()
        response.read()
        if response.status != 200:
            raise OSError(f"event/next answered {response.status}")
