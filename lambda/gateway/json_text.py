"""JSON without blanks, by one encoder for all: `json.dumps` makes one for each call that has an option."""

from __future__ import annotations

import json

json_text = json.JSONEncoder(separators=(",", ":")).encode
