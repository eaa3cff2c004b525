"""What the profiles of a rehearsal mean: how late, how slow and how narrow the clouds are.

`instant` is for work: everything is done and in force when the answer comes. `realistic` has the delays of the clouds, on
a shortened clock. `fresh-account` has the limits of a new account.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from rehearsal.core.quotas import FRESH, USUAL, Quotas

Profile = Literal["instant", "realistic", "fresh-account"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
DEFAULT: Profile = "instant"

CLOCK = 30
"""The shortened clock of `realistic`: a second of the rehearsal is so many seconds of a cloud."""

# How late a grant, or its removal, is in force: seconds of the cloud, by package, or by a type that differs.
GRANT_DELAYS: Mapping[str, float] = {
    # AWS gives no number: "As a service that is accessed through computers in data centers around the world, IAM
    # uses … eventual consistency".
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    # Believed: as long as AWS's provider waits for it (`iamPropagationTimeout`, `propagationTimeout`).
    # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/consts.go
    "aws": 120,
    # A role can be assumed before every service knows its policies: builds were seen to be denied a permission though
    # CodeBuild had accepted the role. https://github.com/tmokmss/deploy-time-build/issues/72
    "aws:iam/role:Role": 30,
    # "Typically 2 minutes, potentially 7 minutes or longer":
    # https://cloud.google.com/iam/docs/access-change-propagation
    "gcp": 120,
    # "It can take up to 10 minutes for changes to take effect":
    # https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#symptom---role-assignment-changes-are-not-being-detected
    "azure-native": 600,
}

# How long an operation takes: seconds of the cloud, by resource type or by the name of an operation. Believed, from
# what people report, where no document is named; short ones are left out.
OPERATION_SECONDS: Mapping[str, float] = {
    "aws:sagemaker/endpoint:Endpoint": 180,
    "codebuild:build": 90,
    # https://cloud.google.com/service-usage/docs/enable-disable gives no number.
    "gcp:projects/service:Service": 30,
    "gcp:cloudrunv2/service:Service": 30,
    "cloudbuild:build": 120,
    "aiplatform:models.upload": 60,
    # "Deploying a model can take 5 to 20 minutes": components.gcp.dynamic.vertex_deployment; believed.
    "aiplatform:endpoints.deployModel": 600,
    "containerregistry:run": 120,
    "azure-native:machinelearningservices:Workspace": 60,
    "azure-native:machinelearningservices:OnlineEndpoint": 90,
    # "A typical deployment takes 8 to 10 minutes" on managed online endpoints; believed.
    "azure-native:machinelearningservices:OnlineDeployment": 480,
    "machinelearningservices:endpoints.update": 60,
    "azure-native:web:WebApp": 30,
    # Until the new container answers and not the former one, after the PUT has returned.
    "web:container": 60,
}

TOKEN_SECONDS = 3600
"""How long an access token is valid: seconds of the cloud, by default.

- Google Cloud: https://docs.cloud.google.com/docs/authentication/token-types#at-lifetime
- Azure, between 60 and 90 minutes: https://learn.microsoft.com/entra/identity-platform/configurable-token-lifetimes
"""

LISTING_SECONDS = 30
"""How late a new resource is in the lists that are documented as eventual: seconds of the cloud, believed.

- IAM's on AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
- IAM's on Google Cloud: https://cloud.google.com/iam/docs/overview#consistency
"""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the clouds of this rehearsal behave. Its methods give seconds of this machine's clock."""

    profile: Profile
    delays: bool = False
    """Whether anything takes time, or is late."""
    quotas: Quotas = USUAL
    """What the accounts allow."""

    def shortened(self, seconds: float) -> float:
        """How long so many seconds of a cloud take here."""
        return seconds / CLOCK if self.delays else 0.0

    def grant_delay(self, package: str, token: str = "") -> float:
        """How late a grant of this cloud and type, or its removal, is in force."""
        return self.shortened(GRANT_DELAYS.get(token, GRANT_DELAYS[package]))

    def token_seconds(self) -> int:
        """How long an access token is valid."""
        return int(self.shortened(TOKEN_SECONDS)) if self.delays else TOKEN_SECONDS

    def listing_delay(self) -> float:
        """How late a new resource is in a list that is eventual."""
        return self.shortened(LISTING_SECONDS)

    def spend(self, operation: str) -> None:
        """Take the time that an operation takes on its cloud; none for an unknown one. Only from worker threads."""
        time.sleep(self.operation_seconds(operation))

    def operation_seconds(self, operation: str) -> float:
        """How long an operation takes; 0 for an unknown one."""
        return self.shortened(OPERATION_SECONDS.get(operation, 0.0))


BEHAVIOURS: Mapping[Profile, Behaviour] = {
    "instant": Behaviour(profile="instant"),
    "realistic": Behaviour(profile="realistic", delays=True),
    "fresh-account": Behaviour(profile="fresh-account", quotas=FRESH),
}
