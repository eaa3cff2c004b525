"""A stack file, `Pulumi.<stack>.yaml`: the only module that reads or writes one.

What the settings mean and which values are allowed is not known here: see config/schema.py and
config/validation.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pulumi
import yaml

from config import messages
from config.files import write_whole

PROJECT = "triplane"
SECTION = "config"
"""The key of the file that holds the settings. The file's other keys belong to the engine: `encryptionsalt`, …"""


@dataclass(frozen=True)
class StackFile:
    """The text of a stack file. A change gives a new object; only `write` touches the disk.

    A change replaces the text of the settings that differ. Comments, order and the engine's own keys
    stay as they are.
    """

    name: str
    """What an error message calls the file."""
    text: str

    @classmethod
    def read(cls, path: Path, name: str = "") -> StackFile:
        """The file at ``path``; ``name`` is for a copy whose errors are corrected in the original.

        Raises `pulumi.RunError` if it is not text, OSError if it cannot be read.
        """
        name = name or path.name
        try:
            return cls(name, path.read_bytes().decode())
        except UnicodeDecodeError as error:
            raise pulumi.RunError(f"{name} is not valid YAML: {error}") from None

    @cached_property
    def document(self) -> dict[str, Any]:
        """The whole file: the settings below `config`, and the engine's own keys. Raises `pulumi.RunError`."""
        try:
            repeated = _repeated_keys(yaml.compose(self.text, Loader=yaml.SafeLoader))
            document = _with_text_keys(yaml.safe_load(self.text))
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a 13th month
            raise pulumi.RunError(f"{self.name} is not valid YAML: {error}") from None
        if repeated:
            raise pulumi.RunError(messages.error_report(self.name, repeated))
        if document is None:
            return {}
        if not isinstance(document, dict):
            raise pulumi.RunError(messages.no_mapping_report(self.name, "the whole file", document))
        return document

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by their full keys, with the values as YAML has them. Raises `pulumi.RunError`."""
        config = self.document.get(SECTION)
        if not isinstance(config, dict | None):
            raise pulumi.RunError(messages.no_mapping_report(self.name, SECTION, config))
        return {_full_key(key): value for key, value in (config or {}).items()}

    @property
    def secrets_provider(self) -> str:
        """The URL of the key that encrypts the state's secrets; empty for a passphrase or Pulumi Cloud's own.

        https://www.pulumi.com/docs/iac/concepts/secrets/#changing-the-secrets-provider-for-a-stack
        """
        return str(self.document.get("secretsprovider") or "")

    def with_settings(self, changes: Mapping[str, Any]) -> StackFile:
        """The file with these settings added or replaced, by their full keys."""
        changed = self
        for key, value in changes.items():
            if key not in changed.settings or changed.settings[key] != value:
                changed = changed._changed(changed.settings | {key: value}, key)
        return changed

    def without(self, *keys: str) -> StackFile:
        """The file without these settings."""
        changed = self
        for key in keys:
            if key in changed.settings:
                rest = {name: value for name, value in changed.settings.items() if name != key}
                changed = changed._changed(rest, key)
        return changed

    def with_comment(self, line: str) -> StackFile:
        """The file with a comment as its first line."""
        return replace(self, text=f"# {line}\n{self.text}")

    def write(self, path: Path) -> None:
        """Write the file whole or not at all. A file that is replaced keeps its mode, a link stays one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path.resolve(), self.text)

    def _changed(self, settings: dict[str, Any], key: str) -> StackFile:
        """The file with these settings, of which ``key`` alone is changed."""
        try:
            text = _edited(self.text, key, {key: settings[key]} if key in settings else {})
            edited = replace(self, text=text)
            if edited.settings == settings and edited._engine_keys == self._engine_keys:
                return edited
        except pulumi.RunError:
            pass
        # Anchors, a new setting in a flow mapping, and the like: the same meaning without the comments.
        return replace(self, text=_dumped({**self.document, SECTION: settings}))

    @property
    def _engine_keys(self) -> dict[str, Any]:
        return {key: value for key, value in self.document.items() if key != SECTION}


def _full_key(key: str) -> str:
    return key if ":" in key else f"{PROJECT}:{key}"  # as the engine does


def _with_text_keys(value: Any) -> Any:
    """YAML's keys may be numbers, dates and booleans. The engine has JSON, whose keys are texts."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(inner) for key, inner in value.items()}
    return [_with_text_keys(inner) for inner in value] if isinstance(value, list) else value


def _repeated_keys(root: yaml.Node | None) -> messages.Errors:
    """The keys that one mapping has several times: the engine refuses such a file, and YAML's reader here takes the last."""
    lines: dict[tuple[str, ...], list[int]] = {}
    visited: set[int] = set()  # an alias is the node of its anchor, which may have the alias in it

    def visit(node: yaml.Node, place: tuple[str, ...]) -> None:
        if id(node) in visited or not isinstance(node, yaml.CollectionNode):
            return
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for number, each in enumerate(node.value):
                visit(each, (*place, str(number)))
            return
        for name, value in node.value:
            key = name.value if isinstance(name, yaml.ScalarNode) else ""
            inner = (*place, _full_key(key) if place == (SECTION,) else key)
            if key and name.tag != "tag:yaml.org,2002:merge":
                lines.setdefault(inner, []).append(name.start_mark.line + 1)
            visit(value, inner)

    if root:
        visit(root, ())
    return {
        ".".join(place[1:] if place[0] == SECTION and place[1:] else place): (
            f"(on the lines {' and '.join(map(str, found))})",
            "It is written several times. Keep one of them.",
        )
        for place, found in lines.items()
        if len(found) > 1
    }


# The edit of a text: one setting is replaced, all else stays


def _edited(text: str, key: str, entry: Mapping[str, Any]) -> str:
    """The text with ``entry`` (``key`` and its value, or nothing) in the place of the setting ``key``."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found = _nodes_of(root, SECTION) if root else None
    if found is None or not found[1].value or not isinstance(found[1], yaml.MappingNode):
        return _with_section(text, found and found[1], entry)
    config = found[1]
    margin = config.start_mark.column
    setting = _nodes_of(config, key)
    if setting is None:
        return _inserted(text, _end(text, config.value[-1][1]), margin, entry)
    name, value = setting
    start, end = value.start_mark.index, _end(text, value)
    new = entry.get(key)
    if entry and isinstance(value, yaml.ScalarNode) and not isinstance(new, dict | list):
        space = " " if text[start - 1] == ":" else ""
        return f"{text[:start]}{space}{_scalar(new)}{text[end:]}"
    # Whole lines: the entry, and with a removed one the comment behind it.
    start = name.start_mark.index
    if entry:
        lines = _block({name.value: new}, margin)
        return f"{text[:start]}{lines.strip()}{text[end:]}"
    return text[: text.rfind("\n", 0, start) + 1] + text[_line_end(text, end) + 1 :]


def _with_section(text: str, empty: yaml.Node | None, entry: Mapping[str, Any]) -> str:
    """The text with a first setting: below `config:`, which has none, or below a new one."""
    if empty is None:
        newline = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{newline}{SECTION}:\n{_block(entry, 2)}\n"
    start, end = empty.start_mark.index, _end(text, empty)
    return f"{text[:start]}\n{_block(entry, 2)}{text[end:]}"


def _inserted(text: str, after: int, margin: int, entry: Mapping[str, Any]) -> str:
    """The text with an entry below the line in which the last one ends."""
    line_end = _line_end(text, after)
    rest = text[line_end:] or "\n"
    return f"{text[:line_end]}\n{_block(entry, margin)}{rest}"


def _nodes_of(mapping: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The nodes of a key and its value."""
    for name, value in mapping.value:
        if isinstance(name, yaml.ScalarNode) and key in (name.value, _full_key(name.value)):
            return name, value
    return None


def _end(text: str, node: yaml.Node) -> int:
    """Where the text of a node ends. A block's own mark is where the next token begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    start, end = node.start_mark.index, node.end_mark.index
    return int(start + len(text[start:end].rstrip()))


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # yaml has no types
    """Writes what the engine's YAML reader and Python's read alike."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML leaves 12e5 without quotes, which is a number in YAML 1.2.
    style = None if re.fullmatch(r"[A-Za-z][\w.:/@-]*", text, re.ASCII) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


def _dumped(value: Any, flow: bool = False) -> str:
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=flow,
        sort_keys=False,
        allow_unicode=True,
        width=math.inf,
    )
    return text


def _scalar(value: Any) -> str:
    return _dumped(value, flow=True).removesuffix("...\n").strip()


def _block(entry: Mapping[str, Any], margin: int) -> str:
    """An entry as lines, without the last line's end."""
    return "\n".join(" " * margin + line for line in _dumped(dict(entry)).splitlines())
