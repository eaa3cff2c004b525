"""Take the gateway's key over from the cloud's secret store, where the last copy of it is.

The key is a random value, and a dynamic resource that exists in the state only. Created again, it would become the
secret's next version, and the gateway would refuse every caller. So once the secret is found, the key is put into
the state with the secret's value. No cloud reports the rotation in which the key was created: it is taken to be the
program's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

from components.resource_type import RANDOM_KEY
from components.resource_types import RESOURCE_TYPES
from operations.engine import guards
from operations.engine.resources import Resource
from operations.engine.wire import SECRET, SIGNATURE
from operations.recovery.deployment import Deployment, provider_urn
from operations.recovery.program_preview import known_inputs
from operations.recovery.queries import azure
from operations.terminal import fail

ALLOW_NEW_KEY = "new-key"
"""The word that allows another key, when the existing one cannot be read: ``ALLOW=new-key``."""
VAULT_SECRET = "azure-native:keyvault:Secret"  # noqa: S105


def with_existing_key(deployment: Deployment, missing: Iterable[Resource]) -> Deployment:
    """The deployment in which a missing key has the value of the secret beside it, once that is found."""
    resources = list(deployment["resources"])
    known = {each["urn"] for each in resources}
    for key in missing:
        if key["type"] == RANDOM_KEY and key["urn"] not in known:
            _insert_key(resources, key)
    return {**deployment, "resources": resources}


def _insert_key(resources: list[Resource], key: Resource) -> None:
    """Put the key before the secret of the same component; nothing without a value."""
    for place, secret in enumerate(resources):
        if secret.get("parent") == key["parent"] and (value := _secret_value(secret)):
            if secret["type"] == VAULT_SECRET:
                resources[place] = _with_value(secret, value)
            resources.insert(place, key_resource(key, value, resources))
            return


def key_resource(key: Resource, value: dict[str, Any], resources: Iterable[Resource]) -> Resource:
    """The key as a state has it, with this value, below the provider that is among the resources."""
    inputs, provider = known_inputs(key["inputs"]), provider_urn(key)
    provider_id = next(each["id"] for each in resources if each["urn"] == provider)
    return {
        **key,
        "id": str(uuid.uuid4()),
        "inputs": inputs,
        "outputs": {**inputs, "value": value},
        "provider": f"{provider}::{provider_id}",
    }


def _secret_value(secret: Resource) -> dict[str, Any] | None:
    """The value of a secret in the form of a state: encrypted, or to be encrypted with the state."""
    if secret["type"] == VAULT_SECRET:
        return _value_in_vault(secret)
    type_ = RESOURCE_TYPES.get(secret["type"])
    if type_ is None or type_.secret_output is None:
        return None
    value = secret["outputs"].get(type_.secret_output)
    return value if isinstance(value, dict) and SIGNATURE in value else None


def _value_in_vault(secret: Resource) -> dict[str, Any] | None:
    """The value that Azure's vault returns; None if another key is allowed."""
    try:
        value = azure.secret_value(secret["outputs"]["properties"])
    except Exception as error:  # the vault refuses, or is not reachable
        if ALLOW_NEW_KEY in guards.allowed():
            return None
        fail(
            f"Refused: the gateway's key is in {secret['id']}, and cannot be read there: {error}. Without it the"
            " next update would create another key, and refuse callers with the existing one. Nothing was"
            " changed. Give yourself the role Key Vault Secrets User on it, wait some minutes, and run the same"
            f" command again; or accept another key: ALLOW={ALLOW_NEW_KEY}"
        )
    return {SIGNATURE: SECRET, "plaintext": json.dumps(value)}


def _with_value(secret: Resource, value: dict[str, Any]) -> Resource:
    """The secret with its value as an input, so that the next update sees no change and writes no version."""
    properties = {**secret["inputs"].get("properties", {}), "value": value}
    return {**secret, "inputs": {**secret["inputs"], "properties": properties}}
