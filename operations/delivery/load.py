"""The load that the gate of a delivery puts on a gateway: locust runs this file.

``locust -f operations/delivery/load.py --host GATEWAY_URL --headless …`` with the key in ``GATEWAY_KEY``, and with the
gate's ``LOAD_PAUSE`` and ``LOAD_TIMEOUT`` in seconds: see operations/delivery/load_gate.py.
"""

import os

from locust import HttpUser, between, task

from operations.engine.installation import HOME

FLIGHT = (HOME / "docs" / "flight.json").read_bytes()


class Caller(HttpUser):
    """Asks about the one flight, ten times a second at most."""

    wait_time = between(0.1, float(os.environ["LOAD_PAUSE"]))

    def on_start(self) -> None:
        # locust's session does not look at the environment, where another authority may be named.
        self.client.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True

    @task
    def predict(self) -> None:
        headers = {
            "content-type": "application/json",
            "x-api-key": os.environ.get("GATEWAY_KEY", ""),
        }
        with self.client.post(
            "/predict",
            data=FLIGHT,
            headers=headers,
            # Without one a request that hangs is never counted: locust kills it in the end, unrecorded.
            timeout=float(os.environ["LOAD_TIMEOUT"]),
            catch_response=True,
        ) as answer:
            if answer.error:
                # No answer: locust takes down why, but not if `json` or `ok` below raise it themselves.
                return
            try:
                sound = "predictions" in answer.json()
            except (ValueError, TypeError):
                sound = False
            if answer.ok and not sound:
                answer.failure("an answer without predictions")
