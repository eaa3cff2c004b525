"""The gateway's page in a real browser: what it sends, and what it shows of every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from gateway.core import Request, RequestHandler
from gateway.features import Features
from gateway.page import render
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.browser import (
    NEEDS_CHROMIUM,
    chromium,
    focused,
    violations,
    widths_with_sideways_scrolling,
)

pytestmark = NEEDS_CHROMIUM
FEATURES = Features.load()
FLIGHT = FEATURES.document["example"]
OPTIONAL = [field["name"] for field in FEATURES.document["fields"] if not field["required"]]
KEY = "the-right-key"
ADDRESS = "https://gateway.example/"


class Gateway:
    """The real gateway behind the browser's network, with a model that answers what the test says."""

    def __init__(self, *, key_needed: bool = True) -> None:
        self.sent: list[Any] = []
        self.instead: dict[str, Any] | None = None
        """What a front end, a proxy or a broken network answers to a prediction in the gateway's place."""
        self.held: list[Route] | None = None
        """Predictions whose answer waits; None: each is answered at once."""
        self.handler = RequestHandler(
            features=FEATURES,
            page=render(FEATURES.document, key_needed=key_needed),
            max_body_bytes=64 * 1024,
            admits=lambda key: key == KEY or not key_needed,
            predict=lambda instances: {
                "predictions": [{"probability": 0.83, "late": True} for _ in instances],
                "model_version": "ab" * 32,
            },
        )

    def route(self, route: Route) -> None:
        if route.request.method == "POST":
            self.sent.append(route.request.post_data_json["instances"][0])
            if self.held is not None:
                self.held.append(route)
                return
            if self.instead is not None:
                if "abort" in self.instead:
                    route.abort(self.instead["abort"])
                else:
                    route.fulfill(**self.instead)
                return
        self.answer(route)

    def answer(self, route: Route) -> None:
        asked = route.request
        path = "/" + asked.url.removeprefix(ADDRESS)
        body = (asked.post_data or "").encode()
        answer = self.handler.answer(Request(asked.method, path, asked.headers, body, "request-1"))
        route.fulfill(status=answer.status, headers=dict(answer.headers), body=answer.body)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def page(browser: Browser, gateway: Gateway) -> Iterator[Page]:
    """The page, just opened; a script that the policy stops, or an error in one, fails the test."""
    page = browser.new_page()
    page.set_default_timeout(10_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None
    )
    page.route("**/*", gateway.route)
    page.goto(ADDRESS)
    yield page
    page.close()
    assert wrong == []


def fill(page: Page, names: list[str] | None = None) -> None:
    for field in FEATURES.document["fields"]:
        if field["name"] not in (names or FLIGHT) or not field["required"]:
            continue
        box = page.locator(f"#field-{field['name']}")
        value = FLIGHT[field["name"]]
        _ = box.select_option(value) if field["type"] == "category" else box.fill(value)
    page.fill("#key", KEY)


def predict(page: Page) -> None:
    page.click("#ask")
    expect(page.locator("#ask")).to_have_text("Predict")


def test_a_flight_is_sent_without_the_weather_of_the_example(page: Page, gateway: Gateway) -> None:
    fill(page)
    predict(page)
    assert page.inner_text("#chance") == "83%"
    assert [name for name in OPTIONAL if name in gateway.sent[0]] == []


def test_weather_that_is_used_is_counted_where_it_is_collapsed(page: Page) -> None:
    assert page.inner_text("#weather-used") == "(optional, none given)"
    page.click("#example")
    page.click("summary")
    given = sum(name in FLIGHT for name in OPTIONAL)
    used = f"({given} of {len(OPTIONAL)} values, used for the prediction)"
    assert page.inner_text("#weather-used") == used


def test_another_flight_does_not_keep_the_weather_of_the_example(
    page: Page, gateway: Gateway
) -> None:
    page.click("#example")
    page.fill("#field-temp", "80")
    page.select_option("#field-origin", "JFK")
    page.fill("#key", KEY)
    predict(page)
    assert [name for name in OPTIONAL if name in gateway.sent[0]] == ["temp"]
    assert "has been removed" in page.inner_text("#weather-note")


def test_a_changed_field_takes_the_verdict_away(page: Page) -> None:
    fill(page)
    predict(page)
    assert page.inner_text("#verdict") == "Expect it late"
    page.fill("#field-departure", "06:00")
    assert page.inner_text("#chance") == "–"
    assert page.inner_text("#verdict") == "The fields have changed. Predict again."
    assert page.is_hidden("#facts")


def test_an_answer_for_fields_that_have_changed_is_not_shown(page: Page, gateway: Gateway) -> None:
    gateway.held = []
    fill(page)
    page.click("#ask")
    expect(page.locator("#ask")).to_have_text("Predicting…")
    page.fill("#field-departure", "06:00")
    expect(page.locator("#ask")).to_have_text("Predict")
    assert page.inner_text("#verdict") == "The fields have changed. Predict again."
    gateway.held = None
    predict(page)
    assert (page.inner_text("#chance"), len(gateway.sent)) == ("83%", 2)


def test_a_second_click_while_an_answer_is_awaited_sends_nothing(
    page: Page, gateway: Gateway
) -> None:
    gateway.held = []
    fill(page)
    page.focus("#ask")
    for _ in range(3):
        page.keyboard.press("Enter")
    expect(page.locator("#ask")).to_have_text("Predicting…")
    assert focused(page) == "ask"
    for route in gateway.held:
        gateway.answer(route)
    expect(page.locator("#chance")).to_have_text("83%")
    assert len(gateway.sent) == 1


HTML = {"content_type": "text/html", "body": "<html><body>Error</body></html>"}
REFUSALS = [
    (401, "asks for a login"),
    (403, "lets nobody"),
    (404, "no gateway at this address"),
    (408, "too long to arrive"),
    (413, "too large"),
    (418, "has not answered with a prediction"),
    (429, "more requests than it may take"),
    (500, "has failed"),
    (502, "has failed or is starting"),
    (503, "busy, starting or switched off"),
    (504, "took too long to answer"),
    (200, "Something else than the gateway"),
]


def test_each_answer_of_a_front_end_has_its_own_reason(page: Page, gateway: Gateway) -> None:
    """Lambda's, Cloud Run's and App Service's front ends answer HTML, text, or JSON of another form."""
    fill(page)
    bodies = cycle([HTML, {"json": {"Message": None}}, {"body": ""}])
    for (status, reason), body in zip(REFUSALS, bodies, strict=False):
        gateway.instead = {"status": status, **body}
        predict(page)
        shown = page.inner_text("#form-error")
        assert reason in shown, status
        assert f"Status {status}" in shown
        assert "cannot be reached" not in shown
        assert page.inner_text("#verdict") == "No prediction: see the form."


def test_a_refusal_of_the_gateway_is_shown_with_its_own_words(page: Page, gateway: Gateway) -> None:
    gateway.instead = {
        "status": 503,
        "headers": {"retry-after": "5", "x-request-id": "request-9"},
        "json": {"error": {"code": "unavailable", "message": "The model endpoint is away."}},
    }
    fill(page)
    predict(page)
    shown = page.inner_text("#form-error")
    assert shown == "The model endpoint is away. Status 503 (in 5 s). Request request-9."


def test_a_lost_network_is_no_answer_of_the_gateway(page: Page, gateway: Gateway) -> None:
    gateway.instead = {"abort": "connectionrefused"}
    fill(page)
    predict(page)
    assert "cannot be reached" in page.inner_text("#form-error")
    page.context.set_offline(True)
    predict(page)
    page.context.set_offline(False)
    assert page.inner_text("#form-error") == "This computer has no network."


def test_a_key_is_kept_only_once_it_was_right(page: Page, gateway: Gateway) -> None:
    stored = "sessionStorage.getItem('key')"
    assert "make key" in page.inner_text("#key-hint")
    fill(page)
    for wrong, reason in (
        ("", "Enter the key"),
        ("with a blank", "no blanks"),
        ("an-old-key", "not any more"),
    ):
        page.fill("#key", wrong)
        predict(page)
        assert reason in page.inner_text("#key-error")
        assert focused(page) == "key"
        assert page.evaluate(stored) is None
    assert len(gateway.sent) == 1, "what cannot be a key is not sent"
    page.fill("#key", f" {KEY} ")
    predict(page)
    assert page.evaluate(stored) == KEY
    assert page.evaluate("localStorage.length") == 0
    assert page.context.cookies() == []


def test_a_gateway_without_a_key_asks_for_none(browser: Browser) -> None:
    page = browser.new_page()
    page.route("**/*", Gateway(key_needed=False).route)
    page.goto(ADDRESS)
    assert page.is_hidden("#key")
    page.click("#example")
    predict(page)
    assert page.inner_text("#chance") == "83%"
    page.close()


def test_an_invalid_field_is_marked_where_it_is_and_has_the_focus(page: Page) -> None:
    fill(page)
    page.click("summary")
    page.fill("#field-temp", "warm")
    page.click("summary")
    predict(page)
    assert "Must be a number" in page.inner_text("#field-temp-error")
    assert page.get_attribute("#field-temp", "aria-invalid") == "true"
    assert focused(page) == "field-temp"
    page.fill("#field-temp", "50")
    assert page.get_attribute("#field-temp", "aria-invalid") == "false"


def test_a_date_that_is_typed_in_part_is_not_left_out_silently(
    page: Page, gateway: Gateway
) -> None:
    fill(page)
    page.focus("#field-departure")
    page.keyboard.press("Delete")
    predict(page)
    assert page.inner_text("#field-departure-error") == "The time is not complete."
    assert gateway.sent == []


def test_the_keyboard_alone_predicts(page: Page) -> None:
    order = []
    for _ in range(40):
        page.keyboard.press("Tab")
        order.append(focused(page))
        if order[-1] == "example":
            page.keyboard.press("Enter")
        elif order[-1] == "key":
            page.keyboard.type(KEY)
        elif order[-1] == "ask":
            page.keyboard.press("Enter")
            break
    expect(page.locator("#chance")).to_have_text("83%")
    assert order.index("example") < order.index("field-carrier") < order.index("field-temp")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_fits_each_window(
    page: Page, gateway: Gateway, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.click("#example")
    assert violations(page) == []
    page.fill("#key", KEY)
    predict(page)
    assert violations(page) == []
    assert widths_with_sideways_scrolling(page) == []
    gateway.instead = {"status": 422, "json": {"error": {"message": "x" * 30, "fields": [
        {"field": f"instances[0].{name}", "reason": "must be " + json.dumps("y" * 60)}
        for name in FLIGHT
    ]}}}  # fmt: skip
    predict(page)
    assert violations(page) == []
    assert widths_with_sideways_scrolling(page) == []
