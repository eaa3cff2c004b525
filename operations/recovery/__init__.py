"""Bring the state and the cloud together again: after an interrupted run, and when the state is lost.

`interrupted_run` is for `make up` after a kill. `copy_search`, `trial_stack` and `importer` are the parts of
`make adopt`. Both let the engine read resources by `probes`, under the ids of `physical_ids`. Nothing in this package
creates, changes or deletes a resource in a cloud: why it works this way is in docs/design.
"""
