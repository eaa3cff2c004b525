"""What a page in the engineer's browser can send is refused by every listener of the rehearsal."""

from __future__ import annotations

import pytest

from rehearsal.core.request_guard import refusal

HERE = {"host": "127.0.0.1:4000"}
FOLLOWED_LINK = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        (HERE, "POST"),
        ({"host": "localhost:4000"}, "GET"),
        ({"host": "[::1]:4000"}, "GET"),
        ({**HERE, "origin": "http://127.0.0.1:4000"}, "POST"),
        ({**HERE, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, "POST"),
        ({**HERE, "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, "GET"),
        ({**HERE, **FOLLOWED_LINK}, "GET"),
    ],
)
def test_clients_the_own_page_and_a_followed_link_are_answered(
    headers: dict[str, str], method: str
) -> None:
    assert refusal(headers, scheme="http", method=method) is None


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        ({}, "GET"),
        ({"host": ""}, "GET"),
        ({"host": "127.0.0.1"}, "GET"),
        ({"host": "evil.example:4000"}, "GET"),
        ({"host": "127.0.0.1.evil.example:4000"}, "GET"),
        ({"host": "evil.example@127.0.0.1:4000"}, "GET"),
        ({**HERE, "origin": "null"}, "POST"),
        ({**HERE, "origin": "https://127.0.0.1:4000"}, "POST"),
        ({**HERE, "origin": "http://127.0.0.1:4001"}, "POST"),
        ({**HERE, "origin": "http://localhost:4000"}, "POST"),
        ({**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "GET"),
        ({**HERE, "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, "GET"),
        ({**HERE, **FOLLOWED_LINK}, "POST"),
        ({**HERE, **FOLLOWED_LINK, "sec-fetch-dest": "iframe"}, "GET"),
    ],
)
def test_another_host_and_a_page_of_another_origin_are_refused(
    headers: dict[str, str], method: str
) -> None:
    assert refusal(headers, scheme="http", method=method)
