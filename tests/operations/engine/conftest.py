"""The rehearsal's context, for what signs in to it."""

from tests.unit.rehearsal.conftest import contexts, live_context

__all__ = ["contexts", "live_context"]
