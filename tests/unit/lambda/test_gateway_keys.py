"""Who is let in, and how a rotated key reaches a process that is already running."""

from __future__ import annotations

import pytest
from gateway.core import Refusal
from gateway.keys import MAX_AGE_SECONDS, SecretKey, same


class Store:
    """A secret store and a clock, both in the test's hand."""

    def __init__(self, key: str) -> None:
        self.key, self.reads, self.now, self.down = key, 0, 1000.0, False

    def fetch(self) -> str:
        self.reads += 1
        if self.down:
            raise ConnectionError
        return self.key


def test_only_the_very_key_is_the_same() -> None:
    assert same("a secret key", "a secret key")
    for other in ("", "a secret ke", "a secret key ", "A secret key", "á", "\udcff"):
        assert not same(other, "a secret key")


def test_a_rotated_key_takes_over_within_the_age_limit_and_the_former_one_stops() -> None:
    store = Store("old")
    key = SecretKey(store.fetch, lambda: store.now)
    assert key.admits("old")
    store.key = "new"
    store.now += MAX_AGE_SECONDS - 1
    assert key.admits("old")
    store.now += 1
    assert key.admits("new")
    assert not key.admits("old")


def test_guessing_keys_does_not_reach_the_secret_store() -> None:
    store = Store("key")
    key = SecretKey(store.fetch, lambda: store.now)
    assert not any(key.admits(f"guess {n}") for n in range(1000))
    assert store.reads == 1


def test_a_store_that_is_down_keeps_the_last_key_and_without_one_refuses_with_503() -> None:
    store = Store("key")
    key = SecretKey(store.fetch, lambda: store.now)
    store.down = True
    with pytest.raises(Refusal) as refused:
        key.admits("")
    assert refused.value.status == 503
    store.down = False
    assert key.admits("key")
    store.down = True
    store.now += 2 * MAX_AGE_SECONDS
    assert key.admits("key")
    assert not key.admits("guess")
