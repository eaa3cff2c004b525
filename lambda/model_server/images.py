"""Images of requests: PNG or JPEG in base64, brought to the size and the values that a model was trained on.

Training may use the same code (`Form.scaled`), so that a model sees in a request what it saw in its data. Nothing of an image
is decoded before its format and its size, from its header, are within the limits.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from model_server.defects import BadValue

MAX_SIDE = 4096
"""Pixels. An image of this size takes 64 MiB while it is decoded."""
MAX_BYTES = 2**20
"""Of an image in its format, for a field without ``max_bytes``."""
FORMATS = ("PNG", "JPEG")
Image.MAX_IMAGE_PIXELS = None
"""Pillow's own limit has no message for a caller. `MAX_SIDE` is stricter, and counts as early: before a pixel is decoded."""
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 2**20
"""Of a PNG's texts and profiles, which nothing here reads. Pillow's own limit is 64 MiB."""


@dataclass(frozen=True)
class Form:
    """What a model gets for an image."""

    width: int
    height: int
    mode: Literal["grayscale", "rgb"]
    maximum: float = 1.0
    """The value of white."""
    inverted: bool = False
    """Requests show dark on light, and the model learned light on dark."""
    max_bytes: int = MAX_BYTES

    @classmethod
    def of(cls, field: Mapping[str, Any]) -> Self:
        """The form that a field of a contract has."""
        return cls(**{name: field[name] for name in cls.__dataclass_fields__ if name in field})

    @property
    def channels(self) -> int:
        """Numbers of a pixel."""
        return 3 if self.mode == "rgb" else 1

    @property
    def size(self) -> int:
        """Numbers of an image."""
        return self.width * self.height * self.channels

    def numbers(self, value: Any) -> NDArray[np.float32]:
        """The image in base64 as height × width × channels, flat. Raises BadValue."""
        return self.scaled(self._decoded(value)).ravel()

    def scaled(self, image: Image.Image) -> NDArray[np.float32]:
        """An image of any size and mode as the model gets it: height × width × channels."""
        mode = "RGB" if self.mode == "rgb" else "L"
        plain = _without_transparency(ImageOps.exif_transpose(image)).convert(mode)
        # A pixel of a smaller image is the mean of what it covers, so that thin lines do not vanish.
        larger = self.width > plain.width or self.height > plain.height
        filter_ = Image.Resampling.BILINEAR if larger else Image.Resampling.BOX
        small = plain.resize((self.width, self.height), filter_)
        pixels = np.asarray(small, np.float32) * np.float32(self.maximum / 255)
        pixels = np.float32(self.maximum) - pixels if self.inverted else pixels
        return pixels.reshape(self.height, self.width, self.channels)

    def _decoded(self, value: Any) -> Image.Image:
        if not isinstance(value, str):
            raise TypeError
        if len(value) > self.max_bytes * 4 // 3 + 4:
            raise BadValue(f"has {len(value) * 3 // 4} bytes; an image may have {self.max_bytes}")
        try:
            content = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise BadValue("is not base64; it should be a PNG or JPEG in base64") from None
        if len(content) > self.max_bytes:
            raise BadValue(f"has {len(content)} bytes; an image may have {self.max_bytes}")
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        except Exception:  # as below
            raise BadValue("is no image that can be read; it should be a PNG or JPEG") from None
        if max(image.size) > MAX_SIDE:
            size = f"{image.width} × {image.height}"
            raise BadValue(f"has {size} pixels; it may have {MAX_SIDE} × {MAX_SIDE}")
        try:
            image.load()
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
            raise BadValue(f"is a damaged {image.format}: {error!s:.80}") from None
        return image


def _without_transparency(image: Image.Image) -> Image.Image:
    """On white, as a page shows it."""
    if image.mode.startswith("I"):  # 16 bits, which `convert` would cut off at 255
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    return image
