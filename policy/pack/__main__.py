"""The rules as a Pulumi policy pack: one mandatory stack policy a rule, with the findings of `make policy`."""

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ResourceValidationPolicy,
    StackValidationPolicy,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from policy.pack_rules import PackRules  # the path must come first
from policy.rules import RULES

pack_rules = PackRules()

PolicyPack(
    "triplane",
    [
        ResourceValidationPolicy(
            "inputs",
            "Forbids nothing; the rules need the inputs that it keeps.",
            pack_rules.remember,
        ),
        *(
            StackValidationPolicy(
                rule.name, f"{rule.demands} {rule.why}", pack_rules.validation(rule)
            )
            for rule in RULES
        ),
    ],
    EnforcementLevel.MANDATORY,
)
