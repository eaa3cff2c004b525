"""Names: within limits, apart from each other, and the same every time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import build_context, names
from config.tags import label_value, platform_tags


def test_a_name_that_fits_is_left_as_it_is() -> None:
    assert names.short("triplane-lake", 24) == "triplane-lake"


def test_a_name_for_a_storage_account_loses_its_hyphens_and_gains_a_suffix() -> None:
    assert re.fullmatch(r"triplanelake[0-9a-f]{6}", names.short("triplane-lake", 24, "a-z0-9"))


@given(
    st.text(min_size=1), st.integers(12, 64), st.sampled_from(["a-z0-9", "a-z0-9-", "A-Za-z0-9_"])
)
def test_a_short_name_keeps_to_limit_and_alphabet(name: str, limit: int, alphabet: str) -> None:
    assert re.fullmatch(f"[{alphabet}]{{1,{limit}}}", names.short(name, limit, alphabet))


@given(st.lists(st.text("ab-", min_size=1), min_size=2, unique=True))
def test_names_that_look_alike_when_shortened_stay_apart(written: list[str]) -> None:
    assert len({names.short(name, 12, "a-z0-9") for name in written}) == len(written)


def test_a_limit_without_room_for_a_suffix_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        names.short("much-too-long", 6)


@given(st.lists(st.text(), min_size=1))
def test_a_numeric_id_has_nine_digits_and_no_leading_zero(parts: list[str]) -> None:
    assert re.fullmatch(r"[1-9][0-9]{8}", names.numeric_id(*parts))
    assert names.numeric_id(*parts) == names.numeric_id(*parts)


def test_where_the_parts_of_an_id_end_matters() -> None:
    assert names.numeric_id("ab", "c") != names.numeric_id("a", "bc")


@given(st.text())
def test_any_text_becomes_a_label_value_that_google_cloud_takes(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]{0,63}", label_value(text))


def test_a_label_value_keeps_what_can_be_read() -> None:
    assert label_value("Flights & Co") == "flights-co"


def test_the_platforms_own_tags_win() -> None:
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


def test_a_context_holds_what_an_image_needs_and_nothing_else(context: Path) -> None:
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


def test_an_exception_in_dockerignore_is_refused_instead_of_misread(context: Path) -> None:
    (context / ".dockerignore").write_text("*.md\n!keep.md\n")
    with pytest.raises(ValueError, match=r"keep\.md"):
        build_context.content_hash(context)
