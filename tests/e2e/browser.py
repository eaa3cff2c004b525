"""A real Chromium for the tests of the pages, and what every page must hold in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
NO_CHROMIUM = "no Chromium on this machine: apt install chromium"
NEEDS_CHROMIUM = pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason=NO_CHROMIUM)
"""CI's machines have one. There these tests fail without it: they would check nothing, and nobody would see it."""
WIDTHS = (320, 768, 1600)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The distribution's browser, without a window."""
    assert CHROMIUM, NO_CHROMIUM
    with sync_playwright() as playwright:
        # As root a browser has no sandbox; the pages are this repository's own.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds against a page: each rule, with the elements that break it."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {[node['target'] for node in each['nodes'][:3]]}" for each in found]


def widths_with_sideways_scrolling(page: Page) -> list[int]:
    """The widths of a window in which the page is wider than it."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(width)
    return found


def focused(page: Page) -> str:
    """The id, or else the text, of the element that has the keyboard's focus."""
    return str(
        page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
    )
