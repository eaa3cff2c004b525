"""Renders of the program in a process of its own: `python -m tests.soak.render plain|altered STORE`.

`altered` has another clock, another host name, and every set of the program in the opposite order. The
caller gives each process its own hash seed, time zone, user and home. Both must print the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from tests.soak.altered_clock import alter_clock_and_host
from tests.soak.ordered_sets import order_sets

PLAIN, ALTERED = "plain", "altered"

FILES: dict[str, dict[str, Any]] = {
    "a key, on instances": {
        "triplane:environment": "staging",
        "triplane:models": {
            "flight-delay": {
                "version": "champion",
                "endpoint": "",
                "machine": {
                    "aws": "ml.m5.xlarge",
                    "gcp": "n1-standard-2",
                    "azure": "Standard_DS2_v2",
                },
                "min_instances": 1,
                "max_instances": 4,
                "serverless_concurrency": 2,
                "image": "",
            },
            "arrival-delay": {"endpoint": "small"},
            "digits": {"endpoint": "small"},
        },
        "triplane:machine": {
            "aws": "ml.m5.large",
            "gcp": "n1-standard-4",
            "azure": "Standard_DS4_v2",
        },
        "triplane:endpoint": {"min_instances": 2, "max_instances": 3, "serverless_concurrency": 4},
        "triplane:gateway": {
            "access": "key",
            "key_rotation": 7,
            "max_concurrency": 50,
            "max_body_kib": 64,
            "app_service_plan": "S1",
            "captures": "sync",
        },
        "triplane:lake": {"captures_days": 7, "noncurrent_days": 2},
        "triplane:delivery": {
            "repository": "acme@1/triplane@2",
            "branch": "release",
            "environment": "production",
            "branch_in_subject": True,
            "existing_provider": False,
        },
        "triplane:tags": {letter: letter for letter in "zyxwvutsrq"},
        "triplane:keep_data": True,
    },
    "public, without kept data": {
        "triplane:gateway": {"access": "public"},
        "triplane:delivery": {
            "repository": "acme/triplane",
            "branch_in_subject": False,
            "existing_provider": True,
        },
        "triplane:keep_data": False,
    },
}
"""The first sets everything; the second has the other value of each choice."""
REGIONS = {
    "aws:region": "eu-west-1",
    "gcp:project": "triplane-dev",
    "gcp:region": "europe-west1",
    "azure-native:location": "westeurope",
}


def comparable_inputs(value: Any) -> Any:
    """Inputs with the digests of files and archives in place of their paths, without dynamic providers' byte code."""
    from policy.plain import SIGNATURE

    if isinstance(value, list):
        return [comparable_inputs(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if SIGNATURE in value and "path" in value:
        return {"file": hashlib.sha256(Path(value["path"]).read_bytes()).hexdigest()}
    return {name: comparable_inputs(item) for name, item in value.items() if name != "__provider"}


def comparable_request(request: Any) -> dict[str, Any]:
    """What the program sends to the engine for a resource: its inputs and every option."""
    from google.protobuf.json_format import MessageToDict

    message: dict[str, Any] = MessageToDict(request)
    for name in ("sourcePosition", "stackTrace"):
        message.pop(name, None)
    # Both the SDK and the engine treat these as sets.
    message["dependencies"] = sorted(message.get("dependencies", []))
    for each in message.get("propertyDependencies", {}).values():
        each["urns"] = sorted(each.get("urns", []))
    return message | {"object": comparable_inputs(message.get("object", {}))}


def renders(store: Path) -> dict[str, Any]:
    """Everything that the program registers and exports, for each file on each cloud."""
    from config.validation import config_of_values
    from policy.mock_engine import Monitor, platform
    from tests.soak.stack_files import CLOUDS, engine_values

    found: dict[str, Any] = {}
    register = Monitor.RegisterResource
    for cloud in CLOUDS:
        for title, file in FILES.items():
            requests: list[Any] = []

            def record(monitor: Monitor, request: Any, to: list[Any] = requests) -> Any:
                to.append(request)
                return register(monitor, request)

            raw = engine_values({**REGIONS, **file, "triplane:cloud": cloud})
            config = config_of_values(raw, "Pulumi.render.yaml", store=store)
            with mock.patch.object(Monitor, "RegisterResource", record):
                _, outputs = platform(config)
            found[f"{cloud}, {title}: outputs"] = outputs
            for request in requests:
                found[f"{cloud}, {title}: {request.type} {request.name}"] = comparable_request(
                    request
                )
    return found


def main() -> None:
    variant, store = sys.argv[1:]
    # Before the clock is changed: what a library computes from it at its import is not the program's.
    import pulumi_aws  # noqa: F401
    import pulumi_azure_native  # noqa: F401
    import pulumi_gcp  # noqa: F401
    import pydantic  # noqa: F401

    order_sets(backwards=variant == ALTERED)
    if variant == ALTERED:
        alter_clock_and_host()
    json.dump(renders(Path(store)), sys.stdout)


if __name__ == "__main__":
    main()
