"""The page's text and its policy. What it does is tested in a browser: tests/e2e/test_gateway_page.py."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter

import pytest
from gateway.page import FOLDER, SCRIPTS, render

HTML = render(key_needed=True).html.decode()


@pytest.mark.parametrize("tag", ["script", "style"])
def test_only_the_pages_own_script_and_style_may_run(tag: str) -> None:
    policy = render(key_needed=True).policy
    (inline,) = re.findall(f"<{tag}>(.*?)</{tag}>", HTML, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert f"{tag}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_the_page_is_one_answer_without_anything_from_elsewhere() -> None:
    assert re.findall("__[A-Z_]+__", HTML) == []
    assert ' src="' not in HTML
    assert ' style="' not in HTML  # would need unsafe-inline
    assert re.findall(r'(?:href|url)[="(]+(https?:|//)', HTML) == []


def test_the_page_knows_whether_it_must_ask_for_a_key() -> None:
    assert '<html lang="en" data-key-needed="yes">' in HTML
    assert '<html lang="en" data-key-needed="no">' in render(key_needed=False).html.decode()


def test_no_two_scripts_declare_one_name() -> None:
    """They are one script in the page, in which the later of two functions silently replaces the other."""
    declared = re.compile(r"^(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
    scripts = [(FOLDER / name).read_text("utf-8") for name in SCRIPTS]
    names = Counter(name for script in scripts for name in declared.findall(script))
    assert len(names) > 40
    assert [name for name, count in names.items() if count > 1] == []
