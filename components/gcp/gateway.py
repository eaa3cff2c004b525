"""The front door: a Cloud Run service of the platform's image."""

from __future__ import annotations

import math
from typing import Any

import pulumi
from pulumi_gcp import cloudrunv2

from components import contracts
from components.gcp.api_key import ApiKey
from components.gcp.foundation import Foundation

Env = dict[str, Any]

PER_INSTANCE = 80
"""Requests at a time that one instance takes, Cloud Run's own default."""


class Gateway(contracts.Gateway):
    """Open to the internet; the gateway itself checks the caller's key."""

    service: cloudrunv2.Service

    def __init__(
        self, name: str, args: contracts.GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:Gateway", name, None, opts)
        foundation, key = args.foundation, args.key
        assert isinstance(foundation, Foundation)
        assert key is None or isinstance(key, ApiKey)
        instances = math.ceil(args.max_concurrency / PER_INSTANCE)
        concurrency = args.max_concurrency // instances

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
                "timeout": "30s",
                "max_instance_request_concurrency": concurrency,
                "scaling": {"min_instance_count": 0, "max_instance_count": instances},
                "containers": [
                    {
                        "image": args.image,
                        "args": ["gateway"],
                        "ports": {"container_port": 8080},
                        "resources": {
                            "limits": {"cpu": "1", "memory": "512Mi"},
                            # The capture is written after the answer: without CPU between requests
                            # it would wait for the next one, or be lost with the instance.
                            # https://cloud.google.com/run/docs/configuring/billing-settings
                            "cpu_idle": False,
                            "startup_cpu_boost": True,
                        },
                        "envs": self._environment(args, key, concurrency),
                        "startup_probe": {
                            "http_get": {"path": "/healthz"},
                            "period_seconds": 1,
                            "failure_threshold": 60,
                        },
                        "liveness_probe": {"http_get": {"path": "/healthz"}},
                    }
                ],
            },
            labels=foundation.labels,
            opts=foundation.child(self, *args.identity.ready),
        )
        self.url = self.service.uri
        self.register_outputs({"url": self.url})

    @staticmethod
    def _environment(
        args: contracts.GatewayArgs, key: ApiKey | None, concurrency: int
    ) -> pulumi.Output[list[Env]]:
        """The settings, sorted, so that their order is never a change."""

        def variables(known: dict[str, Any]) -> list[Env]:
            plain = {
                **args.settings,
                **known["endpoint"],
                "ACCESS": "key" if key else "public",
                "CAPTURE_URI": f"{known['lake']}/{contracts.Zone.CAPTURES}",
                "MAX_CONCURRENCY": str(concurrency),
            }
            envs: list[Env] = [{"name": name, "value": plain[name]} for name in sorted(plain)]
            if known["secret"]:
                # A version by number: "latest" is read when an instance starts, so that a rotation
                # would reach each instance at another time.
                reference = {"secret": known["secret"], "version": known["version"]}
                envs.append({"name": "API_KEY", "value_source": {"secret_key_ref": reference}})
            return envs

        return pulumi.Output.all(
            endpoint=args.endpoint.gateway_settings,
            lake=args.lake.uri,
            secret=key and key.secret.secret_id,
            version=key and key.version.version,
        ).apply(variables)
