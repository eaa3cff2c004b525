"""What a resource type's rules look like: one small class a type, each citing where its rules come from.

A type without a class here still works: `rehearsal.provider.service.service` checks it against the installed SDK and
gives it outputs of the right shape. A `Kind` adds what the SDK cannot know: names, references, what
is refused while in use, and what really runs.
"""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from rehearsal.provider.context import World

Json = dict[str, Any]


class Refusal(Exception):
    """What the cloud would have answered instead of doing it: its own code, its own words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class CheckFailure(Exception):
    """An input that can be refused before anything is built; preview shows it beside the property."""

    def __init__(self, property: str, reason: str) -> None:
        super().__init__(f"{property}: {reason}")
        self.property = property
        self.reason = reason


class Inputs(dict[str, Any]):
    """A resource's inputs at check time, without the values that a preview cannot know yet.

    So what is absent may be unknown: look at `unknown` before refusing an absence.
    """

    def __init__(self, values: Mapping[str, Any], unknown: frozenset[str] = frozenset()) -> None:
        super().__init__(values)
        self.unknown = unknown
        """Top-level properties that are, or contain, values not known yet."""


@dataclass
class Record:
    """One resource as it stands. Wire names (camelCase), plain JSON, secrets unwrapped.

    Assets and archives stay in their wire form; `asset_bytes` and `archive_bytes` read them.
    """

    package: str
    """``aws``, ``gcp`` or ``azure-native``."""
    token: str
    id: str
    urn: str
    inputs: Json
    outputs: Json
    config: Json = field(default_factory=dict)
    """The provider's settings when it was created: ``region``; ``project``; ``location``…"""
    secrets: list[list[str | int]] = field(default_factory=list)
    """Paths of the inputs that came as secrets; the provider wraps them again on the way out."""
    created: float = 0.0
    """Seconds since the epoch."""

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Name:
    """How a type's physical name is made and what it may look like."""

    property: str
    """The input that holds it: ``bucket``, ``name``, ``accountName``."""
    pattern: str
    """Regular expression that the whole name matches."""
    max: int
    says: str
    """The rule in words, ending the sentence "… is not a valid name: ": shown when refused."""
    min: int = 1
    unique: tuple[str, ...] | None = ()
    """The inputs or outputs within which it is unique (``("region",)``, ``("resourceGroupName",)``);
    empty: in the whole rehearsal; None: not unique."""
    taken: str = "AlreadyExists"
    """The cloud's error code when another resource holds the name."""
    separator: str | None = None
    """Between the program's name and the random suffix; None: the provider's own (``-``, Azure none)."""
    lower: bool = False
    """The provider lower-cases the program's name when it makes a physical name of it."""
    form: Literal["suffix", "uuid"] = "suffix"
    """What autonaming makes: the program's name with a random suffix, or a random UUID."""


class Kind:
    """The rules of one resource type. Hooks are synchronous and run on worker threads, in parallel.

    A hook's `World.save`, `kv` writes and its record are committed together when it returns, and
    undone when it raises. What it starts outside (workloads, doors, objects) must be keyed by the
    record, so that doing it twice is harmless: after a crash in the middle, `delete` is called for
    the half-made record at the next start.
    """

    token: ClassVar[str]
    source: ClassVar[str]
    """URL of the document that the rules come from."""
    executes: ClassVar[str] = ""
    """One sentence: what really runs. Empty: the resource is recorded, nothing runs."""
    name: ClassVar[Name | None] = None
    """None: autonaming as the SDK suggests, no further rule."""
    replace_on: ClassVar[frozenset[str]] = frozenset()
    """Inputs (top level, or dotted path) whose change forces a replacement, beyond those of the SDK's
    documentation. The name's own property need not be listed."""
    references: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}
    """Input path (``role``, ``settings.subnetId``; lists are walked through) to the token, or tokens,
    of which a record with that id, name, ARN or self link must exist when it is created or updated."""
    needs: ClassVar[str] = ""
    """The Google Cloud API that must be enabled in the project first: ``run.googleapis.com``."""
    secret_outputs: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are secret whatever came in (access keys, passwords)."""
    import_as: ClassVar[str] = ""
    """What `pulumi import` takes where that is not the id: a template over the outputs."""
    volatile: ClassVar[frozenset[str]] = frozenset()
    """Outputs that an update may change (``version``, ``etag``): unknown in its preview. The others
    keep their value there."""

    def imported_as(self, record: Record) -> str:
        """What ``pulumi import`` calls this record; nothing, where that is its id."""
        return self.import_as.format_map(defaultdict(str, record.outputs))

    def check(self, world: World, inputs: Inputs) -> None:
        """Raise `CheckFailure` (or `Refusal`) for inputs that this cloud would not take."""

    def create(self, world: World, record: Record) -> None:
        """Make it: set ``record.id`` and ``record.outputs`` (both hold generic values already)."""

    def read(self, world: World, record: Record) -> bool:
        """Bring ``record.outputs`` up to date; False: it is gone."""
        return True

    def update(self, world: World, old: Record, record: Record) -> None:
        """Change it in place: ``record`` has the new inputs and the old outputs with those echoed."""

    def delete(self, world: World, record: Record) -> None:
        """Take it away; raise `Refusal` while it is in use or not empty."""

    def stays(self, record: Record) -> bool:
        """Whether a deletion only lets go of it: the program forgets it, the cloud keeps it."""
        return False


# The wire form of assets: https://github.com/pulumi/pulumi/blob/master/sdk/python/lib/pulumi/runtime/rpc.py
SIGNATURE = "4dabf18193072939515e22adb298388d"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
CLONE = Path(__file__).resolve().parents[2]


def _read(path: str) -> Path:
    """An asset's path; a relative one counts from the clone, where `pulumi` runs."""
    found = CLONE / path
    if not found.exists():
        raise Refusal("AssetNotFound", f"{path} is not there (looked for {found})")
    return found


def asset_bytes(value: Json) -> bytes:
    """The content of a file, string or remote asset."""
    if "text" in value:
        return str(value["text"]).encode()
    if "path" in value:
        return _read(value["path"]).read_bytes()
    raise Refusal("AssetNotSupported", f"the rehearsal does not download {value.get('uri')}")


def archive_bytes(value: Json) -> bytes:
    """The content of an archive: the file itself when it is one, else a zip of what it lists."""
    if "path" in value and (file := _read(value["path"])).is_file():
        return file.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in sorted(archive_entries(value)):
            zipped.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def archive_entries(value: Json) -> Iterator[tuple[str, bytes]]:
    """Every file of an archive with its path inside it."""
    if "path" in value and (root := _read(value["path"])).is_dir():
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
