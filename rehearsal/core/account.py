"""The account that the rehearsal plays on each cloud."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Account:
    """The deployer on each cloud: invented, well-formed, the same on every machine. Its keys are not."""

    aws_account: str = "123456789012"
    aws_region: str = "us-east-1"
    """Used when the provider's settings name none. A record's is in ``outputs["region"]``."""
    gcp_project: str = "triplane-rehearsal"
    """Used when the provider's settings name none. A record's is in ``outputs["project"]``."""
    gcp_region: str = "us-central1"
    azure_subscription: str = "00000000-aaaa-4bbb-8ccc-000000000001"
    azure_tenant: str = "00000000-aaaa-4bbb-8ccc-000000000002"
    azure_client: str = "00000000-aaaa-4bbb-8ccc-000000000003"
    azure_object: str = "00000000-aaaa-4bbb-8ccc-000000000004"
    """Object id of the deployer."""
    azure_principal_type: str = "User"
    """Its type: a person. In a pipeline it would be ``ServicePrincipal``."""
    azure_location: str = "westeurope"

    def aws_account_of(self, config: Mapping[str, Any]) -> str:
        """The account that a provider with these settings works in: that of the role it assumes."""
        roles = config.get("assumeRoles") or [{}]
        return (roles[-1].get("roleArn") or f"::::{self.aws_account}").split(":")[4]

    def gcp_number(self, project: str) -> str:
        """The project's number: twelve digits, always the same for the same project."""
        return str(10**11 + int(hashlib.sha256(project.encode()).hexdigest(), 16) % (9 * 10**11))
