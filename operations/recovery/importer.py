"""Import existing resources into a state that does not have them, as far as they can be found.

The problem: the state is lost or old, the resources exist, and an update would create all of them again. This
module fills the state of a trial stack, in rounds. Each round

1. previews the program: it shows what would be created, and with which inputs;
2. adds the providers and components, which no cloud has;
3. finds the candidates: from known inputs an id follows, and an autonamed resource is discovered by its tags
   (`operations.recovery.import_candidates`);
4. lets the engine read the candidates from the cloud (`operations.recovery.probes`), drops those that belong to
   another stack, and takes over the gateway's key.

What a round finds makes more inputs known to the next preview: a role before its policies, a resource group before
a vault, and that before its secrets. The rounds end when nothing more is found. Nothing is created, changed or
deleted in the cloud, and nothing is guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.schema import StackConfig
from config.tags import PLATFORM_TAGS
from operations.engine import account, guards
from operations.engine.previews import Step
from operations.engine.resources import Resource
from operations.recovery import discovery
from operations.recovery.deployment import Deployment, with_known_dependencies
from operations.recovery.discovered_resource import DiscoveredResource, autonamed_input, has_tags
from operations.recovery.gateway_key import with_existing_key
from operations.recovery.import_candidates import import_candidates
from operations.recovery.probes import probe
from operations.recovery.program_preview import PROVIDER, Preview, known_inputs, previewed
from operations.recovery.refusals import CANDIDATES_UNREADABLE
from operations.recovery.trial_stack import TrialStack
from operations.terminal import fail, say

PROGRAM_PROPERTIES = (
    "dependencies",
    "propertyDependencies",
    "additionalSecretOutputs",
    "retainOnDelete",
    "protect",
)
"""What the engine takes from the program for each resource, and no cloud returns."""
TAG_PROPERTIES = ("effectiveLabels", "tagsAll", "labels", "tags")
"""The properties that can have a resource's tags; a later one wins."""


@dataclass(frozen=True)
class ImportResult:
    """The result of an import."""

    steps: list[Step]
    """The steps of the last preview: what the program would still change."""
    imported: list[str]
    """The URNs of the resources that were found, and are in the state now."""


def import_resources(trial: TrialStack, config: StackConfig) -> ImportResult:
    """Import everything that the program would create and that exists.

    Leaves with a reason when the cloud does not answer, or when several resources may be one.
    """
    rounds = _ImportRounds(trial, config, trial.export())
    while rounds.run_round():
        pass
    if rounds.imported:
        deployment = in_program_order(rounds.state["deployment"], rounds.preview.steps)
        trial.import_state(rounds.state | {"deployment": deployment})
    return ImportResult(rounds.preview.steps, rounds.imported)


@dataclass
class _ImportRounds:
    """What the rounds of an import share."""

    trial: TrialStack
    config: StackConfig
    state: dict[str, Any]
    preview: Preview = field(init=False)
    """The preview of the last round."""
    imported: list[str] = field(default_factory=list)
    """The URNs of what was found so far."""
    probed: set[tuple[str, str]] = field(default_factory=set)
    """URN and id of each candidate so far: none is read twice."""
    discovered: list[DiscoveredResource] | None = None
    """What exists with the stack's tags; None until it is needed for the first time."""

    def run_round(self) -> bool:
        """Run one round: whether it has found something, so that the next preview knows more."""
        self.preview = previewed(self.trial)
        missing = self.preview.missing
        if not missing:
            return False
        deployment = with_providers_and_components(self.state.get("deployment") or {}, self.preview)
        candidates = self._new_candidates(missing, deployment)
        if not candidates:
            return False
        say(
            f"reading {len(candidates)} of the {len(missing)} resources that are not in the state from the cloud"
        )
        state, found = probe(
            self.trial, self.state | {"deployment": deployment}, candidates, CANDIDATES_UNREADABLE
        )
        deployment, own = without_foreign_resources(state["deployment"], found, candidates)
        self.state = state | {"deployment": with_existing_key(deployment, missing)}
        self.trial.import_state(self.state)
        self.imported += own
        return bool(own)

    def _new_candidates(
        self, missing: Sequence[Resource], deployment: Deployment
    ) -> list[Resource]:
        """The candidates that no former round has read."""
        if self.discovered is None and any(map(autonamed_input, missing)):
            self.discovered = _discovered(self.config, self.trial.name, deployment, missing)
        candidates = [
            each
            for each in import_candidates(missing, self.discovered or (), deployment)
            if (each["urn"], each["id"]) not in self.probed
        ]
        self.probed |= {(each["urn"], each["id"]) for each in candidates}
        return candidates


def _discovered(
    config: StackConfig, stack: str, deployment: Deployment, missing: Collection[Resource]
) -> list[DiscoveredResource]:
    """The resources with the stack's tags; refused if the credentials lead to another account than the program's."""
    own_account = guards.recorded_account(deployment["resources"]) or ""
    if own_account:
        guards.refuse(account.credential_refusals(config, own_account))
    try:
        return discovery.discovered_resources(config, stack, own_account, missing)
    except Exception as error:  # each cloud's client has its own
        fail(
            f"Refused: the resources in {own_account} cannot be listed: {error}. Nothing was changed. Run the same"
            " command again with credentials that may list them (docs/design/recovery.md, What `make adopt` does)."
        )


def with_providers_and_components(deployment: Deployment, preview: Preview) -> Deployment:
    """The deployment with the providers and components of the preview, which exist in no cloud."""
    resources = list(deployment.get("resources") or ())
    known = {each["urn"] for each in resources}
    for each in preview.providers:
        if each["urn"] not in known:
            inputs = known_inputs(each["inputs"])
            resources.append({**each, "id": str(uuid.uuid4()), "inputs": inputs, "outputs": inputs})
    for each in preview.created:
        if not each.get("custom") and each["urn"] not in known:
            resources.append({**each, "outputs": {}})
    return {**deployment, "resources": resources}


def without_foreign_resources(
    deployment: Deployment, found: Collection[str], candidates: Iterable[Resource]
) -> tuple[Deployment, list[str]]:
    """The deployment without found resources that have another stack's tags; and the URNs of the others.

    Names that the platform chooses can belong to another stack: an endpoint's, of a stack with the same name.
    """
    wanted_inputs = {each["urn"]: each["inputs"] for each in candidates}
    foreign = set()
    for each in deployment["resources"]:
        wanted_tags = _tags(wanted_inputs.get(each["urn"], {}))
        wanted_tags = {key: value for key, value in wanted_tags.items() if key in PLATFORM_TAGS}
        tags = _tags(each.get("inputs") or {}) | _tags(each.get("outputs") or {})
        if each["urn"] in found and not has_tags(tags, wanted_tags):
            say(f"{each['id']} exists, and does not belong to this stack: its tags are {tags}")
            foreign.add(each["urn"])
    if not foreign:
        return deployment, list(found)
    resources = [each for each in deployment["resources"] if each["urn"] not in foreign]
    known = {each["urn"] for each in resources}
    resources = [with_known_dependencies(each, known) for each in resources]
    return {**deployment, "resources": resources}, [urn for urn in found if urn not in foreign]


def _tags(properties: Mapping[str, Any]) -> dict[str, Any]:
    tags: dict[str, Any] = {}
    for name in TAG_PROPERTIES:
        if isinstance(properties.get(name), dict):
            tags |= properties[name]
    return tags


def in_program_order(deployment: Deployment, steps: Iterable[Step]) -> Deployment:
    """The deployment in the program's order, with what only the program knows: the dependencies.

    Then what a late round has found is before what depends on it, and the stack can be destroyed at once.
    """
    resources: list[Resource] = deployment["resources"]
    known = {each["urn"] for each in resources}
    ordered = [each for each in resources if each["type"].startswith(PROVIDER)]
    # A replacement has several steps: the last one counts.
    new_states = {each["urn"]: each["newState"] for each in steps if each.get("newState")}
    for urn, new in new_states.items():
        properties = {name: new[name] for name in PROGRAM_PROPERTIES if name in new}
        ordered += [
            with_known_dependencies({**each, **properties}, known)
            for each in resources
            if each["urn"] == urn and not each.get("delete")
        ]
    in_order = {each["urn"] for each in ordered}
    rest = [each for each in resources if each["urn"] not in in_order or each.get("delete")]
    return {**deployment, "resources": [*ordered, *rest]}
