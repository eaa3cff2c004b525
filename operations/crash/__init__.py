"""The crash matrix: each step of each operation on each cloud meets a fault, and `make up` must recover from it.

A *scenario* is one operation (create, update, replace, delete) on one cloud with one kind of fault. A fault waits
at each step that a run without faults takes. The plain command runs (`make up`, or `make destroy`). When a step
is hit, the engine is killed with all its processes, or the fault itself does the harm. Then the same command
runs again, into the next hits, until a run succeeds. So each step is hit once, and the result that is judged at
the end has survived all faults.
"""
