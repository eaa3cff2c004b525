"""The width and height that a PNG or a JPEG says it has, from its header: no pixel is decoded here."""

from __future__ import annotations

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
MAX_PIXELS = 2**22
"""Of an image. The model server has the same limits before it decodes."""
MAX_PIXELS_OF_REQUEST = 2**25
"""Of all images of a request."""

# The markers that begin a frame, and so have its size: ITU T.81, table B.1. C4, C8 and CC are none of them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def size(content: bytes) -> tuple[int, int] | None:
    """Width and height; None if these bytes are neither format, or end before the size."""
    if content.startswith(PNG):
        # The first chunk is IHDR: https://www.w3.org/TR/png-3/#11IHDR
        if content[12:16] != b"IHDR" or len(content) < 24:
            return None
        return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    return _jpeg_size(content) if content.startswith(JPEG) else None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """From the first frame header. Each segment before it is skipped by its length."""
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker in _FRAMES:
            height, width = content[at + 5 : at + 7], content[at + 7 : at + 9]
            return int.from_bytes(width), int.from_bytes(height)
        else:
            at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4]))
    return None
