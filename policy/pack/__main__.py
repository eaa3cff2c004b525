"""The rules as a Pulumi policy pack: one stack policy a rule, mandatory, with the verdicts of `make policy`."""

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ResourceValidationPolicy,
    StackValidationPolicy,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from policy import aws, azure, gcp, pack_rules, rules  # noqa: F401  # after the path

PolicyPack(
    "triplane",
    [
        ResourceValidationPolicy(
            "inputs", "Forbids nothing: the rules need it.", pack_rules.remember
        ),
        *(
            StackValidationPolicy(
                rule.name, f"{rule.demands} {rule.why}", pack_rules.validation(rule)
            )
            for rule in rules.RULES
        ),
    ],
    EnforcementLevel.MANDATORY,
)
