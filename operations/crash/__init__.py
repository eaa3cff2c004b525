"""The crash matrix: every step of every operation on every cloud is hit, and `make up` has to put it right.

A *journey* is one operation (create, update, replace, delete) on one cloud under one blow. A fault waits
at each step that the undisturbed run took. The plain command is run (`make up`, or `make destroy`); when a
step is hit, the engine is killed with all its processes, or the fault itself does the harm; then the same
command is run again, into the next hits, until a run gets through. Each step is thus hit once, and what
is judged in the end has survived all of them.
"""
