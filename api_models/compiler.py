"""Compiles what the clouds' request models state of a resource type into rules (`api_models.rules`).

The caller describes the type as its Pulumi SDK does; the names and the nesting of the inputs decide. An input is
compared with the member of the request that has the same name and the same kind. What does not fit is not checked:
the provider converts it before it sends it. A value that the SDK's documentation names is accepted always.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from api_models import azure_rules
from api_models.sdk_type import Json, SdkType, installed_version


def versions(package: str) -> str:
    """What the rules of an SDK's types depend on: the clouds' packages, and the code that reads them."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    for name in PACKAGES.get(package, ()):
        digest.update(f"{name} {installed_version(name)}".encode())
    return digest.hexdigest()[:8]


PACKAGES = {"aws": ["botocore"], "gcp": ["google-api-python-client"]}
NEEDED = {
    "aws": "botocore",
    "gcp": "google-api-python-client",
    "azure-native": "pulumi-azure-native",
}


def rules_of(sdk_type: SdkType) -> Json:
    """The rules of a type; empty where no model is known, or its package is not installed."""
    package = sdk_type.token.partition(":")[0]
    if package not in COMPILERS or not installed_version(NEEDED[package]):
        return {}
    return COMPILERS[package](sdk_type)


def compiled_aws(sdk_type: SdkType) -> Json:
    from api_models import aws_rules  # botocore is large, and may be absent

    return aws_rules.rules_of(sdk_type)


def compiled_gcp(sdk_type: SdkType) -> Json:
    from api_models import gcp_rules  # google-api-python-client may be absent

    return gcp_rules.rules_of(sdk_type)


COMPILERS: dict[str, Callable[[SdkType], Json]] = {
    "aws": compiled_aws,
    "gcp": compiled_gcp,
    "azure-native": azure_rules.rules_of,
}
