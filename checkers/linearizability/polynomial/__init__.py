"""Algorithms that judge the calls of one object in polynomial time, where their values are distinct.

`zones` judges registers and `grow_sets` sets that are read whole. `queues`, `priority_queues` and `stacks` reduce calls
to `lifetimes` of values, and `deadlines` adds removals that crashed. `memberships` judges a set element by element,
with the search. `initial_elements` is how a container starts with something inside.

Each `judge` returns a `Finding`, or None to leave the calls to the search. Begin reading at `zones`.
"""
