"""The ids of a Vertex AI model and a deployment, made of what each is.

So an upload or a deployment that was interrupted is found again, and a replacement never has the id of what it
replaces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from components import names

MODEL_INPUTS = frozenset({"project", "region", "display_name", "image", "artifact_uri"})
"""The inputs that a model's name is made of."""
DEPLOYMENT_INPUTS = frozenset({"endpoint", "model", "region", "machine", "service_account"})
"""The inputs that a deployment cannot change, and that its id is made of."""


def model_name(props: Mapping[str, Any]) -> str:
    """The resource name of the model with these inputs."""
    content = hashlib.sha256(f"{props['image']} {props['artifact_uri']}".encode())
    return (
        f"projects/{props['project']}/locations/{props['region']}/models/"
        f"{names.short(props['display_name'], 40)}-{content.hexdigest()[:16]}"
    )


def deployment_id(props: Mapping[str, Any]) -> str:
    """The id of the deployment with these inputs."""
    return names.numeric_id(*(str(props[key]) for key in sorted(DEPLOYMENT_INPUTS)))
