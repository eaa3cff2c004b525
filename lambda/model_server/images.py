"""Images of requests: PNG or JPEG in base64, brought to the size and the values that a model was trained on.

Training may use the same code (`Form.scaled`), so that a model sees in a request what it saw in its data. Nothing of an image
is decoded before its format and its size, from its header, are within the limits.
"""

from __future__ import annotations

import base64
import binascii
import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from model_server.defects import BadInstance, BadValue

MAX_PIXELS = 2**22
"""Of an image, such as 2048 × 2048. One takes up to 40 MiB while it is decoded and scaled."""
MAX_PIXELS_OF_REQUEST = 2**25
"""Of all images of a request: less than a second of decoding. PNG packs a thousand pixels of one colour in a byte."""
DECODING = threading.Semaphore(2)
"""So many images are decoded at a time, whatever the number of requests: each has its own thread."""
MAX_BYTES = 2**20
"""Of an image in its format, for a field without ``max_bytes``."""
FORMATS = ("PNG", "JPEG")
ORIENTATION = ExifTags.Base.Orientation
Image.MAX_IMAGE_PIXELS = None
"""Pillow's own limit has no message for a caller. `MAX_PIXELS` is stricter, and counts as early: before a pixel is decoded."""
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
    def of(cls, field: object) -> Self:
        """The form of a field: of one in the contract document, or of a training's `Contract.fields`."""
        members = field if isinstance(field, Mapping) else vars(field)
        names = cls.__dataclass_fields__
        return cls(**{name: members[name] for name in names if members.get(name) is not None})

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
        image = self.opened(value)
        try:
            with DECODING:
                return self.scaled(image).ravel()
        # Pillow raises OSError, SyntaxError, ValueError, struct.error and others: for pixels, and for the camera's EXIF.
        except Exception as error:
            raise BadValue(f"is a damaged {image.format}: {error!s:.80}") from None

    def scaled(self, image: Image.Image) -> NDArray[np.float32]:
        """An image of any size and mode as the model gets it: height × width × channels."""
        mode = "RGB" if self.mode == "rgb" else "L"
        upright = (
            image if image.getexif().get(ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)
        )
        plain = _of_eight_bits(upright)
        # A pixel of a smaller image is the mean of what it covers, so that thin lines do not vanish.
        larger = self.width > plain.width or self.height > plain.height
        filter_ = Image.Resampling.BILINEAR if larger else Image.Resampling.BOX
        # Each step on the whole image takes memory as large: it is put on white when it has the model's size.
        transparent = plain.has_transparency_data
        small = plain.convert("RGBA" if transparent else mode)
        small = small.resize((self.width, self.height), filter_)
        if transparent:
            small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
            small = small.convert(mode)
        pixels = np.asarray(small, np.float32) * np.float32(self.maximum / 255)
        pixels = np.float32(self.maximum) - pixels if self.inverted else pixels
        return pixels.reshape(self.height, self.width, self.channels)

    def opened(self, value: Any) -> Image.Image:
        """The image in base64, of which only the header is read. Raises BadValue, and TypeError for what is no text."""
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
        except Exception:  # as above
            raise BadValue("is no image that can be read; it should be a PNG or JPEG") from None
        if image.width * image.height > MAX_PIXELS:
            size = f"{image.width} × {image.height}"
            raise BadValue(f"has {size} pixels; it may have {MAX_PIXELS:,} in all")
        return image


def refuse_too_many_pixels(forms: Mapping[str, Form], instances: Sequence[Any]) -> None:
    """Raise BadInstance where the images of a request, by their headers, have more pixels together than it may have.

    What is no image is passed over: who reads it has the reason.
    """
    if len(instances) * len(forms) * MAX_PIXELS <= MAX_PIXELS_OF_REQUEST:
        return
    pixels = 0
    for index, instance in enumerate(instances):
        for name, form in forms.items():
            try:
                image = form.opened(instance.get(name))
            except (AttributeError, BadValue, TypeError):
                continue
            pixels += image.width * image.height
            if pixels > MAX_PIXELS_OF_REQUEST:
                reason = f"brings the images of the request to {pixels:,} pixels"
                limit = f"together they may have {MAX_PIXELS_OF_REQUEST:,}"
                raise BadInstance(f"instances[{index}].{name} {reason}; {limit}")


def _of_eight_bits(image: Image.Image) -> Image.Image:
    """16 bits are what `convert` would cut off at 255."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image
