"""The gateway on Google Cloud: a Cloud Run service of the platform's image."""

from __future__ import annotations

import math
from typing import Any

import pulumi
from pulumi_gcp import cloudrunv2

from components import contracts
from components.gcp.api_key import ApiKey
from components.gcp.foundation import Foundation

PER_INSTANCE = 80
"""Requests at a time that one instance takes, Cloud Run's own default."""


class Gateway(contracts.Gateway):
    """Open to the internet; the gateway itself checks the caller's key."""

    service: cloudrunv2.Service

    def __init__(
        self, name: str, args: contracts.GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:Gateway", name, None, opts)
        foundation = Foundation.of(args.foundation)
        # Without a number, Cloud Run takes what the project's quota of the region allows.
        # https://cloud.google.com/run/docs/configuring/max-instances-limits
        instances = math.ceil(args.max_concurrency / PER_INSTANCE) or None
        concurrency = args.max_concurrency // instances if instances else PER_INSTANCE

        self.service = cloudrunv2.Service(
            f"{name}-service",
            location=foundation.region,
            ingress="INGRESS_TRAFFIC_ALL",
            # Not a binding of allUsers: an organisation's domain restriction would refuse it.
            # https://cloud.google.com/run/docs/authenticating/public
            invoker_iam_disabled=True,
            # Nothing is lost with a service; the provider's default, true, would stop `destroy`.
            deletion_protection=False,
            template={
                "service_account": args.identity.principal,
                # Ten seconds for a slow body, and 28 for the answer (lambda/gateway/asgi.py and service.py).
                "timeout": "40s",
                "max_instance_request_concurrency": concurrency,
                "scaling": {"min_instance_count": 0, "max_instance_count": instances},
                "containers": [
                    {
                        "image": args.image,
                        "ports": {"container_port": 8080},
                        "resources": {
                            "limits": {"cpu": "1", "memory": "512Mi"},
                            # The capture is written after the answer: without CPU between requests
                            # it would wait for the next one, or be lost with the instance.
                            # https://cloud.google.com/run/docs/configuring/billing-settings
                            "cpu_idle": False,
                            "startup_cpu_boost": True,
                        },
                        "envs": _environment(args, concurrency),
                        "startup_probe": {
                            "http_get": {"path": "/healthz"},
                            "period_seconds": 1,
                            "failure_threshold": 60,
                            "timeout_seconds": 1,
                        },
                        # Google's own defaults.
                        "liveness_probe": {
                            "http_get": {"path": "/healthz"},
                            "period_seconds": 10,
                            "failure_threshold": 3,
                            "timeout_seconds": 1,
                        },
                    }
                ],
            },
            labels=foundation.labels,
            opts=foundation.child(self, *args.identity.attachments),
        )

        self.url = self.service.uri
        self.register_outputs({"url": self.url})


def _environment(
    args: contracts.GatewayArgs, concurrency: int
) -> pulumi.Output[list[dict[str, Any]]]:
    """The container's environment. Of the key it has the place only, and reads it there.

    A reference that Cloud Run resolves would fail the creation, and leave a service behind that the state does not know,
    while the permission to read the key is not in force yet: neither Cloud Run nor the provider tries again (believed: reports).
    https://github.com/hashicorp/terraform-provider-google/issues/13786
    """
    # The name has the version's number: with "latest", a rotation would come to each instance at another time.
    place = {"API_KEY_SECRET_NAME": ApiKey.of(args.key).version.name} if args.key else {}
    environment = args.environment(
        ENDPOINT_KIND="vertex", MAX_CONCURRENCY=str(concurrency), **place
    )
    return environment.apply(
        lambda known: [{"name": name, "value": value} for name, value in known.items()]
    )
