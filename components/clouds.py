"""The one place that branches on the cloud. It imports the chosen SDK and no other."""

from __future__ import annotations

from typing import assert_never, cast

from components.contracts import CloudPackage
from config.clouds import Cloud


def load(cloud: Cloud) -> CloudPackage:
    """The components of one cloud."""
    match cloud:
        case "aws":
            from components.aws import package as aws

            return cast(CloudPackage, aws)
        case "gcp":
            from components.gcp import package as gcp

            return cast(CloudPackage, gcp)
        case "azure":
            from components.azure import package as azure

            return cast(CloudPackage, azure)
        case _:
            assert_never(cloud)
