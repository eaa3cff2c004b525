"""Images of requests: what a model gets of them, and what is refused before anything is decoded."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import struct
import threading
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.defects import BadInstance, BadValue
from model_server.images import MAX_PIXELS, MAX_PIXELS_OF_REQUEST, Form, refuse_too_many_pixels
from PIL import Image

from tests.model_folders import contract

ROOT = Path(__file__).resolve().parents[3]
GRAY = Form(width=2, height=2, mode="grayscale", maximum=255)
COLOUR = Form(width=1, height=1, mode="rgb", maximum=255)


def encoded(image: Image.Image, format_: str = "PNG", **options: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return base64.b64encode(stream.getvalue()).decode()


def square(*pixels: Any, mode: str = "L") -> Image.Image:
    side = int(len(pixels) ** 0.5)
    image = Image.new(mode, (side, side))
    image.putdata(pixels)
    return image


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int, rows: int) -> bytes:
    """A PNG whose header promises a size, with so many rows of black."""
    pixels = zlib.compress(bytes((width + 1) * rows), 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def test_an_image_of_the_models_size_is_unchanged() -> None:
    assert GRAY.numbers(encoded(square(0, 50, 100, 255))).tolist() == [0, 50, 100, 255]


def test_white_has_the_value_that_the_contract_names() -> None:
    half = Form(width=2, height=2, mode="grayscale", maximum=16)
    assert half.numbers(encoded(square(0, 255, 0, 255))).tolist() == [0, 16, 0, 16]
    assert Form(width=2, height=2, mode="grayscale").numbers(encoded(square(*[255] * 4))).max() == 1


def test_dark_on_light_is_turned_round_for_a_model_that_learned_light_on_dark() -> None:
    turned = Form(width=2, height=2, mode="grayscale", maximum=16, inverted=True)
    assert turned.numbers(encoded(square(0, 255, 255, 255))).tolist() == [16, 0, 0, 0]


def test_a_pixel_of_a_smaller_image_is_the_mean_of_what_it_covers() -> None:
    large = square(*([0] * 4 + [255] * 4) * 4, *[100] * 32)
    assert GRAY.numbers(encoded(large)).tolist() == [0, 255, 100, 100]
    thin = Image.new("L", (100, 100))
    thin.putpixel((3, 3), 250)
    thin.putpixel((3, 4), 250)
    assert GRAY.scaled(thin).sum() == 0  # 500 of 2,500 pixels' sum is less than a half
    for place in range(50):
        thin.putpixel((3, place), 255)
    assert GRAY.scaled(thin).ravel().tolist() == [5, 0, 0, 0]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (3, 3), (10, 200, 30)), [10, 200, 30]),
        (Image.new("RGBA", (3, 3), (10, 200, 30, 0)), [255, 255, 255]),
        (Image.new("LA", (3, 3), (0, 255)), [0, 0, 0]),
        (Image.new("P", (3, 3)), [0, 0, 0]),
        (Image.new("1", (3, 3), 1), [255, 255, 255]),
        (Image.fromarray(np.full((3, 3), 40_000, np.uint16)), [156, 156, 156]),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_kind_of_a_png_becomes_the_models_kind(
    image: Image.Image, expected: list[int]
) -> None:
    assert COLOUR.numbers(encoded(image)).tolist() == expected


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_is_read(mode: str) -> None:
    dark = Image.new(mode, (16, 16), {"L": 90, "RGB": (90, 90, 90), "CMYK": (0, 0, 0, 165)}[mode])
    assert np.abs(COLOUR.numbers(encoded(dark, "JPEG")) - 90).max() <= 3


def test_a_photo_of_a_turned_camera_stands_upright() -> None:
    photo = Image.new("L", (16, 8))
    photo.paste(255, (0, 0, 8, 8))
    turned = photo.getexif()
    turned[0x0112] = 6  # turn it a quarter clockwise to see it
    upright = Form(width=1, height=2, mode="grayscale", maximum=255)
    found = upright.numbers(encoded(photo, "JPEG", exif=turned))
    assert found[0] > 250 > 5 > found[1]


GOOD = base64.b64decode(encoded(Image.effect_noise((64, 64), 50)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no image that can be read; it should be a PNG or JPEG"),
        (b"hello", "is no image that can be read"),
        (base64.b64decode(encoded(Image.new("L", (9, 9)), "GIF")), "is no image that can be read"),
        (base64.b64decode(encoded(Image.new("L", (9, 9)), "BMP")), "is no image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image that can be read"),
        (GOOD[:8], "is no image that can be read"),
        (GOOD[:400], "is a damaged PNG: "),
        (GOOD[:300] + b"\xff" * 100 + GOOD[400:], "is a damaged PNG: "),
        (GOOD[:33] + chunk(b"eXIf", b"garbage!") + GOOD[33:], "is a damaged PNG: "),
        (GOOD[:33] + chunk(b"eXIf", b"II*\0") + GOOD[33:], "is a damaged PNG: "),
        (png_of(MAX_PIXELS // 2 + 1, 2, 1), "has 2097153 × 2 pixels; it may have 4,194,304 in all"),
        (png_of(2**31 - 1, 2**31 - 1, 0), "has 2147483647 × 2147483647 pixels"),
        (png_of(0, 0, 0), "is no image|has 0 × 0 pixels|is a damaged PNG"),
        (GOOD + bytes(2**20), "has 1[0-9]+ bytes; an image may have 1048576"),
    ],
)  # fmt: skip
def test_what_is_no_image_or_too_large_is_refused_with_the_reason(
    content: bytes, reason: str
) -> None:
    with pytest.raises(BadValue, match=reason):
        GRAY.numbers(base64.b64encode(content).decode())


def test_an_image_of_one_byte_too_many_is_refused() -> None:
    encoded_good = base64.b64encode(GOOD).decode()
    size = {"width": 2, "height": 2, "mode": "grayscale"}
    Form.of({**size, "max_bytes": len(GOOD)}).numbers(encoded_good)
    with pytest.raises(BadValue, match=f"has {len(GOOD)} bytes; an image may have"):
        Form.of({**size, "max_bytes": len(GOOD) - 1}).numbers(encoded_good)


JPEG = base64.b64decode(encoded(Image.effect_noise((64, 64), 50), "JPEG"))


CHUNKS = [
    "eXIf",
    "iCCP",
    "zTXt",
    "iTXt",
    "tRNS",
    "PLTE",
    "gAMA",
    "cHRM",
    "pHYs",
    "acTL",
    "fcTL",
    "sRGB",
]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(CHUNKS),
    data=st.one_of(
        st.binary(max_size=40),
        st.binary(max_size=40).map(lambda each: b"II*\0\x08\0\0\0" + each),
        st.binary(max_size=40).map(lambda each: b"name\0\0" + each),
    ),
)
def test_any_chunk_of_a_png_gives_numbers_or_a_reason(name: str, data: bytes) -> None:
    """With its right checksum, so that what reads it gets it."""
    content = GOOD[:33] + chunk(name.encode(), data) + GOOD[33:]
    with contextlib.suppress(BadValue):
        GRAY.numbers(base64.b64encode(content).decode())


@settings(max_examples=300, deadline=None)
@given(
    content=st.sampled_from([GOOD, JPEG]),
    changes=st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=8)), max_size=6),
    end=st.integers(0, 5000),
)
def test_any_damage_of_an_image_gives_numbers_or_a_reason(
    content: bytes, changes: list[tuple[int, bytes]], end: int
) -> None:
    damaged = bytearray(content)
    for place, written in changes:
        damaged[place : place + len(written)] = written
    with contextlib.suppress(BadValue):
        found = GRAY.numbers(base64.b64encode(damaged[:end]).decode())
        assert ((found >= 0) & (found <= 255)).all()


@pytest.mark.parametrize("value", ["data:image/png;base64,aaaa", "ä", "a", "====", "a" * 2_000_000])
def test_what_is_no_base64_is_refused(value: str) -> None:
    with pytest.raises(BadValue, match=r"is not base64|has 1500000 bytes"):
        GRAY.numbers(value)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    """20,000 times 20,000 pixels in some hundred kilobytes."""
    bomb = base64.b64encode(png_of(20_000, 20_000, 2000)).decode()
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(BadValue, match="has 20000 × 20000 pixels"):
        GRAY.numbers(bomb)
    assert time.perf_counter() - started < 0.5
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_the_images_of_a_request_have_a_limit_together_which_their_headers_tell() -> None:
    """A hundred of them are a few kilobytes, and seconds of work."""
    eighth = base64.b64encode(png_of(2048, 2048, 0)).decode()
    forms = {"front": GRAY, "back": COLOUR}
    assert MAX_PIXELS_OF_REQUEST == 8 * 2048 * 2048
    refuse_too_many_pixels(forms, [{"front": eighth, "back": eighth}] * 4)
    refuse_too_many_pixels(forms, [{"front": eighth}] * 8 + [{"back": "no image"}, 7])
    with pytest.raises(
        BadInstance,
        match=r"instances\[4\]\.front brings the images of the request to 37,748,736 pixels; together they may",
    ):
        refuse_too_many_pixels(forms, [{"front": eighth, "back": eighth}] * 5)


def test_images_are_decoded_two_at_a_time_whatever_the_number_of_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each takes up to 40 MiB, and a serverless container has 2 GiB."""
    at_once, most, lock = 0, 0, threading.Lock()
    scaled = Form.scaled

    def counted(form: Form, image: Image.Image) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        try:
            return scaled(form, image)
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(Form, "scaled", counted)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(GRAY.numbers, [base64.b64encode(GOOD).decode()] * 16))
    assert most == 2


def test_a_text_in_a_png_that_unpacks_to_megabytes_is_refused() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50 * 2**20), 9))
    with pytest.raises(BadValue, match=r"is no image that can be read|is a damaged PNG"):
        GRAY.numbers(base64.b64encode(GOOD[:33] + text + GOOD[33:]).decode())


def test_a_training_brings_its_pictures_to_the_models_form_by_the_lines_in_the_docs() -> None:
    page = (ROOT / "docs" / "reference" / "container.md").read_text()
    (lines,) = re.findall(r"```python\n(from model_server.*?)```", page, re.DOTALL)
    image = Image.new("L", (40, 20), 255)
    found: dict[str, Any] = {"contract": contract("digits"), "image": image}
    exec(lines, found)
    (field,) = contract("digits").document["fields"]
    assert (found["numbers"].ravel() == Form.of(field).scaled(image).ravel()).all()
    assert "pillow" in (ROOT / "lambda/training/requirements.in").read_text()
