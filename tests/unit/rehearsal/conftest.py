"""A world as the resident process has it, for tests that start real things."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rehearsal.provider.context import World
from rehearsal.server import assemble


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Each call makes the world that a rehearsal finds when it starts over the same state.

    The one before is left as a kill -9 leaves it: nothing is closed, its processes run.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made: list[World] = []

    def make() -> World:
        for former in made:
            former.objects.close()  # a dead rehearsal's supervision is dead too
            asyncio.run_coroutine_threadsafe(former.doors.close_all(), loop).result(20)
        world = assemble(tmp_path, 1)
        world.loop = loop
        made.append(world)
        return world

    yield make
    for world in made:
        world.objects.close()
        asyncio.run_coroutine_threadsafe(world.doors.close_all(), loop).result(20)
        asyncio.run_coroutine_threadsafe(world.workloads.close(), loop).result(20)
    for world in made:
        world.children.stop_all()
        world.store.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def live_world(worlds: Callable[[], World]) -> World:
    """One world."""
    return worlds()
