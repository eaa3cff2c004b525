"""What the profiles of a rehearsal mean: how late, how slow and how narrow the clouds are.

`instant` is for work: everything is done and in force when the answer comes. `realistic` has the delays of the clouds, on
a shortened clock. `fresh-account` has the limits of a new account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Profile = Literal["instant", "realistic", "fresh-account"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
DEFAULT: Profile = "instant"

CLOCK = 30
"""The shortened clock of `realistic`: a second of the rehearsal is so many seconds of a cloud."""

# How late a grant, or its removal, is in force: seconds of the cloud, by package.
GRANT_SECONDS: Mapping[str, float] = {
    # "Changes that you make … must be propagated", without a number:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    # Believed: as long as AWS's provider waits for it (`propagationTimeout`).
    # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/iam/consts.go
    "aws": 120,
    # "Typically 2 minutes, potentially 7 minutes or longer":
    # https://cloud.google.com/iam/docs/access-change-propagation
    "gcp": 120,
    # "It can take up to 10 minutes for changes to take effect":
    # https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#role-assignment-changes-are-not-being-detected
    "azure-native": 600,
}


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the clouds of this rehearsal behave. Seconds are of this machine's clock."""

    profile: Profile
    grant_seconds: Mapping[str, float] = field(default_factory=dict)
    """By package: how late a grant or its removal is in force; a missing package: at once."""


BEHAVIOURS: Mapping[Profile, Behaviour] = {
    "instant": Behaviour(profile="instant"),
    "realistic": Behaviour(
        profile="realistic",
        grant_seconds={package: late / CLOCK for package, late in GRANT_SECONDS.items()},
    ),
    "fresh-account": Behaviour(profile="fresh-account"),
}
