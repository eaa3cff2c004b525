"""The one place that branches on the cloud. It imports the chosen SDK and no other."""

from __future__ import annotations

from typing import assert_never, cast

from components.contracts import Cloud, CloudPackage


def load(cloud: Cloud) -> CloudPackage:
    """The components of one cloud."""
    match cloud:
        case "aws":
            from components import aws as package
        case "gcp":
            from components import gcp as package  # type: ignore[no-redef]
        case "azure":
            from components import azure as package  # type: ignore[no-redef]
        case _:
            assert_never(cloud)
    return cast(CloudPackage, package)
