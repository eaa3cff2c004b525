"""Property values between the engine's protocol and plain Python.

The special signatures are Pulumi's own:
https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/plugin/rpc.go
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import any_pb2, struct_pb2
from google.protobuf.message import Message

from rehearsal.core.assets import SIGNATURE

SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The signature that the engine sends for most unknown values, and that this module writes."""
UNKNOWN_STRINGS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        UNKNOWN_STRING,
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)

DEFAULTS = "__defaults"
"""The input in which a provider that is bridged from Terraform lists the inputs that it filled in. Nested objects have
one, too."""
CREATE_BEFORE_DELETE = "__createBeforeDelete"
"""The input in which azure-native notes that it has chosen a random name."""

STATUS_DETAILS = "grpc-status-details-bin"
"""The trailer in which an error of gRPC carries a message, as a serialized ``google.rpc.Status``."""
UNKNOWN_CODE = 2
"""``UNKNOWN`` among gRPC's codes, which the bridge's errors have."""

Path = tuple[str | int, ...]


class Unknown:
    """A value that a preview cannot know yet. There is one, `UNKNOWN`."""

    def __deepcopy__(self, _memo: object) -> Unknown:
        return self

    def __repr__(self) -> str:
        return "<not known yet>"


UNKNOWN = Unknown()


def decode(struct: struct_pb2.Struct, *, notes: bool = False) -> tuple[dict[str, Any], list[Path]]:
    """Plain values, with `UNKNOWN` for those that are not known, and the paths of the secret ones.

    Without ``notes`` the providers' own (`DEFAULTS`, ``__meta``) are left out.
    """
    secrets: list[Path] = []
    return {
        name: _decode(value, (name,), secrets, notes)
        for name, value in struct.fields.items()
        if notes or not name.startswith("__")
    }, secrets


def _decode(value: struct_pb2.Value, path: Path, secrets: list[Path], notes: bool) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            text = value.string_value
            return UNKNOWN if text in UNKNOWN_STRINGS else text
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            items = value.list_value.values
            return [
                _decode(item, (*path, index), secrets, notes) for index, item in enumerate(items)
            ]
        case "struct_value":
            fields = value.struct_value.fields
            if SIGNATURE in fields and fields[SIGNATURE].string_value == SECRET:
                secrets.append(path)
                return _decode(fields["value"], path, secrets, notes)
            return {
                name: _decode(inner, (*path, name), secrets, notes)
                for name, inner in fields.items()
                if notes or name != DEFAULTS
            }
        case _:
            return None


def encode(values: dict[str, Any], secrets: Iterable[Path] = ()) -> struct_pb2.Struct:
    """The wire form. Values at secret paths are wrapped, and the same values wherever else they occur."""
    paths = {tuple(path) for path in secrets}
    hidden = {text for path in paths if len(text := str(_at(values, path) or "")) > 3}
    struct = struct_pb2.Struct()
    struct.update({name: _encode(value, (name,), paths, hidden) for name, value in values.items()})
    return struct


def _encode(value: Any, path: Path, secrets: set[Path], hidden: set[str]) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_STRING
    if isinstance(value, dict):
        inner: Any = {k: _encode(v, (*path, k), secrets, hidden) for k, v in value.items()}
    elif isinstance(value, list):
        inner = [_encode(v, (*path, i), secrets, hidden) for i, v in enumerate(value)]
    else:
        inner = value
    if path in secrets or (isinstance(value, str) and value in hidden):
        return {SIGNATURE: SECRET, "value": inner}
    return inner


def _at(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def scrub(text: str, values: dict[str, Any], secrets: Iterable[Path]) -> str:
    """A message without the secret values that it may contain."""
    for path in secrets:
        found = _at(values, tuple(path))
        if isinstance(found, str) and found:
            text = text.replace(found, "[secret]")
    return text


def known_part(value: Any) -> Any:
    """The value without its unknown parts; `UNKNOWN` if all of it is unknown."""
    if isinstance(value, dict):
        return {k: known_part(v) for k, v in value.items() if v is not UNKNOWN}
    if isinstance(value, list):
        return [known_part(v) for v in value if v is not UNKNOWN]
    return value


def has_unknown(value: Any) -> bool:
    """Whether something in the value is not known yet."""
    if isinstance(value, dict):
        return any(has_unknown(inner) for inner in value.values())
    if isinstance(value, list):
        return any(has_unknown(inner) for inner in value)
    return value is UNKNOWN


def rpc_status(text: str, detail: Message) -> bytes:
    """A serialized ``google.rpc.Status`` with one detail.

    Written out, because the message's class would be the only use of another package.
    https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto
    """
    packed = any_pb2.Any()
    packed.Pack(detail)
    message, details = text.encode(), packed.SerializeToString()
    return b"".join(
        (
            bytes((1 << 3, UNKNOWN_CODE)),  # int32 code = 1
            bytes((2 << 3 | 2,)) + _varint(len(message)) + message,  # string message = 2
            bytes((3 << 3 | 2,)) + _varint(len(details)) + details,  # repeated Any details = 3
        )
    )


def _varint(number: int) -> bytes:
    """https://protobuf.dev/programming-guides/encoding/#varints"""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes((*found, number))
