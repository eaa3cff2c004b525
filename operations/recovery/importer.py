"""Put into a state what the program would create and what stands already, until nothing more is found.

A preview says what would be created, and with which inputs. From those an id follows, or a name whose end
is Pulumi's own, which is then looked for in the cloud (`operations.recovery.discovery`). What is found makes more inputs
known to the next preview: a role before its policies, a resource group before what is inside a vault in it.
They are read from the cloud by probes (`operations.recovery.probes`). Nothing is guessed: where several things may be one resource, all of them are named.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.resource_type import DYNAMIC, RANDOM_KEY
from components.resource_types import RESOURCE_TYPES
from config.schema import StackConfig
from config.tags import PLATFORM_TAGS
from operations.engine import account, guards
from operations.engine.previews import Step
from operations.engine.wire import SECRET, SIGNATURE, UNKNOWN_STRINGS
from operations.recovery import discovery
from operations.recovery.physical_ids import Resource, facts, physical_id
from operations.recovery.probes import probe, with_known_dependencies
from operations.recovery.trial_stack import TrialStack
from operations.terminal import fail, say

HIDDEN = "[secret]"
"""What a preview shows for one."""
NEW_KEY = "new-key"
"""The word that allows the gateway another key, when the one in force cannot be read: ``ALLOW=new-key``."""
PROVIDER = "pulumi:providers:"
IN_VAULT = "azure-native:keyvault:Secret"
TOLD = (
    "dependencies",
    "propertyDependencies",
    "additionalSecretOutputs",
    "retainOnDelete",
    "protect",
)
"""What the engine takes from the program for each resource, and no cloud can tell."""
MARKED = ("effectiveLabels", "tagsAll", "labels", "tags")
"""The outputs in which a resource's tags may be."""
UNREAD = (
    "Refused: the cloud did not tell whether {names} stand; its reason is above. Nothing was changed."
    " Run the same command again with credentials that may read them."
)


@dataclass
class Claimed:
    """What came of it."""

    steps: list[Step] = field(default_factory=list)
    """Of the last preview: what the program would still change."""
    found: list[str] = field(default_factory=list)
    """URNs of what was found, and is in the state now."""


def claim(tried: TrialStack, config: StackConfig) -> Claimed:
    """Look for everything that the program would create, and keep in the state what stands.

    Leaves with a reason when the cloud cannot be asked, or has several things for one resource.
    """
    claimed = Claimed()
    sought: set[tuple[str, str]] = set()
    things: list[discovery.Thing] | None = None
    state = tried.export()
    while True:
        claimed.steps, log = _previewed(tried)
        created = [each["newState"] for each in claimed.steps if each["op"] == "create"]
        wanted = [
            each for each in created if each.get("custom") and not each["type"].startswith(PROVIDER)
        ]
        if not wanted:
            break
        deployment = founded(state.get("deployment") or {}, created, log)
        if things is None and any(map(discovery.autonamed, wanted)):
            things = _standing(config, tried.name, deployment, wanted)
        asked = [
            each
            for each in candidates(wanted, things or (), deployment)
            if (each["urn"], each["id"]) not in sought
        ]
        if not asked:
            break
        sought |= {(each["urn"], each["id"]) for each in asked}
        say(
            f"asking the cloud for {len(asked)} of the {len(wanted)} things that are not in the state"
        )
        state, found = probe(tried, state | {"deployment": deployment}, asked, UNREAD)
        found = own(state["deployment"], found, asked)
        keep_key(state["deployment"], wanted)
        tried.import_state(state)
        claimed.found += found
        if not found:
            break
    if claimed.found:
        tried.import_state(state | {"deployment": woven(state["deployment"], claimed.steps)})
    return claimed


def _previewed(tried: TrialStack) -> tuple[list[Step], str]:
    """A preview's steps, those that change nothing among them, and its events.

    The file of the events is gone again at once: in the Python SDK's own words a secret is not hidden.
    """
    log = tried.folder / "preview.json"
    try:
        return tried.steps("preview", "--show-sames", "--event-log", str(log)), log.read_text()
    finally:
        log.unlink(missing_ok=True)


def _standing(
    config: StackConfig, stack: str, deployment: dict[str, Any], wanted: Collection[Resource]
) -> list[discovery.Thing]:
    """The census, asked with credentials that lead where the program's do."""
    here = guards.recorded_account(deployment["resources"]) or ""
    guards.refuse(guards.accounts_differ(here, account.current_account(config, here)))
    try:
        return discovery.standing(config, stack, here, wanted)
    except Exception as error:  # each cloud's client has its own
        fail(
            f"Refused: what stands in {here} cannot be listed: {error}. Nothing was changed. Run the same"
            " command again with credentials that may list it (docs/design/recovery.md, What `make adopt` does)."
        )


def founded(deployment: dict[str, Any], created: Iterable[Resource], log: str) -> dict[str, Any]:
    """The deployment with the providers and components that the preview would create: no cloud has those.

    ``log``: the preview's events, which alone show the providers that a program does not name itself.
    """
    resources = list(deployment.get("resources") or ())
    known = {each["urn"] for each in resources}
    for line in log.splitlines():
        new = json.loads(line).get("resourcePreEvent", {}).get("metadata", {}).get("new") or {}
        if new.get("type", "").startswith(PROVIDER) and new["urn"] not in known:
            known.add(new["urn"])
            inputs = dict(_shown(new["inputs"]))
            resources.append({**new, "id": str(uuid.uuid4()), "inputs": inputs, "outputs": inputs})
    for each in created:
        if not each.get("custom") and each["urn"] not in known:
            known.add(each["urn"])
            resources.append({**each, "outputs": {}})
    return {**deployment, "resources": resources}


def _shown(inputs: Mapping[str, Any], made_up: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """The inputs that a preview knows: nothing that is unknown or hidden in it, or holds a made-up name."""
    for name, value in inputs.items():
        text = json.dumps(value)
        if not any(each in text for each in (HIDDEN, *UNKNOWN_STRINGS, *made_up)):
            yield name, value


def candidates(
    wanted: Sequence[Resource], things: Sequence[discovery.Thing], deployment: dict[str, Any]
) -> list[Resource]:
    """What is wanted and may stand, with the names that it has there, in the order of the program.

    Leaves with all names when several things may be one resource, and ``ALLOW`` names none of them.
    """
    resources = deployment["resources"]
    ids = {each["urn"]: each["id"] for each in resources if each.get("id")}
    held = {
        (each["type"], value)
        for each in resources
        for value in (each.get("inputs") or {}).values()
        if isinstance(value, str)
    }
    free = [each for each in things if (each.type, each.name) not in held]
    # A name that this very preview has made up is nobody's.
    made_up = {each["inputs"][name] for each in wanted if (name := discovery.autonamed(each))}
    asked, doubts = [], []
    for each in wanted:
        inputs = dict(_shown(each["inputs"], made_up))
        provider = each["provider"].rpartition("::")[0]
        known = {**each, "inputs": inputs, "provider": f"{provider}::{ids.get(provider)}"}
        if name := discovery.autonamed(each):
            parts = discovery.parts(known, facts(known, resources))
            found = discovery.candidates(known, [*free, *parts])
            found = [one for one in found if one.name in guards.allowed()] or found
            if len(found) > 1:
                doubts.append((each, found))
            elif found:
                # At the place that it has among the inputs; a listing knows more than the preview.
                filled = {
                    key: found[0].name if key == name else inputs.get(key) for key in each["inputs"]
                }
                known["inputs"] = {k: v for k, v in filled.items() if v is not None} | dict(
                    found[0].inside
                )
                asked.append(known)
        elif not each["type"].startswith(DYNAMIC) or inputs.keys() == each["inputs"].keys():
            asked.append(known)
    guards.refuse([_doubt(*each) for each in doubts])
    return [{**each, "id": id_} for each in asked if (id_ := physical_id(each, resources))]


def _doubt(resource: Resource, found: Sequence[discovery.Thing]) -> str:
    name = resource["urn"].rsplit("::", 1)[-1]
    return (
        f"{len(found)} things may be {name} ({resource['type']}): {', '.join(map(str, found))}. All carry"
        " this stack's tags, so a replacement was cut short, or two platforms were made under one name."
        f" Nothing was changed. Choose one: ALLOW={found[0].name}; more of them with commas between"
    )


def own(deployment: dict[str, Any], found: Sequence[str], asked: Iterable[Resource]) -> list[str]:
    """Those of ``found`` that carry the tags they should; what others made is taken out of the deployment.

    Names that the platform chose may be another's: an endpoint's of a stack with this one's name.
    """
    wanted = {each["urn"]: each["inputs"] for each in asked}
    strangers = set()
    for each in deployment["resources"]:
        inputs = wanted.get(each["urn"], {})
        tags = {k: v for k, v in _tags(inputs).items() if k in PLATFORM_TAGS}
        there = _tags(each.get("inputs") or {}) | _tags(each.get("outputs") or {})
        if each["urn"] in found and not discovery.carries(there, tags):
            say(f"{each['id']} stands, and is not this stack's: its tags are {there}")
            strangers.add(each["urn"])
    left = [each for each in deployment["resources"] if each["urn"] not in strangers]
    known = {each["urn"] for each in left}
    deployment["resources"] = (
        [with_known_dependencies(each, known) for each in left] if strangers else left
    )
    return [urn for urn in found if urn not in strangers]


def _tags(properties: Mapping[str, Any]) -> dict[str, Any]:
    marked = (properties.get(name) for name in MARKED)
    return {key: value for tags in marked if isinstance(tags, dict) for key, value in tags.items()}


def keep_key(deployment: dict[str, Any], wanted: Iterable[Resource]) -> None:
    """Give the random key the value of the secret beside it, once that is found.

    Made anew, it would become the secret's next version, and callers would be refused with the one they have.
    Which rotation it was made in is not told by any cloud: it is taken to be the program's.
    """
    resources = deployment["resources"]
    for each in wanted:
        if each["type"] != RANDOM_KEY or each["urn"] in {one["urn"] for one in resources}:
            continue
        for place, secret in enumerate(resources):
            if secret.get("parent") == each["parent"] and (value := _value(secret)):
                inputs = dict(_shown(each["inputs"]))
                provider = each["provider"].rpartition("::")[0]
                id_ = next(one["id"] for one in resources if one["urn"] == provider)
                key = {
                    **each,
                    "id": str(uuid.uuid4()),
                    "inputs": inputs,
                    "outputs": {**inputs, "value": value},
                    "provider": f"{provider}::{id_}",
                }
                resources.insert(place, key)
                break


def _value(secret: Resource) -> dict[str, Any] | None:
    """The value of a secret as a state has it, encrypted, or to be encrypted with the state."""
    type_ = RESOURCE_TYPES.get(secret["type"])
    if type_ and type_.secret_output:
        value = secret["outputs"].get(type_.secret_output)
        return value if isinstance(value, dict) and SIGNATURE in value else None
    if secret["type"] != IN_VAULT:
        return None
    try:
        value = discovery.key_in_vault(secret["outputs"]["properties"])
    except Exception as error:  # the vault's refusal, or that it is not reached
        if NEW_KEY in guards.allowed():
            return None
        fail(
            f"Refused: the gateway's key is in {secret['id']}, and cannot be read there: {error}. Without it"
            " the next update would make another, and callers would be refused with the one they have."
            " Nothing was changed. Give yourself the role Key Vault Secrets User on it, wait some minutes, run"
            f" the same command again; or have another key: ALLOW={NEW_KEY}"
        )
    hidden = {SIGNATURE: SECRET, "plaintext": json.dumps(value)}
    # So the program finds it there, and does not write it again, which would be another version of it.
    secret["inputs"]["properties"] = {**secret["inputs"].get("properties", {}), "value": hidden}
    return hidden


def woven(deployment: dict[str, Any], steps: Iterable[Step]) -> dict[str, Any]:
    """The deployment in the program's order, and with what only the program knows: what depends on what.

    So what was found in the last round stands before what depends on it, and a destroy may follow at once.
    """
    resources: list[Resource] = deployment["resources"]
    told = {each["urn"]: each["newState"] for each in steps if each.get("newState")}
    first = [each for each in resources if each["type"].startswith(PROVIDER)]
    known = {each["urn"] for each in resources}
    for urn, new in told.items():
        for each in resources:
            if each["urn"] == urn and not each.get("delete"):
                each.update({name: new[name] for name in TOLD if name in new})
                first.append(with_known_dependencies(each, known))
    rest = [
        each
        for each in resources
        if each["urn"] not in {one["urn"] for one in first} or each.get("delete")
    ]
    return {**deployment, "resources": [*first, *rest]}
