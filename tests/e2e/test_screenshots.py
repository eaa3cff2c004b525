"""`make screenshots`: the two pages of a platform in the rehearsal, as pictures for the documentation."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from bench.harness import ROOT, Stack
from tests.e2e.browser import NEEDS_CHROMIUM, chromium

pytestmark = [
    pytest.mark.skipif(not os.environ.get("UPDATE_SCREENSHOTS"), reason="only `make screenshots`"),
    NEEDS_CHROMIUM,
]
LOOKS = {"": ("light", 1000), "-dark-phone": ("dark", 320)}
HEIGHT = 960


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_are_pictures_in_the_documentation(
    stack: Stack, browser: Browser, look: str
) -> None:
    scheme, width = LOOKS[look]
    outputs, environment = stack.outputs(), stack.rehearsal.environment

    def picture(page: Page, name: str) -> None:
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.screenshot(path=ROOT / f"docs/{name}{look}.png", animations="disabled")
        page.close()

    def opened(url: str) -> Page:
        # Azure's gateway has a certificate of the rehearsal's own authority.
        page = browser.new_page(
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,  # type: ignore[arg-type]
            ignore_https_errors=True,
        )
        page.goto(url)
        return page

    for model in outputs["models"]:
        gateway = opened(f"{outputs['gateway_url']}#{model}")
        gateway.click("#example")
        gateway.fill("#key", outputs["gateway_key"])
        gateway.click("#ask")
        expect(gateway.locator("#facts")).to_be_visible(timeout=30_000)
        picture(gateway, "page" if model == "flight-delay" else f"page-{model}")

    token = environment["TRIPLANE_REHEARSAL_TOKEN"]
    rehearsal = opened(f"{environment['TRIPLANE_REHEARSAL_URL']}/#token={token}")
    expect(rehearsal.locator("#live")).to_have_text("Live.")
    rehearsal.click(".component summary")
    picture(rehearsal, "rehearsal")
