"""`StackFile`: what a change keeps, and what is written when it cannot be kept."""

from __future__ import annotations

import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.stack_file import StackFile

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted((ROOT / "tests" / "configs").glob("*.yaml"))
FILES = [*CONFIGS, ROOT / "Pulumi.dev.yaml"]
DEV = StackFile.read(ROOT / "Pulumi.dev.yaml")


def understood(file: Path) -> bool:
    """Whether a file has settings at all: some in tests/configs are lists, or no YAML."""
    try:
        return bool(StackFile.read(file).settings)
    except pulumi.RunError:
        return False


def only_difference(before: str, after: str) -> list[tuple[str, str]]:
    """The lines of two texts of the same length that differ."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [pair for pair in pairs if pair[0] != pair[1]]


def comments(text: str) -> list[str]:
    return re.findall(r"(?:^|\s)(#.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_that_is_read_and_written_is_the_same_to_the_byte(
    file: Path, tmp_path: Path
) -> None:
    StackFile.read(file).write(tmp_path / "new" / "Pulumi.copy.yaml")
    assert (tmp_path / "new" / "Pulumi.copy.yaml").read_bytes() == file.read_bytes()


def test_line_ends_of_windows_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_bytes(b"# a note\r\nconfig:\r\n  triplane:cloud: aws # one of three\r\n")
    StackFile.read(path).with_settings({"triplane:cloud": "gcp"}).write(path)
    assert path.read_bytes() == b"# a note\r\nconfig:\r\n  triplane:cloud: gcp # one of three\r\n"


@pytest.mark.parametrize("file", [*filter(understood, FILES)], ids=lambda file: file.stem)
@pytest.mark.parametrize(
    "changes",
    [
        {"triplane:cloud": "another"},
        {"triplane:environment": "staging", "triplane:delivery": {}},
        {"triplane:tags": {"team": "a: b", "4711": ""}, "triplane:keep_data": True},
        {"triplane:delivery": {"repository": "acme/triplane", "existing_provider": False}},
    ],
    ids=["cloud", "stage", "tags", "delivery"],
)
def test_a_change_keeps_every_other_setting_comment_and_key(
    file: Path, changes: dict[str, Any]
) -> None:
    before = StackFile.read(file)
    after = before.with_settings(changes)
    assert after.settings == before.settings | changes
    assert list(after.settings)[: len(before.settings)] == list(before.settings)
    assert comments(after.text) == comments(before.text)
    own, former = ({k: v for k, v in f.document.items() if k != "config"} for f in (after, before))
    assert own == former
    assert before == StackFile.read(file), "the former object is unchanged"


def test_another_cloud_changes_one_word_of_the_worked_example() -> None:
    after = DEV.with_settings({"triplane:cloud": "gcp"})
    assert only_difference(DEV.text, after.text) == [
        (
            "  triplane:cloud: aws # aws, gcp or azure",
            "  triplane:cloud: gcp # aws, gcp or azure",
        )
    ]


def test_a_new_setting_is_written_below_the_last_one() -> None:
    after = DEV.with_settings({"triplane:lake": {"captures_days": 7}})
    assert after.text == DEV.text.replace(
        "azure-native:location: westeurope\n",
        "azure-native:location: westeurope\n  triplane:lake:\n    captures_days: 7\n",
    )


def test_a_removed_setting_takes_its_lines_and_nothing_else() -> None:
    after = DEV.without("triplane:tags", "no:such")
    assert after.text == DEV.text.replace("  triplane:tags:\n    team: flights\n", "")
    assert after.with_settings(DEV.settings).settings == DEV.settings


def test_a_key_without_a_namespace_is_the_projects_own() -> None:
    file = StackFile("Pulumi.dev.yaml", "config:\n  cloud: aws # here\n  aws:region: eu-west-1\n")
    assert file.settings == {"triplane:cloud": "aws", "aws:region": "eu-west-1"}
    after = file.with_settings({"triplane:cloud": "gcp"})
    assert after.text == "config:\n  cloud: gcp # here\n  aws:region: eu-west-1\n"
    section = {"triplane:cloud": {"z": 1, "a": 2}}
    assert after.with_settings(section).text == (
        "config:\n  cloud:\n    z: 1\n    a: 2 # here\n  aws:region: eu-west-1\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "config:\n  triplane:cloud: gcp\n"),
        ("encryptionsalt: v1:a", "encryptionsalt: v1:a\nconfig:\n  triplane:cloud: gcp\n"),
        ("config:\n", "config:\n  triplane:cloud: gcp\n"),
        ("config: # none\na: 1\n", "config:\n  triplane:cloud: gcp # none\na: 1\n"),
        ("config: {} # none\n", "config: \n  triplane:cloud: gcp # none\n"),
        ("config:\n  triplane:cloud: # no\n", "config:\n  triplane:cloud: gcp # no\n"),
        ("config: {triplane:cloud: aws} # x\n", "config: {triplane:cloud: gcp} # x\n"),
        ("config:\n  triplane:cloud: 'aws'", "config:\n  triplane:cloud: gcp"),
        ("config:\n  triplane:cloud: >-\n    aws\n", "config:\n  triplane:cloud: gcp\n"),
        ("config:\n    a:b: 1 # last", "config:\n    a:b: 1 # last\n    triplane:cloud: gcp\n"),
        ("config:\n  triplane:cloud: {a: 1} # x\n", "config:\n  triplane:cloud: gcp # x\n"),
    ],
)
def test_one_setting_is_written_into_any_form_of_file(text: str, expected: str) -> None:
    file = StackFile("Pulumi.dev.yaml", text)
    assert file.with_settings({"triplane:cloud": "gcp"}).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "config: {triplane:cloud: aws, a:b: {c: 1}}\nencryptionsalt: v1:a\n",
        "config:\n  a:b: &anchor aws\n  triplane:cloud: *anchor\nencryptionsalt: v1:a\n",
        "config:\n  triplane:cloud: &anchor aws\n  a:b: *anchor\nencryptionsalt: v1:a\n",
        "secretsprovider: &anchor awskms://a\nconfig:\n  triplane:cloud: *anchor\n",
        "config:\n  triplane:cloud: &anchor awskms://a\nsecretsprovider: *anchor\n",
        "{config: {triplane:cloud: aws}, encryptedkey: a}",
        "--- !!map\nconfig:\n  ? triplane:cloud\n  : aws\n...\n",
    ],
)
def test_where_a_change_of_one_value_is_impossible_the_meaning_is_kept(text: str) -> None:
    before = StackFile("Pulumi.dev.yaml", text)
    after = before.with_settings({"triplane:cloud": "gcp", "c:d": "new"})
    assert after.settings == before.settings | {"triplane:cloud": "gcp", "c:d": "new"}
    engine_keys = before.document.keys() - {"config"}
    assert {key: after.document[key] for key in engine_keys} == {
        key: before.document[key] for key in engine_keys
    }
    gone = after.without("triplane:cloud")
    assert gone.settings == {k: v for k, v in after.settings.items() if k != "triplane:cloud"}


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("config:\n  cloud: aws\n  triplane:cloud: gcp\n", "triplane:cloud", "2 and 3"),
        ("config:\n  a:b: {c: 1,\n   c: 2,\n   c: 3}\n", "a:b.c", "2 and 3 and 4"),
        ("config:\n  a:b:\n  - c: 1\n    c: 2\n", "a:b.0.c", "3 and 4"),
        ("config: {}\nconfig:\n  a:b: 1\n", "config", "1 and 2"),
        ("secretsprovider: a\nsecretsprovider: b\n", "secretsprovider", "1 and 2"),
    ],
)
def test_a_key_that_is_written_twice_is_refused_with_its_lines(
    text: str, key: str, lines: str
) -> None:
    """The engine refuses the file, too: `mapping key already defined`."""
    with pytest.raises(pulumi.RunError, match=f"  {key}: \\(on the lines {lines}\\)"):
        _ = StackFile("Pulumi.dev.yaml", text).settings


def test_equal_keys_of_two_mappings_merged_keys_and_aliases_are_allowed() -> None:
    text = "config:\n  a:b: &x {c: 1}\n  a:d: {<<: *x, e: 1}\n  a:f: *x\n  a:g: {c: 2}\n"
    assert StackFile("Pulumi.dev.yaml", text).settings["a:d"] == {"c": 1, "e": 1}


def test_a_removed_setting_never_takes_the_engines_keys_on_its_line() -> None:
    one_line = StackFile("Pulumi.dev.yaml", "{encryptionsalt: v1:a, config: {a:b: 1}}\n")
    after = one_line.without("a:b")
    assert after.settings == {}
    assert after.document["encryptionsalt"] == "v1:a"


@pytest.mark.parametrize("value", ["12345e67", "0x1f", "yes", "null", "1_000", "2026-11-22", ".5"])
def test_a_text_that_yaml_could_take_for_something_else_is_quoted(value: str) -> None:
    after = DEV.with_settings({"triplane:model": value})
    assert (
        f'triplane:model: "{value}"\n' in after.text or f"triplane:model: '{value}'\n" in after.text
    )
    assert after.settings["triplane:model"] == value


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from([*DEV.settings, "a:b", "triplane:new"]) | st.text().map("c:{}".format)


@given(
    st.sampled_from([DEV, *(StackFile.read(file) for file in CONFIGS if understood(file))]),
    st.dictionaries(keys, values, max_size=4),
    st.lists(keys, max_size=2),
)
def test_any_change_gives_what_was_asked_and_keeps_the_rest(
    file: StackFile, changes: dict[str, Any], removed: list[str]
) -> None:
    after = file.with_settings(changes).without(*removed)
    expected = file.settings | changes
    assert after.settings == {k: v for k, v in expected.items() if k not in removed}
    assert [k for k in after.document if k != "config"] == [
        k for k in file.document if k != "config"
    ]


def test_a_file_that_is_no_text_gives_a_message(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_bytes(b"config:\n  triplane:cloud: \xff\n")
    with pytest.raises(pulumi.RunError, match=r"^Pulumi\.dev\.yaml is not valid YAML"):
        StackFile.read(path)


def test_a_written_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "Pulumi.dev.yaml", tmp_path / "Pulumi.link.yaml"
    DEV.write(path)
    path.chmod(0o640)
    link.symlink_to(path)
    DEV.with_settings({"triplane:cloud": "gcp"}).write(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert StackFile.read(path).settings["triplane:cloud"] == "gcp"


KILLED = """
import os, signal, sys
from pathlib import Path
from config.stack_file import StackFile

path = Path(sys.argv[1])
changed = StackFile.read(path).with_settings({"triplane:cloud": "gcp"})
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
changed.write(path)
"""


def test_a_killed_write_leaves_the_previous_file(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    DEV.write(path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == DEV.text
