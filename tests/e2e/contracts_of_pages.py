"""Contracts for the tests of the gateway's page: those of the examples, and one with every type of field."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from config.model_contract import checked_document

EXAMPLES = Path(__file__).parents[1] / "contracts"


def picture(width: int, height: int, form: str = "PNG") -> bytes:
    """An image with more than one colour."""
    content = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(content, form)
    return content.getvalue()


def _every_type() -> dict[str, Any]:
    photo = base64.b64encode(picture(12, 8)).decode()
    return {
        "name": "every-type",
        "title": "Every type of field at once",
        "question": "What does the network make of it?",
        "fields": [
            {"name": "income", "type": "number", "minimum": 0, "unit": "€"},
            {"name": "children", "type": "integer", "minimum": -1, "maximum": 20},
            {"name": "member", "type": "boolean"},
            # A label is a text, whatever it looks like.
            {
                "name": "plan",
                "type": "category",
                "label": "</script><img src=x>",
                "values": {"s": "small", "m": "medium", "l": "large"},
            },
            {"name": "review", "type": "text", "max_length": 1000},
            {"name": "motto", "type": "text", "max_length": 40},
            {"name": "day", "type": "date", "minimum": "2020-01-01"},
            {"name": "clock", "type": "time"},
            # Names of an ONNX graph are allowed.
            {"name": "seen.at:0", "type": "timestamp", "minimum": "2020-01-01T00:00:00Z"},
            {"name": "embedding", "type": "vector", "length": 4, "minimum": -1, "maximum": 1},
            {
                "name": "photo",
                "type": "image",
                "width": 224,
                "height": 160,
                "mode": "rgb",
                "max_bytes": 2**19,
            },
            {
                "name": "sign",
                "type": "image",
                "max_bytes": 2**19,
                "width": 28,
                "height": 28,
                "mode": "grayscale",
                "required": False,
            },
            {"name": "vip", "type": "boolean", "required": False},
        ],
        "answer": {"kind": "tensors"},
        "example": {
            "income": 1234.5,
            "children": 2,
            "member": False,
            "plan": "m",
            "review": "A fine product.\nBought twice. ",
            "motto": " Onwards ",
            "day": "2026-11-28",
            "clock": "07:30",
            "seen.at:0": "2026-11-28T08:00:00.25+05:30",
            "embedding": [0.5, -1, 0.25, 1e-7],
            "photo": photo,
            "sign": photo,
        },
    }


CONTRACTS = {
    document["name"]: dict(checked_document(document, "contract"))
    for document in [
        *(json.loads(f.read_text()) for f in sorted(EXAMPLES.glob("*.json"))),
        _every_type(),
    ]
}
