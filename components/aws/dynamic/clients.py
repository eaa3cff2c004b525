"""Clients of AWS's own SDK, for what the provider has no resource for."""

from __future__ import annotations

from typing import Any


def client(service: str, region: str) -> Any:
    """A client of a service in a region."""
    # Imported here: most runs ask AWS nothing themselves, and are faster by 0.1 s.
    import boto3

    return boto3.client(service, region_name=region)
