"""The callers of the load test: locust runs this file.

``locust -f operations/delivery/locustfile.py --host GATEWAY_URL --headless …`` with the key in ``GATEWAY_KEY``, the
gate's ``LOAD_PAUSE`` and ``LOAD_TIMEOUT`` in seconds, and in ``LOAD_REQUESTS`` a JSON file of paths and their bodies:
see operations/delivery/load_gate.py.
"""

import itertools
import json
import os
from pathlib import Path

from locust import HttpUser, between, task

REQUESTS = json.loads(Path(os.environ["LOAD_REQUESTS"]).read_bytes())
TURNS = itertools.cycle(REQUESTS.items())
"""The callers take the models in turn, so that each gets as many requests as any other."""


class Caller(HttpUser):
    """Requests a prediction for one example, ten times a second at most."""

    wait_time = between(0.1, float(os.environ["LOAD_PAUSE"]))

    def on_start(self) -> None:
        # locust's session does not read the environment, which may name another certificate authority.
        self.client.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True

    @task
    def predict(self) -> None:
        path, body = next(TURNS)
        headers = {
            "content-type": "application/json",
            "x-api-key": os.environ.get("GATEWAY_KEY", ""),
        }
        with self.client.post(
            path,
            data=body,
            headers=headers,
            # Without a timeout a request that hangs is never counted: at the end locust kills it, unrecorded.
            timeout=float(os.environ["LOAD_TIMEOUT"]),
            catch_response=True,
        ) as response:
            if response.error:
                # No answer. locust records why, but not if `json` or `ok` below raise the error themselves.
                return
            try:
                has_predictions = "predictions" in response.json()
            except (ValueError, TypeError):
                has_predictions = False
            if response.ok and not has_predictions:
                response.failure("an answer without predictions")
