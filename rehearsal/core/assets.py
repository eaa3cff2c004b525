"""Assets and archives in the engine's wire form, and their content."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from rehearsal.core.records import Json, Refusal
from rehearsal.core.settings import project_folder

# The wire form of assets: https://github.com/pulumi/pulumi/blob/master/sdk/python/lib/pulumi/runtime/rpc.py
SIGNATURE = "4dabf18193072939515e22adb298388d"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"


def _file(path: str) -> Path:
    """The file or folder of an asset; a relative path counts from the program's folder."""
    found = project_folder() / path
    if not found.exists():
        raise Refusal("AssetNotFound", f"{path} does not exist (looked for {found})")
    return found


def asset_bytes(value: Json) -> bytes:
    """The content of a file, string or remote asset."""
    if "text" in value:
        return str(value["text"]).encode()
    if "path" in value:
        return _file(value["path"]).read_bytes()
    raise Refusal("AssetNotSupported", f"the rehearsal does not download {value.get('uri')}")


def archive_bytes(value: Json) -> bytes:
    """The content of an archive: the file itself if it is one, else a zip of the listed files."""
    if "path" in value and (file := _file(value["path"])).is_file():
        return file.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in sorted(archive_entries(value)):
            zipped.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def content_bytes(inputs: Json) -> bytes:
    """The content of an object: the inputs of AWS and Google name it in the same way."""
    source = inputs.get("source")
    if source is not None:
        return archive_bytes(source) if source.get(SIGNATURE) == ARCHIVE else asset_bytes(source)
    if text := inputs.get("contentBase64"):
        return base64.b64decode(text)
    return str(inputs.get("content", "")).encode()


def archive_entries(value: Json) -> Iterator[tuple[str, bytes]]:
    """Every file of an archive with its path inside it."""
    if "path" in value and (root := _file(value["path"])).is_dir():
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            yield file.relative_to(root).as_posix(), file.read_bytes()
    elif "path" in value:
        with zipfile.ZipFile(root) as zipped:
            for name in zipped.namelist():
                yield name, zipped.read(name)
    elif "assets" in value:
        for name, part in value["assets"].items():
            if part[SIGNATURE] == ASSET:
                yield name, asset_bytes(part)
            else:
                for inner, content in archive_entries(part):
                    yield f"{name}/{inner}", content
    else:
        raise Refusal("AssetNotSupported", f"the rehearsal does not download {value.get('uri')}")
