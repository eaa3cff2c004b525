"""What a client may send as a body, and what the services make of it."""

from __future__ import annotations

import pytest

from rehearsal.core.request_bodies import InvalidBody, form, json_object, json_value


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'"\xff"',
        b"[" * 100_000,
        b"9" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
    ],
)
def test_a_body_that_is_no_json_or_that_no_answer_can_repeat_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBody, match="not valid JSON"):
        json_value(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"'])
def test_a_body_that_is_no_object_is_refused_where_an_object_is_wanted(body: bytes) -> None:
    with pytest.raises(InvalidBody, match="no JSON object"):
        json_object(body)


def test_an_empty_body_is_an_empty_object() -> None:
    assert json_object(b"") == {}


def test_a_form_that_is_not_utf_8_has_replacement_characters() -> None:
    assert form(b"Action=caf\xe9&b=%ff&Action=x") == {"Action": "x", "b": "\ufffd"}
