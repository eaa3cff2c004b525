"""The three clouds by the word that the stack file uses, and their names for people."""

from __future__ import annotations

from typing import Literal

Cloud = Literal["aws", "gcp", "azure"]
CLOUD_NAMES = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
REGION_KEYS = {"aws": "aws:region", "gcp": "gcp:region", "azure": "azure-native:location"}
