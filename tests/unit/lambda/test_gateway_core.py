"""The gateway's answer to every request, without a cloud."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from gateway.contract import MAX_ERRORS
from gateway.core import RequestHandler
from gateway.http import Answer, Request, unavailable
from gateway.predictor import EndpointUnavailable, ModelRefused
from hypothesis import example, given, settings
from hypothesis import strategies as st

from . import gateway_models as models
from .gateway_models import (
    DOCUMENTS,
    FLIGHT,
    KEY,
    PREDICTIONS,
    VERSIONS,
    contract,
    error,
    got,
    handler,
)

VERSION = VERSIONS["flight-delay"]
PREDICTION = PREDICTIONS["flight-delay"]
HANDLER = handler()
ALL = handler(*DOCUMENTS)


def answer_to(body: Any, *, at: RequestHandler = HANDLER, **changes: Any) -> Answer:
    return models.answer_to(body, at=at, **changes)


def reasons(**changes: Any) -> dict[str, str]:
    """The reasons against the example flight with these changes, by field."""
    flight = {name: value for name, value in {**FLIGHT, **changes}.items() if value is not ...}
    answer = answer_to({"instances": [flight]})
    if answer.status == 200:
        return {}
    assert answer.status == 422
    prefix = "instances[0]."
    return {e["field"].removeprefix(prefix): e["reason"] for e in error(answer)["fields"]}


def test_a_flight_gets_its_prediction_and_the_model_version_and_is_captured() -> None:
    answer = answer_to({"instances": [FLIGHT, FLIGHT]})
    assert answer.status == 200
    content = {"predictions": [PREDICTION] * 2, "model": "flight-delay", "model_version": VERSION}
    assert json.loads(answer.body) == content
    assert answer.headers["x-request-id"] == "request-1"
    assert answer.capture == {"instances": [FLIGHT, FLIGHT], **json.loads(answer.body)}


def test_an_optional_field_may_be_left_out_or_null() -> None:
    assert reasons(temp=...) == {}
    answer = answer_to({"instances": [{**FLIGHT, "temp": None}]})
    assert answer.capture
    assert "temp" not in answer.capture["instances"][0]


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"carrier": ...}, "carrier", "is missing"),
        ({"carrier": None}, "carrier", "is missing"),
        ({"date": ...}, "date", "is missing; a date as YYYY-MM-DD"),
        ({"departure": ...}, "departure", "is missing; a time as HH:MM, New York time"),
        ({"carrier": "ua"}, "carrier", "nearest: UA (United Air Lines Inc.)"),
        ({"carrier": "United"}, "carrier", "nearest: UA (United Air Lines Inc.)"),
        ({"carrier": 7}, "carrier", "not 7"),
        ({"origin": "JKF"}, "origin", "must be one of EWR, JFK, LGA"),
        ({"dest": "SF0"}, "dest", "SFO (San Francisco Intl)"),
        ({"dest": "San Fran"}, "dest", "SFO (San Francisco Intl)"),
        ({"dest": ["SFO"]}, "dest", "not an array"),
        ({"date": "2014-01-01"}, "date", "from 2013-01-01 to 2013-12-31"),
        ({"date": "2013-02-30"}, "date", "not a day of the calendar"),
        ({"date": "20130105"}, "date", "must be a date like"),
        ({"date": "2013-01-05T00:00"}, "date", "must be a date like"),
        ({"departure": "24:00"}, "departure", 'like "18:30"'),
        ({"departure": "8:30"}, "departure", 'like "18:30"'),
        ({"departure": 1830}, "departure", "not 1830"),
        ({"temp": "28"}, "temp", 'must be a number, not "28"'),
        ({"temp": True}, "temp", "must be a number, not true"),
        ({"temp": 1000}, "temp", "from -20 to 110 °F, not 1000"),
        ({"temp": 10**4000}, "temp", "from -20 to 110"),
        ({"temp": {"a": {}}}, "temp", "not an object"),
        ({"humid": -0.001}, "humid", "from 0 to 100 %"),
        ({"wind_speeed": 3}, "wind_speeed", "did you mean wind_speed?"),
        ({"zzz": 3}, "zzz", "known: carrier, origin"),
    ],
)
def test_a_wrong_field_is_named_with_the_reason_and_the_nearest_values(
    changes: dict[str, Any], field: str, reason: str
) -> None:
    found = reasons(**changes)
    assert list(found) == [field]
    assert reason in found[field]
    assert len(found[field]) < 400


def test_all_wrong_fields_are_listed_up_to_the_limit() -> None:
    assert set(reasons(carrier="??", date="x", temp="x")) == {"carrier", "date", "temp"}
    answer = answer_to({"instances": [{}] * 50})
    assert len(error(answer)["fields"]) == MAX_ERRORS


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ([], "$", "not an array"),
        ("text", "$", 'not "text"'),
        ({}, "instances", "is missing"),
        ({"instances": {}}, "instances", "not an object"),
        ({"instances": []}, "instances", "1 to 100 entries, not 0"),
        ({"instances": [FLIGHT] * 101}, "instances", "1 to 100 entries, not 101"),
        ({"instances": [FLIGHT], "parameters": {}}, "parameters", "not known"),
        ({"instances": [7]}, "instances[0]", "must be an object, not 7"),
        ({"instances": [FLIGHT, {**FLIGHT, "dest": "?"}]}, "instances[1].dest", "must be one of"),
    ],
)
def test_a_wrong_batch_is_refused_with_the_path(body: Any, field: str, reason: str) -> None:
    answer = answer_to(body)
    assert answer.status == 422
    (found,) = error(answer)["fields"]
    assert found["field"] == field
    assert reason in found["reason"]


def test_a_long_name_or_value_of_the_caller_is_repeated_only_in_part() -> None:
    name, value = "x" * 1000, "y" * 1000
    answer = answer_to({"instances": [FLIGHT], name: 1})
    assert [each["field"] for each in error(answer)["fields"]] == ["x" * 60]
    assert list(reasons(**{name: 1})) == ["x" * 60]
    assert f'not "{"y" * 38}…' in reasons(carrier=value)["carrier"]
    assert reasons(temp="y" * 38)["temp"] == f'must be a number, not "{"y" * 38}"'
    twice = answer_to(f'{{"{name}": 1, "{name}": 2}}'.encode())
    assert f'"{"x" * 60}" is given twice' in error(twice)["message"]


@pytest.mark.parametrize(("count", "listed"), [(20, True), (21, False)])
def test_up_to_twenty_codes_are_listed_in_the_reason(count: int, listed: bool) -> None:
    codes = {f"c{number}": "name" for number in range(count)}
    field = {"name": "code", "type": "category", "required": True, "values": codes}
    _, (found,) = contract(fields=[field]).check({"instances": [{"code": 7}]})
    assert ("c0, c1, c2" in found.reason) == listed
    assert (f"one of its {count} codes" in found.reason) != listed


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("ALPHA", "AA (Alpha 1), AB (Alpha 2), AC (Alpha 3)"),
        (" mega ", "ZZ (Omega)"),
        ("om", ""),  # two letters are a code, not a part of a name
        ("zy", "ZZ (Omega)"),
        ("zyx", ""),
        ("q", ""),
        ("x" * 41 + "omega", ""),
    ],
)
def test_the_nearest_codes_are_the_first_three_by_name_or_else_by_spelling(
    given: str, nearest: str
) -> None:
    codes = {f"A{letter}": f"Alpha {1 + number}" for number, letter in enumerate("ABCD")}
    values = {**codes, "ZZ": "Omega"}
    field = {"name": "code", "type": "category", "required": True, "values": values}
    _, (found,) = contract(fields=[field]).check({"instances": [{"code": given}]})
    assert found.reason.partition("; nearest: ")[2] == nearest


def codes(count: int, length: int) -> list[str]:
    """Codes that are alike: their comparison takes longest."""
    letters = random.Random(1)
    return ["".join(letters.choices("abcdef", k=length)) + str(each) for each in range(count)]


@pytest.mark.parametrize(
    ("values", "names", "wrong"),
    [(2000, 1, "values"), (200, 1, "values"), (1, 500, "names")],
)
def test_errors_by_the_dozen_take_little_of_the_time_of_other_callers(
    values: int, names: int, wrong: str
) -> None:
    """While one request is checked, every other one of the process waits."""
    of = {code: code for code in codes(values, 40)}
    field = {"type": "category", "required": False, "values": of}
    fields = [{"name": name, **field} for name in codes(names, 40)]
    many = contract(fields=fields, max_batch=20)
    if wrong == "values":
        sent = [{fields[0]["name"]: f"{code[:-4]}zz"} for code in [*of][:20]]
    else:
        sent = [{f"{each['name'][:-4]}zz": 1 for each in fields[:20]}]
    started = time.process_time()
    _, errors = many.check({"instances": sent})
    assert time.process_time() - started < 0.3, "3.4 s to 18 s when each code is compared"
    assert len(errors) == 20
    hinted = [each for each in errors if "; nearest: " in each.reason or "did you" in each.reason]
    assert hinted == errors[:3]


@pytest.mark.parametrize(
    ("field", "first", "last", "outside"),
    [
        ("temp", -20, 110, [-20.5, 110.5]),
        ("date", "2013-01-01", "2013-12-31", ["2012-12-31", "2014-01-01"]),
    ],
)
def test_both_ends_of_a_range_are_inside(
    field: str, first: Any, last: Any, outside: list[Any]
) -> None:
    assert reasons(**{field: first}) == reasons(**{field: last}) == {}
    assert all(list(reasons(**{field: each})) == [field] for each in outside)


def test_as_many_errors_as_there_is_room_for_are_announced_as_the_first() -> None:
    assert "each is listed" in error(answer_to({"instances": [{}]}))["message"]
    answer = answer_to({"instances": [{}] * 50})
    assert f"the first {MAX_ERRORS} are listed" in error(answer)["message"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "line 1, column 1"),
        (b"{", "line 1, column 2"),
        (b'{"instances": [NaN]}', "NaN is not JSON"),
        (b'{"instances": [-Infinity]}', "-Infinity is not JSON"),
        (b'{"instances": [], "instances": []}', 'key \\"instances\\" is given twice'),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        ('{"instances": []}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "4300 digits"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
def test_a_body_that_is_not_json_is_a_400_with_the_position(body: bytes, reason: str) -> None:
    answer = answer_to(body)
    assert answer.status == 400
    assert reason in answer.body.decode()


def test_an_image_of_the_size_that_its_contract_allows_always_fits() -> None:
    """The setting's limit is for everything else: at 256 KiB, no digit of 256 KiB would get through in base64."""
    (field,) = DOCUMENTS["digits"]["fields"]
    small = base64.b64decode(DOCUMENTS["digits"]["example"]["image"])

    def status(size: int, padding: int = 0, path: str = "/models/digits/predict") -> int:
        image = base64.b64encode(small.ljust(size, b"\0")).decode()
        body = json.dumps({"instances": [{"image": image}]}) + " " * padding
        return answer_to(body.encode(), path=path, at=ALL).status

    assert field["max_bytes"] > ALL.max_body_bytes
    assert status(field["max_bytes"]) == 200
    assert status(field["max_bytes"], ALL.max_body_bytes - 1000) == 200
    assert status(field["max_bytes"], ALL.max_body_bytes) == 413
    assert status(field["max_bytes"], path="/models/flight-delay/predict") == 413


def test_the_room_for_images_is_there_before_their_contract_is_read() -> None:
    cold = handler("digits")
    path = "/models/digits/predict"
    assert wanted(cold, path) == ("digits", cold.max_body_bytes + 2**20 // 3 * 4 + 4)
    image = base64.b64encode(
        base64.b64decode(DOCUMENTS["digits"]["example"]["image"]).ljust(100_000, b"\0")
    ).decode()
    body = {"instances": [{"image": image}]}
    assert answer_to(body, path=path, at=cold).status == 200
    assert wanted(cold, path) == ("digits", cold.max_body_bytes + 349_528)


def wanted(at: RequestHandler, path: str, method: str = "POST", key: str = KEY) -> tuple[str, int]:
    return asyncio.run(at.wanted_body(Request(method, path, {"x-api-key": key}, b"", "r")))


def test_no_body_is_wanted_of_a_stranger_nor_where_it_changes_nothing() -> None:
    one = handler("digits")
    for path in ("/models/digits/predict", "/v2/models/digits/infer", "/predict"):
        assert wanted(one, path)[0] == "digits"
        assert wanted(one, path, key="guess") == ("", 0)
        assert wanted(one, path, "GET") == ("", 0)
    versioned = f"/v2/models/digits/versions/{VERSIONS['digits']}/infer"
    assert wanted(ALL, versioned)[0] == "digits"
    for path in ("/predict", "/models", "/models/digits", "/models/churn/predict", "/nothing"):
        assert wanted(ALL, path) == ("", 0)


def test_a_body_may_have_the_images_of_its_own_model_and_not_of_the_one_with_the_largest() -> None:
    got("/models", ALL)
    assert wanted(ALL, "/models/flight-delay/predict") == ("flight-delay", ALL.max_body_bytes)
    assert wanted(ALL, "/models/digits/predict")[1] > ALL.max_body_bytes


def test_images_of_many_fields_have_the_room_of_one_together() -> None:
    """A contract that no check of this version has seen."""
    image = {"type": "image", "required": True, "max_bytes": 2**20}
    many = contract(fields=[{"name": f"i{number}", **image} for number in range(400)])
    assert many.image_bytes == 2**20 // 3 * 4 + 4


def test_a_key_that_cannot_be_read_is_a_503_without_the_body() -> None:
    async def unreadable(key: str) -> bool:
        raise unavailable("The key cannot be read.", "secret store")

    at = replace(handler("digits"), admits=unreadable)
    assert wanted(at, "/predict") == ("", 0)
    assert answer_to(b"", at=at).status == 503


def test_a_number_too_large_for_a_float_is_out_of_range_and_not_infinite() -> None:
    body = json.dumps({"instances": [{**FLIGHT, "temp": 12.5}]}).replace("12.5", "1e999").encode()
    assert "finite" in error(answer_to(body))["fields"][0]["reason"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"path": "/nothing"}, 404),
        ({"path": "/predict/"}, 404),
        ({"path": ""}, 404),
        ({"method": "GET"}, 405),
        ({"method": "POST", "path": "/"}, 405),
        ({"x_api_key": ""}, 401),
        ({"x_api_key": "guess"}, 401),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": ""}, 415),
        ({"content_type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_each_mistake_has_its_status(changes: dict[str, Any], status: int) -> None:
    assert answer_to({"instances": [FLIGHT]}, **changes).status == status


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"path": "/nothing"}, "not_found"),
        ({"method": "GET"}, "method_not_allowed"),
        ({"x_api_key": "guess"}, "unauthorized"),
        ({"content_type": "text/plain"}, "unsupported_media_type"),
        ({"body": b" " * (64 * 1024 + 1)}, "too_large"),
        ({"body": {"instances": [{}]}}, "invalid"),
    ],
)
def test_each_mistake_has_a_code_that_callers_can_rely_on(
    changes: dict[str, Any], code: str
) -> None:
    assert error(answer_to(changes.pop("body", {}), **changes))["code"] == code


def test_a_caller_without_a_key_is_told_where_it_belongs() -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#name-401-unauthorized: a 401 has a challenge."""
    asked = list[str]()

    async def refuses(key: str) -> bool:
        asked.append(key)
        return False

    refusing = replace(handler(), admits=refuses)
    request = Request("POST", "/predict", {}, b"{}", "request-1")
    answer = asyncio.run(refusing.answer(request))
    assert answer.headers["www-authenticate"] == 'ApiKey header="x-api-key"'
    assert asked == [""]


@pytest.mark.parametrize("path", ["/", "/models", "/models/flight-delay", "/openapi.json"])
def test_what_a_rollout_changes_is_not_kept_by_browsers(path: str) -> None:
    assert answer_to(b"", method="GET", path=path).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("probability", [0, 0.0, 1, 1.0])
def test_a_certain_prediction_is_a_prediction(probability: float) -> None:
    prediction = {"probability": probability, "late": True}
    given = {"predictions": [prediction], "model_version": VERSION}
    answer = answer_to({"instances": [FLIGHT]}, at=handler(ask=lambda *_: given))
    assert json.loads(answer.body) == {**given, "model": "flight-delay"}


def test_a_refusal_without_another_cause_has_its_code_in_the_log() -> None:
    assert answer_to({}, path="/nothing").cause == "not_found"


def test_a_wrong_method_is_answered_with_the_allowed_ones() -> None:
    assert answer_to({}, method="DELETE").headers["allow"] == "POST"
    assert answer_to({}, method="POST", path="/healthz").headers["allow"] == "GET, HEAD"


def test_a_body_over_the_limit_is_a_413_and_one_at_the_limit_is_not() -> None:
    assert answer_to(b" " * (64 * 1024 + 1)).status == 413
    assert answer_to(b" " * 64 * 1024).status == 400


def test_a_caller_without_the_key_learns_only_that_the_key_is_wrong() -> None:
    assert answer_to(b"{", x_api_key="guess").status == 401
    assert answer_to(b" " * 100_000, content_type="x/y", x_api_key="guess").status == 401


@pytest.mark.parametrize(
    "failure",
    [
        EndpointUnavailable("429: ThrottlingException"),
        {"predictions": []},
        {"predictions": [{"probability": 0.2, "late": False}]},
        {"predictions": [], "model_version": VERSION},
        {"predictions": [{"probability": math.nan, "late": False}], "model_version": VERSION},
        {"predictions": [{"probability": 7, "late": False}], "model_version": VERSION},
        {"predictions": [{"probability": 0.5, "late": 1}], "model_version": VERSION},
        ["anything"],
        None,
    ],
)
def test_an_endpoint_that_fails_is_a_503_with_the_time_of_the_next_try(failure: Any) -> None:
    def ask(model: str, instances: list[dict[str, Any]]) -> object:
        if isinstance(failure, Exception):
            raise failure
        return failure

    answer = answer_to({"instances": [FLIGHT]}, at=handler(ask=ask))
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"
    assert error(answer)["code"] == "unavailable"
    assert answer.cause.startswith("endpoint: ")
    assert "Throttling" not in answer.body.decode()
    assert answer.capture is None


def test_a_model_that_refuses_the_input_is_a_422() -> None:
    def ask(model: str, instances: list[dict[str, Any]]) -> object:
        raise ModelRefused("422: internal words")

    answer = answer_to({"instances": [FLIGHT]}, at=handler(ask=ask))
    assert answer.status == 422
    assert error(answer)["code"] == "model_refused"
    assert answer.cause == "422: internal words"
    assert "internal words" not in answer.body.decode()


@pytest.mark.parametrize(
    ("reason", "fields", "words"),
    [
        (
            "instances[0].image is no PNG: its data ends early",
            [{"field": "instances[0].image", "reason": "is no PNG: its data ends early"}],
            "the reason is listed",
        ),
        (
            "instances[12].serving_default_x:0 is 7; it should be a text",
            [{"field": "instances[12].serving_default_x:0", "reason": "is 7; it should be a text"}],
            "the reason is listed",
        ),
        ("instances[3] is not an object", [{"field": "instances[3]", "reason": "is not an object"}], ""),
        ("probabilities came out as NaN", None, "own: probabilities came out as NaN"),
        ("", None, "though each field is valid on its own."),
    ],
)  # fmt: skip
def test_the_model_servers_reason_reaches_the_caller_at_its_place(
    reason: str, fields: Any, words: str
) -> None:
    def ask(model: str, instances: list[dict[str, Any]]) -> object:
        raise ModelRefused("400: ModelError", reason, VERSION)

    answer = answer_to({"instances": [FLIGHT]}, at=handler(ask=ask))
    assert (answer.status, error(answer)["code"]) == (422, "model_refused")
    assert error(answer).get("fields") == fields
    assert words in error(answer)["message"]


READ = ["/", "/health", "/healthz", "/models", "/models/digits", "/openapi.json"]
READ_V2 = [
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/digits",
    "/v2/models/digits/ready",
]


@pytest.mark.parametrize("path", READ + READ_V2)
def test_head_is_get_without_the_body(path: str) -> None:
    found, head = got(path, ALL), answer_to(b"", method="HEAD", path=path, at=ALL)
    assert (head.status, head.headers, head.body) == (200, found.headers, b"")
    assert found.body


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_the_health_names_the_code_and_the_version_of_each_models_last_prediction(
    path: str,
) -> None:
    """A probe must not call the endpoint: it would wake a serverless one, and wait for it."""
    at = handler("flight-delay", "digits")
    health = {"status": "ok", "code_version": "c0de"}
    none = {"flight-delay": None, "digits": None}
    assert json.loads(got(path, at).body) == {**health, "models": none}
    answer_to({"instances": [FLIGHT]}, path="/models/flight-delay/predict", at=at)
    known = {**none, "flight-delay": VERSION}
    assert json.loads(got(path, at).body) == {**health, "models": known}


def test_the_page_has_its_own_policy_and_its_own_type() -> None:
    answer = got("/", HANDLER)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == HANDLER.page.policy
    assert answer.body == HANDLER.page.html


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/predict", "/v2/nothing"])
def test_every_answer_has_the_security_headers_and_the_request_id(path: str) -> None:
    """https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html"""
    headers = answer_to(b"", method="GET", path=path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["content-security-policy"].startswith("default-src 'none'; ")
    assert headers["content-security-policy"].endswith("frame-ancestors 'none'")
    assert headers["x-request-id"] == "request-1"


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/predict"])
def test_every_answer_but_the_page_is_compact_json_that_nobody_keeps(path: str) -> None:
    answer = answer_to({"instances": [FLIGHT]}, method="GET", path=path)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.body == json.dumps(json.loads(answer.body), separators=(",", ":")).encode()


def test_the_models_are_listed_with_title_question_and_version() -> None:
    entries = json.loads(got("/models", ALL).body)["models"]
    assert entries == [
        {
            "name": name,
            "ready": True,
            "model_version": VERSIONS[name],
            "title": document["title"],
            "question": document["question"],
        }
        for name, document in DOCUMENTS.items()
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_contract_of_a_model_is_served_with_its_version(name: str) -> None:
    content = json.loads(got(f"/models/{name}", ALL).body)
    assert content == {**DOCUMENTS[name], "model_version": VERSIONS[name]}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_model_answers_its_own_example_by_its_own_contract(name: str) -> None:
    body = {"instances": [DOCUMENTS[name]["example"]]}
    answer = answer_to(body, path=f"/models/{name}/predict", at=ALL)
    assert json.loads(answer.body) == {
        "predictions": [PREDICTIONS[name]],
        "model": name,
        "model_version": VERSIONS[name],
    }
    assert answer.capture
    assert (answer.capture["model"], answer.capture["instances"]) == (name, body["instances"])


def test_the_short_route_is_there_while_there_is_one_model() -> None:
    answer = answer_to({"instances": [FLIGHT]}, at=ALL)
    assert answer.status == 404
    assert "POST /models/digits/predict" in error(answer)["message"]


@pytest.mark.parametrize("path", ["/models/{}", "/models/{}/predict", "/v2/models/{}/infer"])
def test_an_unknown_model_is_a_404_with_the_nearest_name(path: str) -> None:
    answer = answer_to({}, path=path.format("flight-dely"), at=ALL)
    assert answer.status == 404
    assert "Did you mean flight-delay?" in answer.body.decode()
    assert "digits" in answer_to({}, path=path.format("zzz"), at=ALL).body.decode()


def assert_well_formed(answer: Answer) -> None:
    """An expected status, valid headers, an error with a code, and nothing from inside of the gateway."""
    assert answer.status in {200, 400, 401, 404, 405, 413, 415, 422}
    assert answer.headers["x-request-id"]
    for name, value in answer.headers.items():
        assert (name + value).isprintable()
    if not answer.headers["content-type"].startswith("text/html"):
        content = json.loads(answer.body)
        if answer.status != 200:
            assert content["error"]["code"]
            assert content["error"]["message"]
    for word in (b"Traceback", b'File "', b"Error:", b"lambda/"):
        assert word not in answer.body


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(list(FLIGHT)), inner)
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
@example(b"\x00")
@example(b'"\\ud800"')
@example(b'{"\\ud800": 1, "\\ud800": 2}')
def test_any_bytes_get_an_answer_below_500(body: bytes) -> None:
    assert_well_formed(answer_to(body))


@settings(max_examples=150, deadline=None)
@given(ANYTHING)
@example({"\ud800": 1})
@example({"instances": [{"carrier": "\ud800"}]})
def test_any_json_gets_an_answer_below_500(body: Any) -> None:
    assert_well_formed(answer_to(body))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(list(FLIGHT)) | st.text(max_size=9), ANYTHING))
def test_any_change_of_a_flight_gets_an_answer_below_500(changes: dict[str, Any]) -> None:
    assert_well_formed(answer_to({"instances": [{**FLIGHT, **changes}]}))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20), st.text(max_size=40), st.text(max_size=30), st.text(max_size=30))
def test_any_method_path_and_header_gets_an_answer_below_500(
    method: str, path: str, key: str, kind: str
) -> None:
    for each in (path, "/" + path, "/predict"):
        assert_well_formed(answer_to({"instances": [FLIGHT]}, method=method, path=each))
        assert_well_formed(
            answer_to({"instances": [FLIGHT]}, path=each, x_api_key=key, content_type=kind)
        )


@pytest.mark.parametrize(
    ("path", "method", "status", "words"),
    [
        ("/models/digits/predict", "POST", 413, "Ask for fewer instances at a time."),
        ("/v2/models/digits/infer", "POST", 413, "Ask for fewer instances at a time."),
        ("/openapi.json", "GET", 503, "GET /models/{name} has the contract of one model."),
    ],
)
def test_an_answer_that_the_host_cannot_send_is_an_error_in_words(
    path: str, method: str, status: int, words: str
) -> None:
    """The front end of Lambda would answer 502 in its place, without a reason."""
    at = replace(ALL, sendable=lambda answer: False)
    image = DOCUMENTS["digits"]["example"]
    body: Any = {"instances": [image]}
    if path.startswith("/v2"):
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [image["image"]]}
        body = {"inputs": [tensor]}
    answer = answer_to(body, at=at, path=path, method=method)
    assert (answer.status, answer.capture) == (status, None)
    assert words in answer.body.decode()
    assert ("retry-after" in answer.headers) is False
    content = json.loads(answer.body)["error"]
    assert isinstance(content, str) == path.startswith("/v2")
