"""Continuous delivery: what CI runs after a merge, and the same on a laptop, in the rehearsal.

``merge`` (`make deliver`) delivers to two stages in the rehearsal: tests, policies, then staging (preview, update,
smoke test, load test), then production. ``release`` and ``drift`` do one stack of the shell's environment: a
real cloud, in CI. ``review`` shows a reader what a branch changes. A gate that fails ends the run with exit code 1,
and nothing after it is touched.
"""
