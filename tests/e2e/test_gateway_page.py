"""The gateway's page in a real browser, before a real gateway: what it sends, and what it shows of every answer."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from itertools import cycle
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, Route, expect

from tests.e2e.browser import (
    NEEDS_CHROMIUM,
    chromium,
    focused,
    violations,
    widths_with_sideways_scrolling,
)
from tests.e2e.contracts_of_pages import CONTRACTS, picture
from tests.e2e.gateway_process import KEY, Artifact, Cloud, gateway_process

pytestmark = NEEDS_CHROMIUM
FLIGHT = CONTRACTS["flight-delay"]["example"]
OPTIONAL = [each["name"] for each in CONTRACTS["flight-delay"]["fields"] if not each["required"]]
SEVEN = {"label": "7", "probability": 0.91}
PREDICTIONS: dict[str, Any] = {
    "flight-delay": {"probability": 0.83, "late": True},
    "digits": {
        "digit": "7",
        "probability": 0.91,
        "best": [SEVEN, {"label": "1", "probability": 0.06}, {"label": "9", "probability": 0.004}],
    },
    "arrival-delay": {"delay": 12.345678},
    "every-type": {"embedding": [[0.5, 0.25], [1, 2], [3, 4]], "word": ["<b>ham</b>"]},
}


class Gateway:
    """The gateway, and what happens to the browser's requests on their way to it."""

    def __init__(self, cloud: Cloud, address: str) -> None:
        self.cloud, self.address = cloud, address
        self.instead: dict[str, Any] | None = None
        """What a front end, a proxy or a broken network answers to a prediction in the gateway's place."""
        self.held: list[Route] | None = None
        """Predictions whose answer waits; None: each is answered at once."""
        self.posts = 0
        cloud.asked.clear()

    @property
    def sent(self) -> list[Any]:
        """The first instance of each request that the model's endpoint got."""
        return [instances[0] for _, instances in self.cloud.asked]

    def route(self, route: Route) -> None:
        self.posts += 1
        if self.held is not None:
            self.held.append(route)
        elif self.instead is None:
            route.continue_()
        elif "abort" in self.instead:
            route.abort(self.instead["abort"])
        else:
            route.fulfill(**self.instead)


def cloud_of(*models: str) -> Cloud:
    served = {name: Artifact.of(CONTRACTS[name]) for name in models}
    return Cloud(served, {name: (lambda _, n=name: PREDICTIONS[n]) for name in models})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def process() -> Iterator[tuple[Cloud, str]]:
    cloud = cloud_of("flight-delay", "digits", "arrival-delay", "every-type")
    with gateway_process(cloud) as address:
        yield cloud, address


@pytest.fixture
def gateway(process: tuple[Cloud, str]) -> Gateway:
    return Gateway(*process)


@pytest.fixture
def page(browser: Browser, gateway: Gateway) -> Iterator[Page]:
    """The page, just opened; a script that the policy stops, or an error in one, fails the test."""
    # Another time zone than the machine's: the page must not depend on it.
    page = browser.new_page(timezone_id="Asia/Kolkata", locale="en-US")
    page.set_default_timeout(10_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None
    )
    page.route("**/predict", gateway.route)
    open_model(page, gateway, "flight-delay")
    yield page
    page.close()
    assert wrong == []


def open_model(page: Page, gateway: Gateway, name: str) -> None:
    page.goto(f"{gateway.address}#{name}")
    expect(page.locator("#predict-path")).to_have_text(f"models/{name}/predict")
    expect(page.locator("#model")).to_be_visible()


def box(page: Page, field: str) -> Any:
    return page.locator(f'[id="field-{field}"]')


def error_at(page: Page, field: str) -> str:
    return page.locator(f'[id="field-{field}-error"]').inner_text()


def fill(page: Page) -> None:
    """What a flight needs, and the key."""
    for field in CONTRACTS["flight-delay"]["fields"]:
        if field["required"]:
            value = FLIGHT[field["name"]]
            found = box(page, field["name"])
            _ = found.select_option(value) if field["type"] == "category" else found.fill(value)
    page.fill("#key", KEY)


def predict(page: Page) -> None:
    page.click("#ask")
    expect(page.locator("#ask")).to_have_text("Predict")


def example_with_key(page: Page) -> None:
    page.click("#example")
    page.fill("#key", KEY)


# --- What is sent


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_example_of_each_contract_is_sent_as_it_is(
    page: Page, gateway: Gateway, name: str
) -> None:
    open_model(page, gateway, name)
    example_with_key(page)
    predict(page)
    assert page.inner_text("#form-error") == ""
    assert gateway.sent == [CONTRACTS[name]["example"]]


def test_each_type_of_field_is_sent_in_its_own_form(page: Page, gateway: Gateway) -> None:
    open_model(page, gateway, "every-type")
    box(page, "income").fill("1e3")
    box(page, "children").fill("-1")
    box(page, "member").select_option(label="Yes")
    box(page, "plan").select_option("l")
    box(page, "review").fill(" two\nlines ")
    box(page, "motto").fill("ja")
    box(page, "day").fill("2027-01-31")
    box(page, "clock").fill("23:59")
    box(page, "seen.at:0").fill("2026-07-01T12:00")
    box(page, "embedding").fill("[1, -1;.5\n0]")
    photo = picture(30, 20, "JPEG")
    upload(page, "photo", "image/jpeg", photo)
    page.fill("#key", KEY)
    predict(page)
    assert page.inner_text("#form-error") == ""
    assert gateway.sent == [
        {
            "income": 1000,
            "children": -1,
            "member": True,
            "plan": "l",
            "review": " two\nlines ",
            "motto": "ja",
            "day": "2027-01-31",
            "clock": "23:59",
            "seen.at:0": "2026-07-01T12:00:00+05:30",
            "embedding": [1, -1, 0.5, 0],
            "photo": base64.b64encode(photo).decode(),
        }
    ]


def test_what_no_control_can_hold_is_the_gateways_to_refuse(page: Page, gateway: Gateway) -> None:
    open_model(page, gateway, "every-type")
    example_with_key(page)
    wrong = {"income": "a lot", "children": "1.5", "embedding": "1, 2, x", "motto": "x" * 41}
    for name, text in wrong.items():
        box(page, name).fill(text)
    page.get_by_label("offset from UTC").fill("east")
    predict(page)
    assert gateway.sent == []
    for name, reason in {
        "income": "must be a number",
        "children": "must be a whole number",
        "embedding": "must have 4 numbers, not 3",
        "motto": "may have 40 characters",
        "seen.at:0": "must be a timestamp with its offset",
    }.items():
        assert reason in error_at(page, name).lower(), name
        assert box(page, name).get_attribute("aria-invalid") == "true"
    assert focused(page) == "field-income"


def test_a_flight_is_sent_without_the_weather_of_the_example(page: Page, gateway: Gateway) -> None:
    fill(page)
    predict(page)
    assert page.inner_text("#figure") == "83%"
    assert [name for name in OPTIONAL if name in gateway.sent[0]] == []


def test_optional_values_are_counted_where_they_are_collapsed(page: Page) -> None:
    assert page.inner_text("#optional-used") == "(none given)"
    page.click("#example")
    page.click("summary")
    given = sum(name in FLIGHT for name in OPTIONAL)
    used = f"({given} of {len(OPTIONAL)} values, used for the prediction)"
    assert page.inner_text("#optional-used") == used


def test_another_case_does_not_keep_the_optional_values_of_the_example(
    page: Page, gateway: Gateway
) -> None:
    example_with_key(page)
    box(page, "temp").fill("80")
    box(page, "origin").select_option("JFK")
    predict(page)
    assert [name for name in OPTIONAL if name in gateway.sent[0]] == ["temp"]
    assert "have been removed" in page.inner_text("#optional-note")


# --- Images


def upload(page: Page, field: str, mime: str, content: bytes) -> None:
    box(page, field).set_input_files({"name": "file", "mimeType": mime, "buffer": content})
    note = page.locator(f'div:has(> label[for="field-{field}"]) [role="status"]')
    expect(note).to_contain_text("pixels")


def sent_picture(gateway: Gateway, field: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(gateway.sent[-1][field])))


def ink(drawn: Image.Image) -> float:
    """The share of a picture that is dark."""
    counts = drawn.convert("L").histogram()
    return sum(counts[:128]) / sum(counts)


def drawing(page: Page) -> FloatRect:
    """The place of the pad."""
    found = page.locator("canvas").bounding_box()
    assert found
    return found


def test_a_drawing_is_sent_as_the_picture_that_is_seen(page: Page, gateway: Gateway) -> None:
    open_model(page, gateway, "digits")
    page.fill("#key", KEY)
    predict(page)
    assert error_at(page, "image") == "Is missing."
    assert focused(page) == "field-image"
    assert page.locator(".framed").count() == 1
    pad = drawing(page)
    middle = pad["x"] + pad["width"] / 2
    page.mouse.move(middle, pad["y"] + 0.2 * pad["height"])
    page.mouse.down()
    page.mouse.move(middle, pad["y"] + 0.8 * pad["height"], steps=5)
    page.mouse.up()
    assert error_at(page, "image") == ""
    predict(page)
    assert page.inner_text("#figure") == "7"
    drawn = sent_picture(gateway, "image").convert("L")
    # Dark on light, as the contract says; a stroke from top to bottom in the middle, an eighth of the width.
    assert drawn.size == (280, 280)
    assert drawn.getpixel((140, 140)) == 0
    assert drawn.getpixel((40, 140)) == 255
    assert 0.06 < ink(drawn) < 0.11
    page.click("text=Clear")
    assert page.inner_text("#verdict") == "The fields have changed. Predict again."
    predict(page)
    assert len(gateway.sent) == 1
    assert error_at(page, "image") == "Is missing."


def test_the_keyboard_draws(page: Page, gateway: Gateway) -> None:
    open_model(page, gateway, "digits")
    page.fill("#key", KEY)
    page.focus("#empty")
    page.keyboard.press("Tab")
    assert "Arrow keys" in (page.locator(":focus").get_attribute("aria-label") or "")
    expect(page.locator(".pen")).to_be_visible()
    for key in ["ArrowUp"] * 8 + [" "] + ["ArrowDown"] * 16 + [" "] + ["ArrowLeft"] * 5:
        page.keyboard.press("Space" if key == " " else key)
    assert violations(page) == []
    predict(page)
    drawn = sent_picture(gateway, "image")
    assert 0.06 < ink(drawn) < 0.11
    assert page.is_hidden(".pen")


def test_a_stroke_on_an_example_is_sent_with_it(page: Page, gateway: Gateway) -> None:
    open_model(page, gateway, "digits")
    example_with_key(page)
    predict(page)
    assert page.locator(".framed").count() == 0
    pad = drawing(page)
    page.mouse.click(pad["x"] + 20, pad["y"] + 200)
    assert page.inner_text("#verdict") == "The fields have changed. Predict again."
    predict(page)
    first, second = gateway.sent
    assert first == CONTRACTS["digits"]["example"]
    drawn = sent_picture(gateway, "image").convert("L")
    assert drawn.getpixel((20, 200)) == 0
    assert ink(drawn) > 0.2
    assert second != first


def noise(width: int, height: int) -> bytes:
    """A picture that no format makes small."""
    content = io.BytesIO()
    Image.effect_noise((width, height), 90).save(content, "JPEG", quality=95)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "mime", "size", "sent"),
    [
        (noise(1800, 900), "image/jpeg", "1800 × 900", "1024 × 512"),
        (picture(2200, 2000), "image/png", "2200 × 2000", "1024 × 931"),
        (picture(60, 40, "WEBP"), "image/webp", "60 × 40", "60 × 40"),
    ],
    ids=["too many bytes", "too many pixels", "another format"],
)
def test_a_picture_that_the_gateway_refuses_is_made_to_fit_and_the_page_says_so(
    page: Page, gateway: Gateway, content: bytes, mime: str, size: str, sent: str
) -> None:
    open_model(page, gateway, "every-type")
    example_with_key(page)
    upload(page, "photo", mime, content)
    note = page.inner_text('div:has(> label[for="field-photo"]) [role="status"]')
    assert note == f"{size} pixels, sent as {sent}"
    predict(page)
    assert page.inner_text("#form-error") == ""
    picture_ = sent_picture(gateway, "photo")
    assert (picture_.format, "{} × {}".format(*picture_.size)) == ("JPEG", sent)


def test_a_file_that_is_read_late_does_not_come_back(page: Page, gateway: Gateway) -> None:
    open_model(page, gateway, "digits")
    page.fill("#key", KEY)
    page.evaluate(
        """(text) => {
            const content = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([content], "a.png", { type: "image/png" }));
            const input = document.getElementById("field-image");
            input.files = files.files;
            input.dispatchEvent(new Event("change"));
            document.getElementById("empty").click();
        }""",
        CONTRACTS["digits"]["example"]["image"],
    )
    page.wait_for_timeout(300)
    predict(page)
    assert error_at(page, "image") == "Is missing."


def test_a_file_that_is_no_picture_is_refused_where_it_was_chosen(
    page: Page, gateway: Gateway
) -> None:
    open_model(page, gateway, "every-type")
    example_with_key(page)
    box(page, "photo").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    page.wait_for_timeout(200)
    predict(page)
    assert "cannot read this file as a picture" in error_at(page, "photo")
    assert focused(page) == "field-photo"
    assert gateway.posts == 0


# --- Several models


def test_a_model_is_chosen_in_the_page_and_by_its_address(page: Page, gateway: Gateway) -> None:
    assert page.locator("#choice option").all_inner_texts() == [
        f"{CONTRACTS[name]['title']} ({name})" for name in gateway.cloud.served
    ]
    assert page.inner_text("h1") == page.title() == "Flight delay"
    box(page, "origin").select_option("JFK")
    page.select_option("#choice", "arrival-delay")
    expect(page.locator("h1")).to_have_text("Arrival delay")
    assert page.url.endswith("/#arrival-delay")
    assert box(page, "distance").count() == 1
    assert box(page, "dest").count() == 0
    page.go_back()
    expect(page.locator("h1")).to_have_text("Flight delay")
    assert page.input_value("#choice") == "flight-delay"
    assert box(page, "origin").input_value() == "JFK"


def test_an_address_of_a_model_that_is_not_there_says_so_and_links_to_those_that_are(
    page: Page, gateway: Gateway
) -> None:
    page.goto(f"{gateway.address}#gone")
    expect(page.locator("#status")).to_have_text(
        f"There is no model gone here. There are: {', '.join(gateway.cloud.served)}"
    )
    assert page.is_hidden("#model")
    assert (page.inner_text("h1"), page.input_value("#choice")) == ("Predictions", "")
    page.click("#status a[href='#digits']")
    expect(page.locator("h1")).to_have_text(CONTRACTS["digits"]["title"])
    assert page.is_visible("#model")
    assert page.is_hidden("#status")


def test_a_code_that_is_its_label_in_lower_case_is_not_shown_beside_it(page: Page) -> None:
    shown = page.evaluate("[withCode('Mine', 'mine'), withCode('Kennedy', 'JFK')]")
    assert shown == ["Mine", "Kennedy (JFK)"]


def test_an_answer_of_a_model_that_was_left_is_not_shown(page: Page, gateway: Gateway) -> None:
    gateway.held = []
    fill(page)
    page.click("#ask")
    page.select_option("#choice", "arrival-delay")
    expect(page.locator("h1")).to_have_text("Arrival delay")
    expect(page.locator("#ask")).to_have_text("Predict")
    assert page.inner_text("#figure") == "–"
    assert page.inner_text("#verdict") == "Fill in the fields, then predict."


def test_one_model_and_no_key_need_no_chooser_and_no_key(browser: Browser) -> None:
    with gateway_process(cloud_of("arrival-delay"), access="public") as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("h1")).to_have_text("Arrival delay")
        assert page.is_hidden("#key")
        assert page.is_hidden("#choice")
        page.click("#example")
        predict(page)
        assert page.inner_text("#figure") == "12.35 minutes"
        page.close()


def test_models_that_cannot_be_read_yet_are_awaited(page: Page, gateway: Gateway) -> None:
    refusals = cycle([
        {"status": 503, "headers": {"retry-after": "1"}, "json": {"error": {"message": "The lake is away."}}},
        {"abort": "connectionrefused"},
    ])  # fmt: skip
    away = True

    def answer(route: Route) -> None:
        refusal = next(refusals)
        if not away:
            route.continue_()
        elif "abort" in refusal:
            route.abort(str(refusal["abort"]))
        else:
            route.fulfill(**refusal)  # type: ignore[arg-type]

    page.route("**/models/digits", answer)
    page.select_option("#choice", "digits")
    expect(page.locator("#status")).to_have_text(
        "The lake is away. Status 503. The next attempt is in 1 s."
    )
    assert page.is_hidden("#form")
    away = False
    expect(page.locator("h1")).to_have_text("Handwritten digit")
    assert page.is_visible("#form")
    assert page.is_hidden("#status")


def test_another_version_of_a_model_brings_its_form_and_keeps_what_fits(page: Page) -> None:
    """A rollout changes what the endpoint answers with, under a page that is open."""
    contract = deepcopy(CONTRACTS["arrival-delay"])
    *_, distance = contract["fields"]
    distance |= {"name": "miles", "label": "Miles", "required": True}
    contract["example"]["miles"] = contract["example"].pop("distance")
    rolled = Artifact.of(contract)
    cloud = cloud_of("arrival-delay")
    with gateway_process(cloud) as address:
        open_model(page, Gateway(cloud, address), "arrival-delay")
        example_with_key(page)
        predict(page)
        assert page.inner_text("#figure") == "12.35 minutes"
        cloud.keep(rolled)
        cloud.served["arrival-delay"] = rolled
        predict(page)
        expect(page.locator("#verdict")).to_contain_text("new version")
        assert box(page, "distance").count() == 0
        assert box(page, "carrier").input_value() == "UA"
        box(page, "miles").fill("719")
        predict(page)
        assert page.inner_text("#figure") == "12.35 minutes"
        assert cloud.asked[-1] == ("arrival-delay", [contract["example"]])
        assert page.get_attribute("#version", "title") == rolled.version


# --- What is shown


def shown(page: Page, gateway: Gateway, name: str) -> str:
    open_model(page, gateway, name)
    example_with_key(page)
    predict(page)
    return page.inner_text("#result")


def test_a_probability_is_shown_with_the_words_and_the_threshold_of_its_contract(
    page: Page, gateway: Gateway
) -> None:
    text = shown(page, gateway, "flight-delay")
    assert "Arrival: probability of “late”" in text
    assert page.inner_text("#figure") == "83%"
    assert page.inner_text("#verdict") == "Late"
    assert "From 50% on, the answer is “late”, and else “on time”." in text
    assert page.locator(".threshold").get_attribute("style") == "left: 50%;"


def test_the_best_classes_are_shown_with_their_probabilities(page: Page, gateway: Gateway) -> None:
    shown(page, gateway, "digits")
    assert page.inner_text("#figure") == "7"
    rows = [each.split() for each in page.locator(".best li").all_inner_texts()]
    assert rows == [["7", "91%"], ["1", "6%"], ["9", "<1%"]]
    assert page.inner_text("#note") == "The best 3 of 10."


def test_a_number_is_shown_with_its_unit_and_exactly_as_json(page: Page, gateway: Gateway) -> None:
    shown(page, gateway, "arrival-delay")
    assert page.inner_text("#figure") == "12.35 minutes"
    page.click("text=As JSON")
    assert json.loads(page.inner_text("#json")) == {"delay": 12.345678}


def test_the_command_sends_the_same_request_from_a_shell(page: Page, gateway: Gateway) -> None:
    open_model(page, gateway, "every-type")
    page.click("#example")
    box(page, "motto").fill("it's 'quoted' $HOME \\")
    page.locator('div:has(> label[for="field-sign"])').get_by_text("Clear").click()
    page.fill("#key", KEY)
    predict(page)
    assert page.inner_text("#form-error") == ""
    page.click("text=As a command")
    shell = "curl() { for word; do printf '%s\\0' \"$word\"; done; }\n" + page.inner_text(
        "#command"
    )
    run = subprocess.run(["sh", "-c", shell], env={"KEY": KEY}, capture_output=True, text=True)
    address, _, kind, _, key, _, body, _ = run.stdout.split("\0")
    assert address == f"{gateway.address}models/every-type/predict"
    assert (kind, key) == ("content-type: application/json", f"x-api-key: {KEY}")
    assert json.loads(body) == {"instances": gateway.sent}


def test_tensors_are_shown_with_their_shapes_and_a_text_is_never_markup(
    page: Page, gateway: Gateway
) -> None:
    text = shown(page, gateway, "every-type")
    assert "embedding (3 × 2)" in text
    assert "[[0.5,0.25],[1,2],[3,4]]" in text
    assert '["<b>ham</b>"]' in text
    assert page.locator("img").count() == 0
    assert page.inner_text('label[for="field-plan"]') == "</script><img src=x>"


def test_a_long_list_is_sorted_by_name_and_a_short_one_keeps_its_order(
    page: Page, gateway: Gateway
) -> None:
    carriers = box(page, "carrier").locator("option").all_inner_texts()[1:]
    assert carriers == sorted(carriers, key=str.casefold)
    assert carriers != [
        f"{label} ({code})"
        for code, label in CONTRACTS["flight-delay"]["fields"][0]["values"].items()
    ]
    open_model(page, gateway, "every-type")
    assert box(page, "plan").locator("option").all_inner_texts() == [
        "Choose…",
        "small (s)",
        "medium (m)",
        "large (l)",
    ]


def test_a_changed_field_takes_the_verdict_away(page: Page) -> None:
    fill(page)
    predict(page)
    assert page.inner_text("#verdict") == "Late"
    box(page, "departure").fill("06:00")
    assert page.inner_text("#figure") == "–"
    assert page.inner_text("#verdict") == "The fields have changed. Predict again."
    assert page.is_hidden("#facts")


def test_an_answer_for_fields_that_have_changed_is_not_shown(page: Page, gateway: Gateway) -> None:
    gateway.held = []
    fill(page)
    page.click("#ask")
    expect(page.locator("#ask")).to_have_text("Predicting…")
    box(page, "departure").fill("06:00")
    expect(page.locator("#ask")).to_have_text("Predict")
    assert page.inner_text("#verdict") == "The fields have changed. Predict again."
    gateway.held = None
    predict(page)
    assert (page.inner_text("#figure"), gateway.posts) == ("83%", 2)


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
        route.continue_()
    expect(page.locator("#figure")).to_have_text("83%")
    assert gateway.posts == 1


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
        found = page.inner_text("#form-error")
        assert reason in found, status
        assert f"Status {status}" in found
        assert "cannot be reached" not in found
        assert page.inner_text("#verdict") == "No prediction: see the form."


def test_a_refusal_of_the_gateway_is_shown_with_its_own_words(page: Page, gateway: Gateway) -> None:
    gateway.instead = {
        "status": 503,
        "headers": {"retry-after": "5", "x-request-id": "request-9"},
        "json": {"error": {"code": "unavailable", "message": "The model endpoint is away."}},
    }
    fill(page)
    predict(page)
    found = page.inner_text("#form-error")
    assert found == "The model endpoint is away. Status 503 (in 5 s). Request request-9."


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
    assert gateway.posts == 1, "what cannot be a key is not sent"
    page.fill("#key", f" {KEY} ")
    predict(page)
    assert page.evaluate(stored) == KEY
    assert page.evaluate("localStorage.length") == 0
    assert page.context.cookies() == []


def test_an_invalid_field_is_marked_where_it_is_and_has_the_focus(page: Page) -> None:
    fill(page)
    page.click("summary")
    box(page, "temp").fill("warm")
    page.click("summary")
    predict(page)
    assert "Must be a number" in error_at(page, "temp")
    assert box(page, "temp").get_attribute("aria-invalid") == "true"
    assert focused(page) == "field-temp"
    box(page, "temp").fill("50")
    assert box(page, "temp").get_attribute("aria-invalid") == "false"


@pytest.mark.parametrize(
    ("name", "field"), [("flight-delay", "departure"), ("every-type", "seen.at:0")]
)
def test_a_time_that_is_typed_in_part_is_not_left_out_silently(
    page: Page, gateway: Gateway, name: str, field: str
) -> None:
    open_model(page, gateway, name)
    example_with_key(page)
    box(page, field).focus()
    page.keyboard.press("Delete")
    predict(page)
    assert error_at(page, field) == "It is not complete."
    assert gateway.posts == 0


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_keyboard_alone_predicts(page: Page, gateway: Gateway, name: str) -> None:
    page.goto(gateway.address)
    expect(page.locator("#model")).to_be_visible()
    order = []
    for _ in range(60):
        page.keyboard.press("Tab")
        order.append(focused(page))
        if order[-1] == "choice":
            page.keyboard.type(CONTRACTS[name]["title"])
            expect(page.locator("h1")).to_have_text(CONTRACTS[name]["title"])
            expect(page.locator("#model")).to_be_visible()
        elif order[-1] == "example":
            page.keyboard.press("Enter")
        elif order[-1] == "key":
            page.keyboard.type(KEY)
        elif order[-1] == "ask":
            page.keyboard.press("Enter")
            break
    expect(page.locator("#facts")).to_be_visible()
    assert gateway.sent == [CONTRACTS[name]["example"]]
    asked = [f"field-{each['name']}" for each in CONTRACTS[name]["fields"]]
    required = [f"field-{each['name']}" for each in CONTRACTS[name]["fields"] if each["required"]]
    reached = list(dict.fromkeys(each for each in order if each in asked))
    assert reached == required + [each for each in asked if each not in required]


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_page_is_accessible_and_fits_each_window(
    page: Page, gateway: Gateway, name: str
) -> None:
    page.emulate_media(reduced_motion="reduce")
    open_model(page, gateway, name)
    example_with_key(page)
    predict(page)
    page.click("text=As JSON")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert violations(page) == [], scheme
    assert widths_with_sideways_scrolling(page) == []
    gateway.instead = {"status": 422, "json": {"error": {"message": "x" * 30, "fields": [
        {"field": f"instances[0].{each}", "reason": "must be " + json.dumps("y" * 60)}
        for each in CONTRACTS[name]["example"]
    ]}}}  # fmt: skip
    predict(page)
    assert violations(page) == []
    assert widths_with_sideways_scrolling(page) == []
