"""Work after the answer on AWS Lambda, in an internal extension.

Lambda freezes the process when the runtime *and every extension* have requested the next event. So a thread that
registers as an extension, and requests the next event only after its work, can work after the answer is sent. See "Running code after returning a response from an AWS Lambda function" (AWS
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


class AfterAnswerExtension:
    """Runs ``work`` once after each invocation. Create it while the function initialises.

    ``work`` must not raise. Its time counts towards the function's timeout, so it must end well before that.
    Raises `OSError` when there is no Extensions API.
    """

    def __init__(self, runtime_api: str, work: Callable[[], None]) -> None:
        self._work = work
        self._answered = threading.Semaphore(0)
        # No timeout: between invocations the process is frozen in the middle of this call.
        self._connection = HTTPConnection(runtime_api)
        # Internal extensions may not register for SHUTDOWN.
        body, headers = '{"events": ["INVOKE"]}', {"Lambda-Extension-Name": NAME}
        self._connection.request("POST", f"{API}/register", body, headers)
        response = self._connection.getresponse()
        reason = response.read()
        if response.status != 200:
            raise OSError(f"extension not registered: {response.status} {reason[:200]!r}")
        self._id = response.headers["Lambda-Extension-Identifier"]
        threading.Thread(target=self._run, name=NAME, daemon=True).start()

    def answered(self) -> None:
        """Start the work. The handler calls this at the end of each invocation, also of a failed one."""
        self._answered.release()

    def _run(self) -> None:
        try:
            while True:
                self._next()
                self._answered.acquire()
                self._work()
        except Exception as error:
            # If the extension stops requesting events, every invocation runs into its timeout.
            log("CRITICAL", "the extension failed", cause=f"{type(error).__name__}: {error}")
            os._exit(1)

    def _next(self) -> None:
        headers = {"Lambda-Extension-Identifier": self._id}
        self._connection.request("GET", f"{API}/event/next", headers=headers)
        response = self._connection.getresponse()
        response.read()
        if response.status != 200:
            raise OSError(f"event/next returned {response.status}")
