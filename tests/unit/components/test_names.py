"""Names are within limits, unique, and the same every time; so is the build context's hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import build_context, names
from config.tags import label_value, platform_tags


def test_a_name_that_fits_is_unchanged() -> None:
    assert names.short("triplane-lake", 24) == "triplane-lake"


def test_a_storage_accounts_name_has_a_suffix_and_no_hyphens() -> None:
    assert re.fullmatch(r"triplanelake[0-9a-f]{6}", names.short("triplane-lake", 24, "a-z0-9"))


@given(
    st.text(min_size=1), st.integers(12, 64), st.sampled_from(["a-z0-9", "a-z0-9-", "A-Za-z0-9_"])
)
def test_a_short_name_is_within_its_limit_and_alphabet(
    name: str, limit: int, alphabet: str
) -> None:
    assert re.fullmatch(f"[{alphabet}]{{1,{limit}}}", names.short(name, limit, alphabet))


@given(st.lists(st.text("ab-", min_size=1), min_size=2, unique=True))
def test_names_that_are_alike_when_shortened_stay_different(written: list[str]) -> None:
    assert len({names.short(name, 12, "a-z0-9") for name in written}) == len(written)


def test_a_limit_without_room_for_a_suffix_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        names.short("much-too-long", 6)


@given(st.lists(st.text(), min_size=1))
def test_a_numeric_id_has_nine_digits_and_no_leading_zero(parts: list[str]) -> None:
    assert re.fullmatch(r"[1-9][0-9]{8}", names.numeric_id(*parts))
    assert names.numeric_id(*parts) == names.numeric_id(*parts)


def test_a_numeric_id_depends_on_where_its_parts_end() -> None:
    assert names.numeric_id("ab", "c") != names.numeric_id("a", "bc")


@given(st.text())
def test_any_text_becomes_a_valid_label_value_of_google_cloud(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]{0,63}", label_value(text))


def test_a_label_value_is_still_readable() -> None:
    assert label_value("Flights & Co") == "flights-co"


def test_the_platforms_tags_replace_the_stacks_of_the_same_name() -> None:
    made = platform_tags("dev", "dev-aws", {"environment": "other", "team": "flights"})
    assert made == {
        "project": "triplane",
        "environment": "dev",
        "managed-by": "pulumi",
        "stack": "dev-aws",
        "team": "flights",
    }


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("print()")
    (tmp_path / "notes.md").write_text("notes")
    (tmp_path / ".dockerignore").write_text("# not for the image\n*.md\n**/fixtures\n")
    return tmp_path


def test_a_context_has_no_hidden_compiled_or_ignored_files(context: Path) -> None:
    for name in (
        "app/__pycache__/main.pyc",
        "app/old.pyc",
        ".env",
        ".git/config",
        "app/fixtures/big.bin",
    ):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text("x")
    assert build_context.context_files(context) == [Path("app/main.py")]


def test_an_ignored_file_does_not_change_the_hash(context: Path) -> None:
    before = build_context.content_hash(context)
    (context / "notes.md").write_text("other notes")
    assert build_context.content_hash(context) == before
    assert re.fullmatch(r"[0-9a-f]{16}", before)


def test_a_byte_or_a_path_changes_the_hash(context: Path) -> None:
    hashes = {build_context.content_hash(context)}
    (context / "app" / "main.py").write_text("print() ")
    hashes.add(build_context.content_hash(context))
    (context / "app" / "main.py").rename(context / "app" / "other.py")
    hashes.add(build_context.content_hash(context))
    (context / "app" / "other.py").rename(context / "other.py")
    hashes.add(build_context.content_hash(context))
    assert len(hashes) == 4


def test_an_exception_in_dockerignore_is_refused(context: Path) -> None:
    (context / ".dockerignore").write_text("*.md\n!keep.md\n")
    with pytest.raises(ValueError, match=r"keep\.md"):
        build_context.content_hash(context)
