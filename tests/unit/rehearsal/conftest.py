"""A context as the resident process has it, for tests that start real things."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rehearsal.provider.context import Context
from rehearsal.server import assemble
from tests.unit.rehearsal import known_names, known_shapes


@pytest.fixture
def contexts(tmp_path: Path) -> Iterator[Callable[[], Context]]:
    """Each call makes the context that a rehearsal finds when it starts over the same state.

    The one before is left as a kill -9 leaves it: nothing is closed, its processes run.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made: list[Context] = []

    def make() -> Context:
        for former in made:
            former.object_stores.close()  # a dead rehearsal's supervision is dead too
            asyncio.run_coroutine_threadsafe(former.endpoints.close_all(), loop).result(20)
        context = assemble(tmp_path, 1, loop)
        made.append(context)
        return context

    yield make
    for context in made:
        context.object_stores.close()
        asyncio.run_coroutine_threadsafe(context.endpoints.close_all(), loop).result(20)
        asyncio.run_coroutine_threadsafe(context.containers.close(), loop).result(20)
    for context in made:
        context.processes.stop_all()
        context.store.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def live_context(contexts: Callable[[], Context]) -> Context:
    """One context."""
    return contexts()


MADE_UP = ("test_core_store.py", "test_grants.py", "test_recovery.py")
"""Whose records have inputs that no type has."""


@pytest.fixture(autouse=True)
def names_are_the_services_own(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the rehearsal reads and writes of resources, requests and answers has the names that their types have."""
    if request.path.name in MADE_UP:
        return
    known_names.judge(monkeypatch)
    known_shapes.judge(monkeypatch)
