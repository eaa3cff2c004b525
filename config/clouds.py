"""The three clouds: the word in the stack file, the name in messages, the key of the region, and the provider."""

from __future__ import annotations

from typing import Literal

Cloud = Literal["aws", "gcp", "azure"]
CLOUD_NAMES = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
REGION_KEYS = {"aws": "aws:region", "gcp": "gcp:region", "azure": "azure-native:location"}
PACKAGES = {cloud: key.partition(":")[0] for cloud, key in REGION_KEYS.items()}
"""The package of each cloud's provider: the beginning of its settings and of its types."""
