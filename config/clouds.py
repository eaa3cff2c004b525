"""The three clouds: the word in the stack file, the name in messages, and the key of the region."""

from __future__ import annotations

from typing import Literal

Cloud = Literal["aws", "gcp", "azure"]
CLOUD_NAMES = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
REGION_KEYS = {"aws": "aws:region", "gcp": "gcp:region", "azure": "azure-native:location"}
