"""The rehearsal's context, for lakes in its object stores."""

from tests.unit.rehearsal.conftest import contexts, live_context

__all__ = ["contexts", "live_context"]
